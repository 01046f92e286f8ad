"""The last layers of a module fine-tuned at one k_test (§4.2): `fixres.fix` and `fixres.adapt`."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from fixres.api.arguments import Look, Means, Sizes, checked, look_of, number, value_errors, whole
from fixres.api.modules import check_module, classes_of, copied, undone_on_error, working
from fixres.config import FineTuning
from fixres.config.recipes import FINE_TUNING, fitting
from fixres.data.live_images import Dataset, LiveImages, LiveReader
from fixres.data.regions import Augmentation
from fixres.graph.adaptation import LAYERS
from fixres.hardware.device import Device
from fixres.hardware.ranks import ALONE
from fixres.jobs import JobError
from fixres.models.adapt import Adaptation, adapt_last_layers
from fixres.models.catalogue.network import Network
from fixres.models.checkpoints import NoCheckpoints
from fixres.models.custom import last_layers_of
from fixres.stages import sgd
from fixres.stages.activation_cache import Wanted
from fixres.stages.head import TrainingImages, fit_head


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


@value_errors
def adapt(
    module: nn.Module,
    k_test: int,
    layers: str = "cls+bn",
    *,
    classifier: str | None = None,
    last_norm: Sequence[str] | None = None,
) -> Adapted:
    """Make a module ready to be fine-tuned at `k_test`, by your own training loop (§4.2).

    The module is changed in place: it is put in eval mode and its parameters are frozen, except for
    the last layers, which are in train mode and can be trained. It shares its parameters with trunk
    and head, so training the head fixes the module; call `module.eval()` afterwards, and neither
    `train()` nor `eval()` before.

    Parameters
    ----------
    module : normalised crops (n, 3, k_test, k_test) -> logits (n, classes).
    k_test : side of the crops, pixels.
    layers : what trains: "cls", the classifier; "cls+bn", classifier and last normalisation. If a
        network averages several classifiers, all of them train.
    classifier, last_norm : the names of these layers in the module; None: they are found, as by
        `fixres recommend`.

    Raises
    ------
    ValueError : the layers cannot be found, or the module cannot be cut there.
    """
    check_module(module)
    [k] = checked(Sizes, k_test=[whole(k_test)]).k_test
    with undone_on_error(module):
        adaptation, names = _adapted(module, k, layers, classifier, last_norm)
    parameters = [p for part in adaptation.trained for p in part.parameters()]
    return Adapted(adaptation.trunk, adaptation.head, parameters, names)


@value_errors
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
    look = look_of(module, [k_test], crop_pct, mean, std)
    means = checked(Means, cache_gb=number(cache_gb), seed=whole(seed), workers=workers)
    [k] = look.k_test
    with working(module, device, progress) as (network, device):
        images = LiveImages(dataset, classes_of(network, k), means.workers)
        adaptation, _ = _adapted(network, k, layers, classifier, last_norm, look)
        given = {"epochs": whole(epochs), "lr": number(lr), "batch_size": batch_size}
        recipe = _recipe(len(images.labels), **given)
        _fit(adaptation, images, recipe, look, device, means)
    fixed = copied(module)
    fixed.load_state_dict(network.state_dict())
    return fixed.eval()


def _recipe(images: int, epochs: int, lr: float, batch_size: int | None) -> dict:
    """The recipe of `fixres recommend` for so many images, with what is asked for."""
    if batch_size is None:
        batch_size = fitting(FINE_TUNING["batch_size"], images)
    given = {"epochs": epochs, "lr": lr, "batch_size": whole(batch_size)}
    recipe = checked(FineTuning, **FINE_TUNING | given).model_dump()
    if images < batch_size:
        expected = f"expected at most the number of images, {images}"
        raise JobError(f"batch_size: invalid value (got {batch_size}, {expected}).")
    micro = recipe["micro_batch"]
    if batch_size > micro and batch_size % micro:
        raise JobError(
            f"batch_size: not whole micro-batches (got {batch_size}, expected at most {micro}, or "
            "a multiple)."
        )
    return recipe


def _fit(
    adaptation: Adaptation,
    images: LiveImages,
    recipe: dict,
    look: Look,
    device: Device,
    means: Means,
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
    look: Look | None = None,
) -> tuple[Adaptation, list[str]]:
    """A network made ready in place, and the names of the layers that train."""
    if layers not in ("cls", "cls+bn"):
        raise JobError(f"layers: unknown value (got {layers!r}, expected 'cls' or 'cls+bn').")
    outputs = classes_of(network.eval(), k)
    given: dict[str, Any] = {} if classifier is None else {"classifier": classifier}
    given |= {"outputs": outputs}
    if layers == "cls" or last_norm is not None:
        given["last_norm"] = [] if layers == "cls" else _names(last_norm)
    found = last_layers_of(network, k, given)
    if layers != "cls" and not found["last_norm"]:
        way_out = "Give last_norm=[…], or layers='cls' for the classifier alone"
        raise JobError(f"last_norm: none found in {type(network).__name__}. {way_out}")
    entry = Network(
        title=type(network).__name__,
        stride=1,
        classifier=found["classifier"],
        other_heads=tuple(found["other_heads"]),
        last_batch_norm=tuple(found["last_norm"]),
        cells=(),
        constructor="",
    )
    test_da = Augmentation("test DA", crop_pct=look.crop_pct if look else None)
    adaptation = adapt_last_layers(network, entry, LAYERS[layers], k, augmentation=test_da)
    return adaptation, [*found["last_norm"], *entry.classifiers]


def _names(names: Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)
