"""What the suite must know of a custom network: found by looking at it and running it once.

    found = find("timm:resnet50.a1_in1k")
    print("\\n".join(described(found)))

The classifier is the last layer that runs and whose output has as many numbers as there are
classes. The last normalisation is the last one that runs before it; a batch-norm behind the global
pooling is passed over (§4.2). Input normalisation, native resolution and crop_pct are what timm or
torchvision state of the weights; of the user's own code nobody states them, and they must be given.
Stride and sizes are tried. No weight is needed, and nothing is downloaded.
"""

import contextlib
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.module import register_module_forward_hook
from torch.utils.flop_counter import FlopCounterMode

from fixres.config import CustomNetwork
from fixres.config.errors import explain
from fixres.jobs import JobError
from fixres.jobs.quoting import visible
from fixres.models import construct, published
from fixres.models.published import Fetched, Tensors
from fixres.models.split import split
from fixres.nearest import nearest

# Norms of torch and timm end in one of these; RMSNorm and LayerNorm2d are among them.
NORMS = ("Norm", "Norm1d", "Norm2d", "Norm3d", "NormAct", "NormAct2d")
# Names of layers beside the main path of a block: their norm is not the last one of the block.
BESIDE = ("downsample", "shortcut", "skip", "residual")
STRIDES = (1, 2, 4, 7, 8, 14, 16, 28, 32, 64)
# What may be given, in place of what would be found.
KEYS = ["classifier", "last_norm", "mean", "std", "native", "crop_pct", "stride", "any_size"]
KEYS += ["options", "outputs"]


class Call(NamedTuple):
    """A layer that ran, and the shape of what it gave."""

    name: str
    layer: nn.Module
    shape: tuple[int, ...]


class _NotFoundError(Exception):
    """These keys cannot be found; they must be given."""


def find(
    source: str,
    weights: str = "pretrained",
    path: str = "",
    given: dict[str, Any] | None = None,
    headless: bool = False,
) -> CustomNetwork:
    """What the suite must know of a network.

    Parameters
    ----------
    source, weights, path : as the keys of custom.network (docs/recommend.md).
    given : what the user says of it (`KEYS`), in place of what would be found.
    headless : whether the weights' own classifier plays no part, since a fresh one is trained.

    Raises
    ------
    JobError : there is no such network, something cannot be found, the weights do not fit, or the
        network cannot be fine-tuned; it says what to give.
    """
    for key in given or {}:
        if key not in KEYS:
            raise JobError(f"{source}: cannot be given {key}; {nearest(key, KEYS)}")
    known = _stated(source, weights) | (given or {})
    fetched = _read(weights)
    network, found = _looked_at(source, path, known)
    if fetched:
        tensors = published.without_prefix(fetched.tensors, network, weights)
        fetched = fetched._replace(tensors=tensors)
        classes = _classes(tensors, found["classifier"])
        if classes not in (None, found["outputs"]) and "outputs" not in (given or {}):
            print(visible(f"{weights}: its classifier is for {classes} classes"), flush=True)
            network, found = _looked_at(source, path, known | {"outputs": classes})
        published.fitted(fetched, network, found["classifier"], headless)
    check_cuts(network, found, source)
    try:
        return CustomNetwork(source=source, weights=weights, path=path, **found)
    except ValidationError as error:
        problems = (explain(e, "custom.network", CustomNetwork) for e in error.errors())
        raise JobError("\n".join(problems)) from None


def _looked_at(source: str, path: str, known: dict[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
    """The network, and what is known of it and found in it."""
    network, options = _built(source, path, known)
    network.requires_grad_(False)  # torch's counter fails on parameters that are a layer's input
    try:
        return network, _found(network, known | {"options": options}, source)
    except _NotFoundError as missing:
        raise JobError(_to_be_given(source, network, missing.args)) from None


def _read(weights: str) -> Fetched | None:
    """The tensors in a file of weights; None where no file is given."""
    if weights in ("pretrained", "none"):
        return None
    if not Path(weights).is_file():
        expected = f"got '{weights}', expected pretrained, none, or the path of a file"
        raise JobError(f"--weights: no such file ({expected}). Correct the path")
    return Fetched(published.read(Path(weights)), weights, None)


def _classes(tensors: Tensors, classifier: str) -> int | None:
    """The number of classes that the classifier in a file is for; None where it has none."""
    weight = tensors.get(f"{classifier}.weight")
    if weight is None or weight.dim() < 2 or weight.numel() > weight.untyped_storage().nbytes():
        return None  # the last: more numbers than the file holds, which it repeats
    return len(weight)


def check_cuts(network: nn.Module, found: dict[str, Any], source: str) -> None:
    """Raise JobError where a network cannot be fine-tuned, which would come out after minutes."""
    for layers in ([found["classifier"]], [*found["last_norm"], found["classifier"]]):
        try:
            split(network, layers, found["native"])
        except ValueError as error:
            raise JobError(f"{source}: {error}") from None


def _found(network: nn.Module, known: dict[str, Any], source: str) -> dict[str, Any]:
    """What is known of a network, and what is found in it."""
    if nobody_states := [key for key in ("native", "mean", "std") if key not in known]:
        raise _NotFoundError(*nobody_states)
    k, found = known["native"], _layers(network, known, source)
    norms = [network.get_submodule(name) for name in found["last_norm"]]
    statistics = all(getattr(norm, "running_mean", None) is not None for norm in norms)

    # --- sizes that it takes
    found.setdefault("any_size", _takes_others(network, k))
    found.setdefault("stride", _stride(network, k, found["any_size"], source))
    found.setdefault("crop_pct", 0.875)  # the paper's, 224/256 (§5)

    # --- what it costs
    with FlopCounterMode(display=False) as counter:
        _run(network, k)
    return found | {
        "has_statistics": statistics,
        "multiply_adds": counter.get_total_flops() / 2,
        "parameters": sum(p.numel() for p in network.parameters()),
    }


def _layers(network: nn.Module, known: dict[str, Any], source: str) -> dict[str, Any]:
    """What is known of a network, and its outputs and last layers, from one forward pass."""
    found = dict(known)
    calls = _calls(network, known["native"], source)
    found.setdefault("outputs", calls[-1].shape[-1])
    if "classifier" not in found:
        found["classifier"] = _classifier(calls, found["outputs"])
    before = calls[: _index(calls, found["classifier"], source)]
    if "last_norm" not in found:
        found["last_norm"] = _last_norm(before)
    for name in found["last_norm"]:
        _index(calls, name, source)
    return found


def last_layers_of(network: nn.Module, k: int, given: dict[str, Any]) -> dict[str, Any]:
    """The keys outputs, classifier and last_norm of a network that a program holds, in eval mode.

    Parameters
    ----------
    k : side of the crops that it will see, pixels.
    given : those of the keys that are not searched for.

    Raises
    ------
    JobError : something cannot be found; it says what to give.
    """
    name = type(network).__name__
    try:
        return _layers(network, given | {"native": k}, name)
    except _NotFoundError as missing:
        raise JobError(_to_be_given(name, network, missing.args, option="")) from None


def described(found: CustomNetwork) -> list[str]:
    """What was found, a line each, for the terminal."""
    sizes = "any size" if found.any_size else f"{found.native} px alone"
    kind = "" if found.has_statistics else " (no running statistics)"
    options = f", built with {found.options}" if found.options else ""
    return [
        f"{found.source}: {found.outputs} classes, {found.multiply_adds / 1e9:.3g} G "
        f"multiply-adds at {found.native} px{options}",
        f"  classifier: {found.classifier}; last normalisation: {', '.join(found.last_norm)}{kind}",
        f"  input: mean {found.mean}, std {found.std}; crop_pct {found.crop_pct:g}",
        f"  stride: {found.stride} px; takes {sizes}",
    ]


# --- what the libraries state --------------------------------------------------------------------


def _stated(source: str, weights: str) -> dict[str, Any]:
    """What timm or torchvision state of the weights. Checks that there are such weights."""
    kind, _, name = source.partition(":")
    if kind not in ("timm", "torchvision", "python") or not name:
        raise JobError(
            f"network: found '{source}', expected timm:NAME[.TAG], torchvision:NAME[.WEIGHTS] or "
            "python:package.module:function"
        )
    if kind == "python":
        return {}
    architecture = construct.architecture_of(source)
    if kind == "torchvision":
        found = construct.torchvision_weights(name)
        stated = found.transforms()
        native, outputs = stated.crop_size[0], len(found.meta["categories"])
        crop_pct = round(native / stated.resize_size[0], 4)
    else:
        import timm

        if weights == "pretrained" or name != architecture:
            name = construct.timm_weights(name)
        stated = timm.get_pretrained_cfg(name) or timm.get_pretrained_cfg(architecture)
        if stated is None:
            return {"outputs": 1000}
        native, crop_pct = stated.input_size[-1], float(stated.crop_pct)
        outputs = stated.num_classes or 1000
    known = {"mean": list(stated.mean), "std": list(stated.std)}
    return known | {"native": native, "crop_pct": crop_pct, "outputs": outputs}


# --- the network runs once -----------------------------------------------------------------------


def _built(source: str, path: str, known: dict) -> tuple[nn.Module, dict]:
    """The network, and the arguments of its constructor.

    A transformer of timm that takes one size only is built anew with dynamic_img_size, which
    resizes its position embedding.
    """
    options, outputs = known.get("options", {}), known.get("outputs")
    network = _outline(source, path, outputs, options)
    is_free = source.startswith("timm:") and "options" not in known
    if is_free and not _takes_others(network, known["native"]):
        with contextlib.suppress(TypeError):
            dynamic = {"dynamic_img_size": True}
            return _outline(source, path, outputs, dynamic), dynamic
    return network, options


def _outline(source: str, path: str, outputs: int | None, options: dict) -> nn.Module:
    """The network in eval mode; on torch's meta device where its constructor allows that."""
    if not source.startswith("python:"):
        with contextlib.suppress(NotImplementedError, RuntimeError), torch.device("meta"):
            return construct.call(source, outputs, path, options).eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return construct.call(source, outputs, path, options).eval()


def _run(network: nn.Module, k: int) -> torch.Tensor:
    """The logits of one crop of k×k pixels."""
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    with torch.no_grad():
        return network(torch.zeros(1, 3, k, k, device=device))


def _takes(network: nn.Module, k: int) -> bool:
    try:
        _run(network, k)
    except (Exception, SystemExit):  # each network refuses a size in its own way
        return False
    return True


def _takes_others(network: nn.Module, k: int) -> bool:
    """Whether it takes other sizes than k. A transformer takes multiples of its patches."""
    return _takes(network, 2 * k) and any(_takes(network, k + n) for n in (14, 16, 28, 32))


def _calls(network: nn.Module, k: int, source: str) -> list[Call]:
    """The layers that a forward pass runs, in order; of nested ones the inner come first."""
    calls: list[Call] = []
    names = {layer: name for name, layer in network.named_modules() if name}

    def note(layer: nn.Module, _: tuple, output: Any) -> None:
        if layer in names and isinstance(output, torch.Tensor):
            calls.append(Call(names[layer], layer, tuple(output.shape)))

    try:
        with register_module_forward_hook(note):
            logits = _run(network, k)
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        raise JobError(
            f"{source}: a forward pass of one crop of {k}×{k} px fails: {visible(str(error))}; "
            "is native right? (custom.network.native, --given native=…)"
        ) from error
    if not isinstance(logits, torch.Tensor) or logits.dim() != 2:
        found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise JobError(f"{source}: gives {found}, expected logits of the shape (images, classes)")
    return calls


def _index(calls: list[Call], name: str, source: str) -> int:
    """Where a layer ran last. Raises JobError where it did not."""
    names = [call.name for call in calls]
    if name not in names:
        raise JobError(f"{source}: {nearest(name, names)}, of the layers that run")
    return len(names) - 1 - names[::-1].index(name)


def _classifier(calls: list[Call], outputs: int) -> str:
    for call in reversed(calls):
        linear = isinstance(call.layer, nn.Linear) and call.layer.out_features == outputs
        pointwise = isinstance(call.layer, nn.Conv2d) and call.layer.out_channels == outputs
        if linear or pointwise:
            return call.name
    raise _NotFoundError("classifier")


def _last_norm(before: list[Call]) -> list[str]:
    norms = [
        call
        for call in before
        if type(call.layer).__name__.endswith(NORMS)
        and not any(word in part for word in BESIDE for part in call.name.split("."))
    ]
    # A batch-norm behind the pooling sees one vector an image.
    of_maps = [c for c in norms if len(c.shape) == 4 or not isinstance(c.layer, _BatchNorm)]
    for call in reversed(of_maps or norms):
        if any(True for _ in call.layer.parameters(recurse=False)):
            return [call.name]
    raise _NotFoundError("last_norm")


def _stride(network: nn.Module, k: int, any_size: bool, source: str) -> int:
    """By how many pixels the crop grows when the last map grows by one, whatever its size."""
    base = max(k, 128) if any_size else k  # the last map of a small crop may be a single pixel
    maps = [call for call in _calls(network, base, source) if _is_map(call.shape)]
    if maps and not any_size:
        return max(round(k / maps[-1].shape[2]), 1)
    for stride in STRIDES if maps else ():
        start = stride * -(-base // stride)
        steps = [0, 1, 2, 8]  # a stride of 28 looks like one of 32 for a few steps
        sizes = [_side(network, start + n * stride, maps[-1].name) for n in steps]
        if None in sizes or [side - sizes[0] for side in sizes] != steps:
            continue
        # Between multiples, too, where the network takes such sizes.
        between = [start + 1, start + stride // 2, start + stride - 1]
        pairs = [[_side(network, size + d, maps[-1].name) for d in (0, stride)] for size in between]
        if all(None in pair or pair[1] - pair[0] == 1 for pair in pairs):
            return stride
    raise _NotFoundError("stride")


def _is_map(shape: tuple[int, ...]) -> bool:
    """Whether it is a square map of more than one pixel: (1, c, h, w), or (1, h, w, c)."""
    return len(shape) == 4 and shape[2] > 1 and shape[2] in (shape[1], shape[3])


def _side(network: nn.Module, k: int, name: str) -> int | None:
    """The side of the map that a layer gives; None where the network refuses the size."""
    seen: list[int] = []
    layer = network.get_submodule(name)
    with layer.register_forward_hook(lambda _, __, output: seen.append(output.shape[2])):
        return seen[-1] if _takes(network, k) else None


def _to_be_given(
    source: str, network: nn.Module, keys: tuple[str, ...], option: str = "--given "
) -> str:
    """The message that asks for what cannot be found."""
    layers = [name for name, layer in network.named_modules() if name and not any(layer.children())]
    given = " ".join(f"{key}=…" for key in keys)
    lines = (f"  {key}: {CustomNetwork.model_fields[key].description}\n" for key in keys)
    return (
        f"{source}: {', '.join(keys)} cannot be found; give {option}{given}\n{''.join(lines)}"
        f"The last layers of {type(network).__name__}: {', '.join(layers[-3:])}"
    )
