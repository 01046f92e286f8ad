"""The fine-tuning itself: the head of an adapted network trains on what its trunk gives (§4.2).

    adaptation = adapt_last_layers(network, entry, ["batch-norm", "classifier"], k_test=384)
    fit_head(adaptation, images, how, cache_bytes, checkpoints, checkpoint_seconds)

The stage finetune.py gives it the images of a manifest, `fixres.fix` (api/) the images of a
program.

Test DA cuts the same crop of an image in every epoch. The activations of the trunk are then
computed once and kept in memory, where they fit (activation_cache.py). Otherwise every epoch
computes them again. Both give the same numbers.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from fixres.data import sampling
from fixres.hardware.device import Device, send
from fixres.models.adapt import Adaptation
from fixres.models.checkpoints import Checkpoints
from fixres.stages import sgd
from fixres.stages.activation_cache import Activations, Cache, RunTrunk, Wanted, compute_once
from fixres.stages.training_log import TrainingLog

# Cuts batches of training crops: (rows, epoch) each -> the rows, and what the network sees of them,
# (n, 3, k, k) on the device. A second argument: keep the decoded images for later epochs.
CutCrops = Callable[..., Iterator[tuple[np.ndarray, torch.Tensor]]]


class TrainingImages(NamedTuple):
    """The images to fine-tune on."""

    rows: np.ndarray  # (n,) their numbers
    labels: np.ndarray  # the class of image `row` is labels[row], once a crop of it was cut
    crops: CutCrops
    keep: bool = False  # whether decoded images are kept where every epoch cuts crops
    known: Cache | None = None  # the trunk's activations, where an earlier job has left them
    # Gets the activations, where they are computed once, before the head trains.
    share: Callable[[Cache], object] = lambda _: None


def fit_head(
    adaptation: Adaptation,
    images: TrainingImages,
    how: sgd.Optimisation,
    cache_bytes: float,
    checkpoints: Checkpoints,
    checkpoint_seconds: float,
    folder: Path | None = None,
    tensorboard: bool = False,
) -> TrainingLog:
    """Train the head of a network, in place. Returns the log of the training.

    Parameters
    ----------
    cache_bytes : memory of a machine for activations that are computed once; 0: none are kept.
    checkpoints, checkpoint_seconds, and errors : as of `sgd.fit`.
    folder, tensorboard : as of `Optimisation.log`.
    """
    device, ranks, recipe, rows = how.device, how.ranks, how.recipe, images.rows

    # --- the inputs of the head: activations of the trunk, computed once or in every epoch
    run_trunk = trunk_on(adaptation, images.crops, device)
    cache = images.known
    if cache is None and adaptation.constant_activations:
        probe = of_one_image(adaptation, device)
        micro = how.batch.micro
        cache = compute_once(run_trunk, probe, rows, micro, cache_bytes, device.device, ranks)
        if cache is not None:
            images.share(cache)
    labels = torch.from_numpy(images.labels[rows]).long().to(device.device)

    def stream(first: int) -> Iterator[tuple[Activations, torch.Tensor]]:
        epochs = sampling.Epochs(how.seed, len(rows), len(rows), recipe["batch_size"])
        drawn = sampling.stream(epochs, first, how.steps, how.batch.micro, ranks.rank, ranks.size)
        if cache is None:
            wanted = ((rows[image], epoch) for epoch, image, _ in drawn)
            for chosen, activations in run_trunk(wanted, images.keep):
                targets = torch.from_numpy(images.labels[chosen]).long()
                yield activations, send(targets, device.device)
        else:
            for _, image, _ in drawn:
                chosen = send(torch.from_numpy(image), device.device)
                yield cache.read(image), labels[chosen]

    # --- loop
    trained, head = nn.ModuleList(adaptation.trained), device.prepare(adaptation.head)
    log = how.log(folder, tensorboard)
    sgd.fit(head, trained, stream, how, checkpoints, checkpoint_seconds, log)
    return log


def of_one_image(adaptation: Adaptation, device: Device) -> Activations:
    """What the trunk makes of one image, of zeros: it tells shapes and types."""
    k = adaptation.k_test
    x = torch.zeros(1, 3, k, k, device=device.device)
    with torch.no_grad(), device.autocast():
        return adaptation.trunk(x)


def trunk_on(adaptation: Adaptation, crops: CutCrops, device: Device) -> RunTrunk:
    """A function that runs the trunk on training crops, batch by batch."""
    trunk = device.prepare(adaptation.trunk)

    def run_trunk(wanted: Wanted, keep: bool = False) -> Iterator[tuple[np.ndarray, Activations]]:
        for rows, x in crops(wanted, keep):
            with torch.no_grad(), device.autocast():
                # One memory layout, cached or not: in another one the last bits of sums differ.
                activations = tuple(a.contiguous() for a in trunk(x))
            # Outside the block: inside it the consumer of this generator would have no gradients.
            yield rows, activations

    return run_trunk
