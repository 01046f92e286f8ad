"""For programs with a network and images at hand: `import fixres` (docs/api.md).

    before = fixres.accuracy(module, val, k_test=[128, 160])
    fixed = fixres.fix(module, train, k_test=160)
    print(fixres.accuracy(fixed, val, k_test=160)[160] - before[128])

Three functions do what `fixres recommend` does, with its code, and give its numbers. They need no
Snakemake, no configuration and no folder. `accuracy` and `fix` work on a copy of the module;
`adapt` changes the module. What is wrong with their arguments, the module or an image, is a
ValueError that says which, what was found, and what to do.

All compute in float32, on one device.
"""

import contextlib
import copy
import functools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
import torch
from pydantic import Field, ValidationError
from torch import nn

from fixres import jobs
from fixres.artifacts.predictions import Cropping
from fixres.config import FineTuning, Section
from fixres.config.custom import OF_INPUT, Mean, Share, Std, Three
from fixres.config.errors import explain
from fixres.config.fields import Count, NotNegative, Pixels, Seed, Several
from fixres.config.recipes import FINE_TUNING, fitting
from fixres.data.live_images import Dataset, LiveImages, LiveReader
from fixres.data.regions import Augmentation
from fixres.graph.adaptation import LAYERS
from fixres.hardware.device import Device, exact_float32, pick_device
from fixres.hardware.ranks import ALONE
from fixres.jobs import JobError, logs
from fixres.models.adapt import Adaptation, adapt_last_layers
from fixres.models.catalogue.network import Network
from fixres.models.checkpoints import NoCheckpoints
from fixres.models.custom import last_layers_of
from fixres.pages import intervals
from fixres.stages import sgd
from fixres.stages.activation_cache import Wanted
from fixres.stages.head import TrainingImages, fit_head
from fixres.stages.predict import as_it_is, predict

CROP_PCT = 0.875  # the paper's, 224/256 (§5)
P, R = ParamSpec("P"), TypeVar("R")


# --- what comes back -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """How two accuracies on the same images differ.

    Attributes
    ----------
    points : percentage points.
    low, high : the 95% interval over images, percentage points. It is paired: what makes an image
        hard for both is no part of it.
    """

    points: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.points:+.1f} ({self.low:+.1f} to {self.high:+.1f})"


@dataclass(frozen=True, eq=False)
class Accuracy:
    """Top-1 accuracy of a network on n images, at one k_test.

    `a - b` of the same images is their `Difference`.

    Attributes
    ----------
    hits : (n,) bool, in the order of the dataset: whether the class with the largest logit is the
        label.
    labels : (n,) int64, the labels.
    top1 : per cent.
    low, high : the 95% interval over images, per cent (docs/statistics.md).
    """

    hits: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    top1: float = field(init=False)
    low: float = field(init=False)
    high: float = field(init=False)

    def __post_init__(self):
        low, high = intervals.interval(self._replicas())
        for name, value in {
            "top1": 100 * float(self.hits.mean()),
            "low": low,
            "high": high,
        }.items():
            object.__setattr__(self, name, value)

    def _replicas(self) -> np.ndarray:
        """The bootstrap replicas of top1. Those of the same images are drawn alike."""
        [replicas] = intervals.resample({0: self.hits[None]}, self._image_set).values()
        return replicas

    @property
    def _image_set(self) -> str:
        return jobs.digest(np.ascontiguousarray(self.labels).tobytes())

    def __sub__(self, other: "Accuracy") -> Difference:
        if self._image_set != other._image_set:
            found = f"of {len(self.hits)} and of {len(other.hits)} images"
            raise ValueError(f"accuracies {found} with other labels: expected the same dataset")
        moved = self._replicas() - other._replicas()
        return Difference(self.top1 - other.top1, *intervals.interval(moved))

    def __str__(self) -> str:
        return f"{self.top1:.1f} ({self.low:.1f} to {self.high:.1f})"


class Adapted(NamedTuple):
    """A module that is ready to be fine-tuned at one k_test: `head(*trunk(x))` are its logits.

    Attributes
    ----------
    trunk : frozen. Normalised crops (n, 3, k_test, k_test) -> a tuple of activations, n rows each.
        Under test DA, an image gives the same activations in every epoch.
    head : trains. These activations -> logits (n, classes).
    parameters : those to train, for an optimiser.
    layers : the names in the module of the layers that train.
    """

    trunk: nn.Module
    head: nn.Module
    parameters: list[nn.Parameter]
    layers: list[str]


# --- what is asked for ---------------------------------------------------------------------------


class _Sizes(Section):
    """The crops that a network sees."""

    k_test: Several[Pixels]


class _Look(_Sizes):
    """How a network looks at an image."""

    crop_pct: Share
    mean: Annotated[list[Mean], Three] = Field(description=OF_INPUT)
    std: Annotated[list[Std], Three] = Field(description=OF_INPUT)


class _Means(Section):
    """With what a call works."""

    batch_size: Count | None = None
    cache_gb: NotNegative = 0.0
    seed: Seed = 0
    workers: Count = 1


def _value_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Of a function of this module: what is wrong comes as a ValueError, and no other."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except sgd.DivergedError as error:
            raise ValueError(f"{error.what}: the training has diverged. Lower lr") from None
        except JobError as error:
            raise ValueError(str(error)) from error.__cause__

    return wrapped


def _checked(section: type[Section], **values: Any) -> Any:
    """A section with these values. Raises JobError with one line for each wrong one."""
    try:
        return section(**values)
    except ValidationError as error:
        raise JobError("\n".join(explain(e, "", section) for e in error.errors())) from None


def _look(
    module: nn.Module,
    k_test: int | Iterable[int],
    crop_pct: float | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> _Look:
    """How the module looks at an image: as it is said, else as timm states of the module."""
    stated = getattr(module, "pretrained_cfg", None) or {}
    given = {"crop_pct": crop_pct, "mean": mean, "std": std}
    known = {key: stated.get(key) if value is None else value for key, value in given.items()}
    if missing := [key for key in ("mean", "std") if known[key] is None]:
        raise JobError(
            f"{' and '.join(missing)}: of a {type(module).__name__} nobody states the input "
            "normalisation. Give the numbers that it was trained with, for inputs in [0, 1], as "
            "mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)"
        )
    return _checked(
        _Look,
        k_test=_sizes(k_test),
        crop_pct=known["crop_pct"] or CROP_PCT,
        mean=[_number(x) for x in known["mean"]],
        std=[_number(x) for x in known["std"]],
    )


def _sizes(k_test: int | Iterable[int]) -> list:
    return [_whole(k) for k in (k_test if isinstance(k_test, Iterable) else [k_test])]


def _whole(value: Any) -> Any:
    """A whole number of any library as Python's; what is none stays, to be refused by name."""
    with contextlib.suppress(TypeError):
        return operator.index(value)
    return value


def _number(value: Any) -> Any:
    with contextlib.suppress(TypeError, ValueError):
        return float(value)
    return value


# --- accuracy ------------------------------------------------------------------------------------


@_value_errors
def accuracy(  # noqa: PLR0913 (three are needed)
    module: nn.Module,
    dataset: Dataset,
    k_test: int | Iterable[int],
    *,
    crop_pct: float | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    classes: Iterable[int] | None = None,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    workers: int = 1,
    progress: bool = False,
) -> dict[int, Accuracy]:
    """Top-1 accuracy of a module at several test resolutions, from one read of each image.

    Each image is resized bilinearly by Pillow, with its shorter side floor(k / crop_pct) pixels
    long, and the k×k crop in its centre is cut: test DA (§5). The module is not changed, whatever
    mode it is in: a copy in eval mode is measured, in float32.

    Parameters
    ----------
    module : normalised crops (n, 3, k, k) -> logits (n, classes).
    dataset : n pairs (PIL image, label), by `len(dataset)` and `dataset[i]`; labels count from 0.
        Each image is read once.
    k_test : sides of the crops, pixels; one or several.
    crop_pct : crop over resized image, 0.1 to 1; None: what timm states of the module, else 0.875.
    mean, std : three numbers each, of inputs in [0, 1]; None: what timm states of the module.
    classes : the classes whose logits count, where the images are of some classes alone; None: all.
    batch_size : images that the module sees at once, at most; None: 100, fewer at many or large
        k_test.
    device : where to compute; None: where the module's parameters are.
    workers : threads that read and cut images; with more than one, they call `dataset[i]` at the
        same time.
    progress : whether to show progress, on standard error.

    Returns
    -------
    k_test -> its accuracy, in the order of `k_test`.

    Raises
    ------
    ValueError : an argument, the module or an image cannot be used; the message says which and why.
    """
    look = _look(module, k_test, crop_pct, mean, std)
    means = _checked(_Means, batch_size=batch_size, workers=workers)
    with _working(module, device, progress) as (network, device):
        outputs = max(_classes(network, k) for k in look.k_test)  # runs at each, before any image
        images = LiveImages(dataset, outputs, means.workers)
        reader = LiveReader(images, tuple(look.mean), tuple(look.std), device, means.batch_size)
        absent = _absent(classes, outputs)
        croppings = [Cropping(k, 1, look.crop_pct, absent is not None) for k in look.k_test]
        test_da = Augmentation("test DA")
        [found] = predict(as_it_is, [network], reader, test_da, [croppings], 1, absent)
    labels = images.labels
    return {c.k: Accuracy(top[:, 0] == labels, labels) for c, top in found.items()}


def _absent(classes: Iterable[int] | None, outputs: int) -> np.ndarray | None:
    """(outputs,) bool: the classes whose logits do not count; None: all count."""
    if classes is None:
        return None
    absent = np.ones(outputs, bool)
    for label in map(_whole, classes):
        if not (isinstance(label, int) and 0 <= label < outputs):
            expected = f"expected 0 to {outputs - 1}: the module gives {outputs} logits"
            raise JobError(f"classes: found {label!r}, {expected}")
        absent[label] = False
    return absent


# --- fine-tuning (§4.2) --------------------------------------------------------------------------


@_value_errors
def adapt(
    module: nn.Module,
    k_test: int,
    layers: str = "cls+bn",
    *,
    classifier: str | None = None,
    last_norm: Sequence[str] | None = None,
) -> Adapted:
    """Make a module ready to be fine-tuned at `k_test`, by a training loop of one's own (§4.2).

    The module is changed in place: in eval mode, with all parameters frozen but those of the last
    layers, which are in train mode. It shares its parameters with trunk and head, so training the
    head fixes the module; call `module.eval()` afterwards, and neither `train()` nor `eval()`
    before.

    Parameters
    ----------
    module : normalised crops (n, 3, k_test, k_test) -> logits (n, classes).
    k_test : side of the crops, pixels.
    layers : what trains: "cls", the classifier; "cls+bn", classifier and last normalisation.
    classifier, last_norm : the names of these layers in the module; None: they are found, as by
        `fixres recommend`.

    Raises
    ------
    ValueError : the layers cannot be found, or the module cannot be cut there.
    """
    _check_module(module)
    [k] = _checked(_Sizes, k_test=[_whole(k_test)]).k_test
    with _undone_on_error(module):
        adaptation, names = _adapted(module, k, layers, classifier, last_norm)
    parameters = [p for part in adaptation.trained for p in part.parameters()]
    return Adapted(adaptation.trunk, adaptation.head, parameters, names)


@_value_errors
def fix(  # noqa: PLR0913 (three are needed)
    module: nn.Module,
    dataset: Dataset,
    k_test: int,
    layers: str = "cls+bn",
    *,
    epochs: int = FINE_TUNING["epochs"],
    lr: float = FINE_TUNING["lr"],
    batch_size: int | None = None,
    seed: int = 0,
    crop_pct: float | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    classifier: str | None = None,
    last_norm: Sequence[str] | None = None,
    cache_gb: float = 2.0,
    device: torch.device | str | None = None,
    workers: int = 1,
    progress: bool = False,
) -> nn.Module:
    """A copy of a module, fixed for `k_test`: its last layers fine-tuned there (§4.2).

    They train on test DA crops of the images, with the recipe of `fixres recommend`: SGD with
    momentum 0.9, weight decay 1e-4, a cosine schedule. All other layers stay as they are. Their
    activations are computed once, if they take at most `cache_gb`; otherwise in every epoch, with
    the same result. On one machine's processor the same call gives the same bits.

    Parameters
    ----------
    module, k_test : as of `adapt`; the module itself is not changed.
    dataset : as of `accuracy`: training images, and not those that accuracy is measured on. Each is
        read once, or once an epoch.
    layers, classifier, last_norm : as of `adapt`.
    epochs, lr : of the fine-tuning; `lr` is the rate of the first step.
    batch_size : images of a step; None: 64, or half of the images if that is fewer. Above 64, a
        multiple of 64: a batch-norm sees 64 images at once.
    seed : of the order of the images, and of dropout.
    crop_pct, mean, std, device, workers, progress : as of `accuracy`.
    cache_gb : memory for activations, in GB; 0: none are kept.

    Returns
    -------
    The fixed copy, in eval mode, on the device of `module`.

    Raises
    ------
    ValueError : as of `accuracy` and `adapt`; or the training diverges.
    """
    look = _look(module, [k_test], crop_pct, mean, std)
    means = _checked(_Means, cache_gb=_number(cache_gb), seed=_whole(seed), workers=workers)
    [k] = look.k_test
    with _working(module, device, progress) as (network, device):
        images = LiveImages(dataset, _classes(network, k), means.workers)
        adaptation, _ = _adapted(network, k, layers, classifier, last_norm, look)
        given = {"epochs": _whole(epochs), "lr": _number(lr), "batch_size": batch_size}
        recipe = _recipe(len(images.labels), **given)
        _fit(adaptation, images, recipe, look, device, means)
    fixed = _copied(module)
    fixed.load_state_dict(network.state_dict())
    return fixed.eval()


def _recipe(images: int, epochs: int, lr: float, batch_size: int | None) -> dict:
    """The recipe of `fixres recommend` for so many images, with what is asked for."""
    if batch_size is None:
        batch_size = fitting(FINE_TUNING["batch_size"], images)
    given = {"epochs": epochs, "lr": lr, "batch_size": _whole(batch_size)}
    recipe = _checked(FineTuning, **FINE_TUNING | given).model_dump()
    if images < batch_size:
        expected = f"expected at most the number of images, {images}"
        raise JobError(f"batch_size: found {batch_size}, {expected}")
    micro = recipe["micro_batch"]
    if batch_size > micro and batch_size % micro:
        raise JobError(f"batch_size: found {batch_size}, expected at most {micro}, or a multiple")
    return recipe


def _fit(
    adaptation: Adaptation,
    images: LiveImages,
    recipe: dict,
    look: _Look,
    device: Device,
    means: _Means,
) -> None:
    """Train the head of an adapted network on the images."""
    reader = LiveReader(images, tuple(look.mean), tuple(look.std), device)
    looks = [(adaptation.augmentation, adaptation.k_test)]

    def crops(wanted: Wanted, _: bool = False) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        for rows, _epoch in wanted:  # test DA: the same crops in every epoch
            [pixels] = images.cut(rows, looks)
            yield rows, reader.normal(pixels)

    batch = sgd.batching(recipe, ALONE, "fix")
    steps = len(images.labels) // recipe["batch_size"]
    how = sgd.Optimisation(recipe, steps, batch, device, ALONE, means.seed)
    training = TrainingImages(images.rows, images.labels, crops)
    fit_head(adaptation, training, how, means.cache_gb * 1e9, NoCheckpoints(), float("inf"))


def _adapted(
    network: nn.Module,
    k: int,
    layers: str,
    classifier: str | None,
    last_norm: Sequence[str] | None,
    look: _Look | None = None,
) -> tuple[Adaptation, list[str]]:
    """A network made ready in place, and the names of the layers that train."""
    if layers not in ("cls", "cls+bn"):
        raise JobError(f"layers: found {layers!r}, expected 'cls' or 'cls+bn'")
    outputs = _classes(network.eval(), k)
    given: dict[str, Any] = {} if classifier is None else {"classifier": classifier}
    given |= {"outputs": outputs}
    if layers == "cls" or last_norm is not None:
        given["last_norm"] = [] if layers == "cls" else _names(last_norm)
    found = last_layers_of(network, k, given)
    entry = Network(
        title=type(network).__name__,
        stride=1,
        classifier=found["classifier"],
        last_batch_norm=tuple(found["last_norm"]),
        cells=(),
        constructor="",
    )
    test_da = Augmentation("test DA", crop_pct=look.crop_pct if look else None)
    adaptation = adapt_last_layers(network, entry, LAYERS[layers], k, augmentation=test_da)
    return adaptation, [*found["last_norm"], found["classifier"]]


def _names(names: Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


# --- the module ----------------------------------------------------------------------------------


def _check_module(module: nn.Module) -> None:
    """Raise JobError for what is no module in float32."""
    if not isinstance(module, nn.Module):
        raise JobError(f"module: found a {type(module).__name__}, expected a torch.nn.Module")
    tensors = [*module.named_parameters(), *module.named_buffers()]
    for name, tensor in tensors:
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise JobError(
                f"module: {name} is {tensor.dtype}, expected float32; give module.float()"
            )
        if tensor.is_meta:
            raise JobError(f"module: {name} has no numbers (torch's meta device); load its weights")


@contextlib.contextmanager
def _working(
    module: nn.Module, where: torch.device | str | None, progress: bool
) -> Iterator[tuple[nn.Module, Device]]:
    """A copy of the module to work on, as jobs have it, and its device. Torch stays as it is.

    The copy is in eval mode and in channels_last, as the networks of jobs are: so sums are added in
    the same order.
    """
    _check_module(module)
    if where is None:
        where = next((p.device for p in module.parameters()), torch.device("cpu"))
    try:
        device = pick_device(str(where))
    except JobError as error:
        raise JobError(str(error).removeprefix("--")) from None
    network = _copied(module).to(device, memory_format=torch.channels_last).eval()
    with contextlib.ExitStack() as stack:
        if not progress:
            stack.enter_context(logs.silent())
        on_gpu = [device] if device.type == "cuda" else []
        stack.enter_context(torch.random.fork_rng(devices=on_gpu))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(exact_float32())
        yield network, Device(device, "fp32")


def _copied(module: nn.Module) -> nn.Module:
    """A copy of a module, without its gradients."""
    try:
        copied = copy.deepcopy(module)
    except RuntimeError as error:  # a tensor that autograd has made
        raise JobError(f"module: cannot be copied ({error})") from error
    copied.zero_grad()
    return copied


def _classes(network: nn.Module, k: int) -> int:
    """The number of classes, from one crop. Raises JobError where the network refuses the crop."""
    name = type(network).__name__
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            logits = network(torch.zeros(1, 3, k, k, device=device))
    except Exception as error:  # each network refuses a size in its own way
        problem = f"a forward pass of one crop of {k}×{k} px fails ({error})"
        raise JobError(f"k_test {k}: {problem}; give a size that {name} takes") from error
    if not isinstance(logits, torch.Tensor) or logits.dim() != 2:
        found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise JobError(f"module: {name} gives {found}, expected logits of the shape (n, classes)")
    return logits.shape[1]


@contextlib.contextmanager
def _undone_on_error(module: nn.Module) -> Iterator[None]:
    """A block that changes a module; after an error its modes are as they were."""
    modes = [(m, m.training) for m in module.modules()]
    frozen = [(p, p.requires_grad) for p in module.parameters()]
    try:
        yield
    except Exception:
        for m, mode in modes:
            m.training = mode
        for p, needs in frozen:
            p.requires_grad_(needs)
        raise
