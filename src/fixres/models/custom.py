"""What the suite must know about a custom network, found by inspecting it and running it once.

    found = find("timm:resnet50.a1_in1k")
    print("\\n".join(described(found)))

The classifier is the last layer that runs with as many outputs as there are classes. The last
normalisation is the last one that runs before it, except that a batch-norm behind the global
pooling is skipped (§4.2). timm and torchvision state the input normalisation, native resolution and
crop_pct of their weights; for the user's code, the user must give them. The stride and the accepted
sizes are found by trying. This needs no weights and downloads nothing.

If a network has no normalisation, only its classifier is fine-tuned. If it has several classifiers
side by side, like a distilled transformer, all are found: they are the layers that become larger
when the network is built for one more class.
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
from fixres.models import boundary, construct, kept, published
from fixres.models.published import Fetched, Tensors
from fixres.models.split import split
from fixres.nearest import nearest

# Class names of norms in torch and timm end in one of these, for example RMSNorm and LayerNorm2d.
NORMS = ("Norm", "Norm1d", "Norm2d", "Norm3d", "NormAct", "NormAct2d")
# Names of layers off the main path of a block: their norm is not the last norm of the block.
BESIDE = ("downsample", "shortcut", "skip", "residual")
STRIDES = (1, 2, 4, 7, 8, 14, 16, 28, 32, 64)
# What the user may give instead of having it found.
KEYS = ["classifier", "last_norm", "mean", "std", "native", "crop_pct", "stride", "any_size"]
KEYS += ["options", "outputs", "other_heads", "off_stride"]


class Call(NamedTuple):
    """A layer that ran, and the shape of its output."""

    name: str
    layer: nn.Module
    shape: tuple[int, ...]


class _NotFoundError(Exception):
    """These keys cannot be found, so the user must give them."""


def find(
    source: str,
    weights: str = "pretrained",
    path: str = "",
    given: dict[str, Any] | None = None,
    headless: bool = False,
) -> CustomNetwork:
    """What the suite must know about a network.

    Parameters
    ----------
    source, weights, path : the keys of custom.network, or of a timm network that is stored with
        its configuration (docs/recommend.md).
    given : values for some of `KEYS`, used instead of what would be found.
    headless : whether to ignore the classifier of the weights, because a fresh one is trained.

    Raises
    ------
    JobError : there is no such network, something cannot be found, the weights do not fit, or the
        network cannot be fine-tuned. The message says what to give.
    """
    for key in given or {}:
        if key not in KEYS:
            raise JobError(f"{source}: unknown key ({nearest(key, KEYS)}). Correct the key.")
    title, beside = "", kept.look(source, weights)
    if beside:
        source, weights, title = beside.source, beside.weights, beside.title
    known = _stated(source, weights)
    known |= {**beside.stated, "arguments": beside.arguments} if beside else {}
    _check_images(title or source, known)
    known = known | (given or {})
    fetched = _read(weights)
    try:
        network, found = _looked_at(source, path, known)
    except TypeError as error:  # of timm's constructors, which receive the arguments of the file
        if not beside:
            raise
        problem = f"cannot be built with the arguments of its config.json, {beside.arguments}"
        raise JobError(visible(f"{title}: {problem} ({error}). Correct model_args.")) from error
    if fetched:
        tensors = published.without_prefix(fetched.tensors, network, weights)
        fetched = fetched._replace(tensors=tensors)
        _check_stem(tensors, network, weights)
        classes = _classes(tensors, found["classifier"])
        if classes not in (None, found["outputs"]) and "outputs" not in (given or {}):
            print(visible(f"{weights}: its classifier is for {classes} classes"), flush=True)
            network, found = _looked_at(source, path, known | {"outputs": classes})
        heads = (found["classifier"], *found["other_heads"])
        published.fitted(fetched, network, heads, headless)
    check_cuts(network, found, source, path)
    try:
        return CustomNetwork(source=source, weights=weights, path=path, title=title, **found)
    except ValidationError as error:
        problems = (explain(e, "custom.network", CustomNetwork) for e in error.errors())
        raise JobError("\n".join(problems)) from None


def _looked_at(source: str, path: str, known: dict[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
    """The network, and what is known about it or found in it."""
    network, options = _built(source, path, known)
    network.requires_grad_(False)  # torch's counter fails on parameters that are a layer's input
    try:
        found = _found(network, known | {"options": options}, source)
        found.setdefault("other_heads", _other_heads(network, found, source, path))
        return network, found
    except _NotFoundError as missing:
        raise JobError(_to_be_given(source, network, missing.args)) from None


def _read(weights: str) -> Fetched | None:
    """The tensors in a file of weights, or None if no file is given."""
    if weights in ("pretrained", "none") or weights.startswith(construct.HUB):
        return None
    if not Path(weights).is_file():
        expected = f"got '{weights}', expected pretrained, none, or the path of a file"
        raise JobError(f"--weights: no such file ({expected}). Correct the path.")
    return Fetched(published.read(Path(weights)), weights, None)


def _classes(tensors: Tensors, classifier: str) -> int | None:
    """The number of classes of the classifier in a file, or None if the file has no classifier."""
    weight = tensors.get(f"{classifier}.weight")
    if weight is None or weight.dim() < 2 or weight.numel() > weight.untyped_storage().nbytes():
        return None  # the last condition: an expanded tensor, larger than its data in the file
    return len(weight)


def check_cuts(network: nn.Module, found: dict[str, Any], source: str, path: str) -> None:
    """Raise JobError if a network cannot be fine-tuned, rather than minutes later."""
    heads = [found["classifier"], *found["other_heads"]]
    try:
        for layers in (heads, [*found["last_norm"], *heads]):
            parts = split(network, layers, found["native"])
            # A cut at the boundary of a module is correct only if it gives the network's logits.
            if isinstance(parts.trunk, boundary.Trunk) and _device(network).type == "meta":
                network = with_numbers(source, path, found)
                split(network, layers, found["native"])
    except ValueError as error:
        raise JobError(f"{source}: {error}") from None


def with_numbers(source: str, path: str, found: dict[str, Any]) -> nn.Module:
    """The network with random weights. No parameter is all zeros, which would hide its input."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = construct.call(source, found["outputs"], path, found["options"])
        network.eval().requires_grad_(False)
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.02)
    return network


def _found(network: nn.Module, known: dict[str, Any], source: str) -> dict[str, Any]:
    """What is known about a network, and what is found in it."""
    if unknown := [key for key in ("native", "mean", "std") if key not in known]:
        raise _NotFoundError(*unknown)
    k, stated = known["native"], {key: known[key] for key in known if key in KEYS}
    found = _layers(network, stated, source)
    norms = [network.get_submodule(name) for name in found["last_norm"]]
    statistics = [getattr(norm, "running_mean", None) is not None for norm in norms]

    # --- the sizes that it accepts
    found.setdefault("any_size", _takes_others(network, k))
    found.setdefault("stride", _stride(network, k, found["any_size"], source))
    whole = isinstance(found["stride"], int) and found["any_size"]  # else it is refused below
    found.setdefault("off_stride", whole and _takes_off(network, k, found["stride"]))
    found.setdefault("crop_pct", 0.875)  # the paper's, 224/256 (§5)

    # --- what it costs
    with FlopCounterMode(display=False) as counter:
        _run(network, k)
    return found | {
        "has_statistics": bool(statistics) and all(statistics),
        "multiply_adds": counter.get_total_flops() / 2,
        "parameters": sum(p.numel() for p in network.parameters()),
    }


def _layers(network: nn.Module, known: dict[str, Any], source: str) -> dict[str, Any]:
    """What is known about a network, and its outputs and last layers, from one forward pass."""
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
    """The last layers of a network that a program holds, in eval mode.

    These are the keys outputs, classifier, other_heads and last_norm of custom.network.

    Parameters
    ----------
    k : side of the crops that it will see, pixels.
    given : the keys that need not be found.

    Raises
    ------
    JobError : something cannot be found. The message says what to give.
    """
    name = type(network).__name__
    try:
        found = _layers(network, given | {"native": k}, name)
    except _NotFoundError as missing:
        raise JobError(_to_be_given(name, network, missing.args, option="")) from None
    return found | {"other_heads": _averaged(network, found, name)}


def described(found: CustomNetwork) -> list[str]:
    """What was found, in lines for the terminal."""
    sizes = "any size" if found.any_size else f"only {found.native} px"
    kind = "" if found.has_statistics else " (no running statistics)"
    options = f", built with {found.options}" if found.options else ""
    norm = f"last normalisation: {', '.join(found.last_norm)}{kind}"
    if not found.last_norm:
        norm = "no normalisation, so only the classifier is fine-tuned"
    return [
        f"{found.source}: {found.outputs} classes, {found.multiply_adds / 1e9:.3g} G "
        f"multiply-adds at {found.native} px{options}",
        f"  classifier: {' and '.join((found.classifier, *found.other_heads))}; {norm}",
        f"  input: mean {found.mean}, std {found.std}; crop_pct {found.crop_pct:g}",
        f"  stride: {found.stride} px; accepts {sizes}",
    ]


# --- what the libraries state --------------------------------------------------------------------


def _stated(source: str, weights: str) -> dict[str, Any]:
    """What timm or torchvision state about the weights. Checks that such weights exist."""
    kind, _, name = source.partition(":")
    if kind not in ("timm", "torchvision", "python") or not name:
        raise JobError(
            f"network: unknown source (got '{source}', expected timm:NAME[.TAG], "
            "torchvision:NAME[.WEIGHTS] or python:package.module:function). Name one of these."
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
    known |= {"crop_mode": getattr(stated, "crop_mode", "center")}
    return known | {"native": native, "crop_pct": crop_pct, "outputs": outputs}


def _check_images(source: str, known: dict[str, Any]) -> None:
    """Refuse grey images; print where the network's own evaluation prepares images differently."""
    if known.get("channels", 3) != 3:
        raise JobError(_of_channels(source, known["channels"]))
    if (mode := known.get("crop_mode", "center")) != "center":
        how = {"squash": "squashed to squares", "border": "padded"}.get(mode, mode)
        said = f"{source}: its own evaluation uses images {how} (timm's crop_mode {mode}), but "
        print(visible(said) + "this suite always crops their centre", flush=True)


def _check_stem(tensors: Tensors, network: nn.Module, weights: str) -> None:
    """Raise JobError if the first layer of the weights is for images of one channel."""
    for name, own in network.state_dict().items():
        shape = tensors[name].shape if name in tensors else ()
        if own.dim() == len(shape) == 4 and (own.shape[1], shape[1]) == (3, 1):
            raise JobError(_of_channels(weights, 1))


def _of_channels(source: str, channels: int) -> str:
    return (
        f"{source}: wrong number of image channels (got {channels}, expected 3, since images are "
        "read as RGB). Give a constructor that converts the images (docs/recommend.md, "
        '"Grey images").'
    )


# --- the network runs once -----------------------------------------------------------------------


def _built(source: str, path: str, known: dict) -> tuple[nn.Module, dict]:
    """The network, and the arguments of its constructor.

    A timm transformer that accepts only one size is built again with dynamic_img_size, which
    resizes its position embedding.
    """
    own, outputs = known.get("arguments", {}), known.get("outputs")
    options = known.get("options", own)
    network = _outline(source, path, outputs, options)
    is_free = source.startswith("timm:") and "options" not in known
    if is_free and not _takes_others(network, known["native"]):
        with contextlib.suppress(TypeError):
            dynamic = own | {"dynamic_img_size": True}
            return _outline(source, path, outputs, dynamic), dynamic
    return network, options


def _outline(source: str, path: str, outputs: int | None, options: dict) -> nn.Module:
    """The network in eval mode; on torch's meta device if its constructor allows that."""
    if not source.startswith("python:"):
        with contextlib.suppress(NotImplementedError, RuntimeError), torch.device("meta"):
            return construct.call(source, outputs, path, options).eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return construct.call(source, outputs, path, options).eval()


def _run(network: nn.Module, k: int, channels: int = 3) -> torch.Tensor:
    """The logits of one crop of k×k pixels."""
    with torch.no_grad():
        return network(torch.zeros(1, channels, k, k, device=_device(network)))


def _device(network: nn.Module) -> torch.device:
    return next((p.device for p in network.parameters()), torch.device("cpu"))


def _takes(network: nn.Module, k: int, channels: int = 3) -> bool:
    try:
        _run(network, k, channels)
    except (Exception, SystemExit):  # each network refuses a size in its own way
        return False
    return True


def _takes_others(network: nn.Module, k: int) -> bool:
    """Whether it accepts other sizes than k. A transformer accepts multiples of its patch size."""
    return _takes(network, 2 * k) and any(_takes(network, k + n) for n in (14, 16, 28, 32))


def _takes_off(network: nn.Module, k: int, stride: int) -> bool:
    """Whether it accepts crops that are not multiples of its stride, as padded convolutions do."""
    start = stride * -(-k // stride)
    return all(_takes(network, start + n) for n in {1, stride // 4, stride // 2, stride - 1})


def _calls(network: nn.Module, k: int, source: str) -> list[Call]:
    """The layers that a forward pass runs, in the order in which they end, so inner ones first."""
    calls: list[Call] = []
    names = {layer: name for name, layer in network.named_modules() if name}

    def note(layer: nn.Module, _: tuple, output: Any) -> None:
        if layer in names and isinstance(output, torch.Tensor):
            calls.append(Call(names[layer], layer, tuple(output.shape)))

    try:
        with register_module_forward_hook(note):
            logits = _run(network, k)
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        if _takes(network, k, 1):
            raise JobError(_of_channels(source, 1)) from None
        raise JobError(
            f"{source}: a forward pass of one crop of {k}×{k} px fails ({visible(str(error))}). "
            "Check the native size (custom.network.native, --given native=…)."
        ) from error
    if not isinstance(logits, torch.Tensor) or logits.dim() != 2:
        found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise JobError(
            f"{source}: its output is not logits (got {found}, expected the shape (images, "
            "classes)). Return the logits only."
        )
    return calls


def _index(calls: list[Call], name: str, source: str) -> int:
    """Where a layer ran last. Raises JobError if it never ran."""
    names = [call.name for call in calls]
    if name not in names:
        raise JobError(
            f"{source}: no layer of this name runs ({nearest(name, names)}). Correct the name."
        )
    return len(names) - 1 - names[::-1].index(name)


def _classifier(calls: list[Call], outputs: int) -> str:
    for call in reversed(calls):
        if _gives(call, outputs):
            return call.name
    raise _NotFoundError("classifier")


def _other_heads(network: nn.Module, found: dict[str, Any], source: str, path: str) -> list[str]:
    """Further layers that give logits. They are found because they grow with the classes."""
    n, k, classifier = found["outputs"], found["native"], found["classifier"]
    calls = _calls(network, k, source)
    beside = [call for call in calls if not boundary.inside(call.name, classifier)]
    maybe = {call.name for call in beside if _gives(call, n)}
    if not maybe:
        return []
    more = _outline(source, path, n + 1, found["options"]).requires_grad_(False)
    return sorted(maybe & {call.name for call in _calls(more, k, source) if _gives(call, n + 1)})


def _averaged(network: nn.Module, found: dict[str, Any], name: str) -> list[str]:
    """The other heads of a network that cannot be built again for another number of classes.

    A change of one output of such a layer changes the logit of that class and no other.
    """
    k, n = found["native"], found["outputs"]
    logits = _run(network, k)

    def moved(call: Call, unit: int) -> list[int]:
        """The logits that move with an output of a layer."""

        def push(_: nn.Module, __: tuple, output: torch.Tensor) -> torch.Tensor:
            pushed = output.movedim(1 if isinstance(call.layer, nn.Conv2d) else -1, 0).clone()
            pushed[unit] += 1 + pushed[unit].abs()
            return pushed.movedim(0, 1 if isinstance(call.layer, nn.Conv2d) else -1)

        with call.layer.register_forward_hook(push):
            return (_run(network, k) != logits)[0].nonzero().flatten().tolist()

    maybe = {
        call.name: call
        for call in _calls(network, k, name)
        if _gives(call, n) and not boundary.inside(call.name, found["classifier"])
    }
    units = {0, n - 1}
    return sorted(
        name for name, call in maybe.items() if all(moved(call, unit) == [unit] for unit in units)
    )


def _gives(call: Call, outputs: int) -> bool:
    """Whether a layer has this number of outputs, like a classifier."""
    linear = isinstance(call.layer, nn.Linear) and call.layer.out_features == outputs
    return linear or (isinstance(call.layer, nn.Conv2d) and call.layer.out_channels == outputs)


def _last_norm(before: list[Call]) -> list[str]:
    """The name of the last normalisation, in a list; empty if the network has none."""
    norms = [
        call
        for call in before
        if type(call.layer).__name__.endswith(NORMS)
        and not any(word in part for word in BESIDE for part in call.name.split("."))
    ]
    # A batch-norm behind the pooling sees one vector per image.
    of_maps = [c for c in norms if len(c.shape) == 4 or not isinstance(c.layer, _BatchNorm)]
    for call in reversed(of_maps or norms):
        if any(True for _ in call.layer.parameters(recurse=False)):
            return [call.name]
    return []


def _stride(network: nn.Module, k: int, any_size: bool, source: str) -> int:
    """By how many pixels the crop must grow for the last map to grow by one, at any size."""
    base = max(k, 128) if any_size else k  # the last map of a small crop may be a single pixel
    maps = [call for call in _calls(network, base, source) if _is_map(call.shape)]
    if maps and not any_size:
        return max(round(k / maps[-1].shape[2]), 1)
    for stride in STRIDES if maps else ():
        start = stride * -(-base // stride)
        steps = [0, 1, 2, 8]  # for a few steps, a stride of 28 looks like a stride of 32
        sizes = [_side(network, start + n * stride, maps[-1].name) for n in steps]
        if None in sizes or [side - sizes[0] for side in sizes] != steps:
            continue
        # Also between multiples, if the network accepts such sizes.
        between = [start + 1, start + stride // 2, start + stride - 1]
        pairs = [[_side(network, size + d, maps[-1].name) for d in (0, stride)] for size in between]
        if all(None in pair or pair[1] - pair[0] == 1 for pair in pairs):
            return stride
    raise _NotFoundError("stride")


def _is_map(shape: tuple[int, ...]) -> bool:
    """Whether this is the shape of a square map of several pixels: (1, c, h, w) or (1, h, w, c)."""
    return len(shape) == 4 and shape[2] > 1 and shape[2] in (shape[1], shape[3])


def _side(network: nn.Module, k: int, name: str) -> int | None:
    """The side of the map that a layer gives, or None if the network refuses the size."""
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
        f"{source}: {', '.join(keys)} cannot be found. Give {option}{given}.\n{''.join(lines)}"
        f"The last layers of {type(network).__name__}: {', '.join(layers[-3:])}"
    )
