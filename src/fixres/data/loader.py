"""Crops from files: two loaders, DALI and Pillow-SIMD, that cut exactly the RoCs of `regions.py`.

A request is one batch: a list of `Crops`, one per resolution. An image that is needed for several
crops (repeated augmentation, or several test resolutions) is read and decoded once.

The loaders return uint8 pixels. Colour jitter and normalisation follow on the device (`to_device`),
so they are the same for both loaders. DALI's own random crops would depend on its batch size and
threads, so here DALI only cuts given rectangles.
"""

import functools
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from fixres.artifacts.manifest import Manifest
from fixres.data.batch_layout import Crops
from fixres.data.dali_loader import dali_batches
from fixres.data.pillow_loader import pillow_batches
from fixres.data.regions import Rocs
from fixres.hardware.device import send
from fixres.jobs import JobError

CPU = torch.device("cpu")
PREFETCH = 3  # batches in host memory for a GPU, including the batch in use
# The six orders of (0) brightness, (1) contrast, (2) saturation, indexed by `Rocs.jitter_order`.
PERMUTATIONS = torch.tensor([(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
BYTES_OF_A_PIXEL = 4  # in Pillow's memory, also for RGB
GREY = (0.2989, 0.587, 0.114)  # ITU-R 601-2 luma, as torchvision and Pillow convert to grey


def dali_is_installed() -> bool:
    """Whether NVIDIA's DALI can be imported. It has wheels only for Linux."""
    from importlib.util import find_spec

    return find_spec("nvidia") is not None and find_spec("nvidia.dali") is not None


def resolve(loader: str, device: torch.device = CPU) -> str:
    """The loader to use: "dali" or "pillow".

    `auto` is the fastest for the device (benchmarks/loaders.py): DALI with a GPU, which then
    decodes, and Pillow on a processor. Raises JobError if DALI is requested but missing.
    """
    installed = dali_is_installed()
    if loader == "dali" and not installed:
        raise JobError(
            "hardware.loader: DALI is not installed (got dali; DALI has wheels only for Linux). "
            "Use auto or pillow."
        )
    fastest = "dali" if installed and device.type == "cuda" else "pillow"
    return fastest if loader == "auto" else loader


def batches(
    manifest: Manifest,
    requests: Iterable[list[Crops]],
    loader: str = "auto",
    threads: int = 1,
    device: torch.device = CPU,
    keep: bool = False,
) -> Iterator[tuple[list[Crops], list[torch.Tensor]]]:
    """Cut the crops of each request.

    With a GPU, batches are loaded ahead of their use (`PREFETCH`). On a CPU, loading and computing
    take turns: the network computes on the same cores with all threads of the job, so loading
    concurrently would take a core from another job (measured: benchmarks/side_by_side.py).

    Parameters
    ----------
    requests : one per batch; all have the same resolutions in the same order.
    threads : worker threads; on a CPU at most as many as torch has. They affect only the speed.
    keep : keep decoded images in memory, so that later epochs only cut (`room_for`). DALI keeps
        none.

    Yields
    ------
    Each request with its pixels: for each resolution a (n, k, k, 3) uint8 tensor in memory, or on
    `device` if DALI decodes there.
    """
    ahead = PREFETCH
    if device.type == "cpu":
        ahead, threads = 1, min(threads, torch.get_num_threads())
    if resolve(loader, device) == "dali":
        return dali_batches(manifest, requests, threads, ahead, device)
    return pillow_batches(manifest, requests, threads, ahead, device, keep)


def room_for(manifest: Manifest, rows: np.ndarray, budget: float) -> bool:
    """Whether some images of the manifest, decoded, take at most `budget` bytes.

    All images are kept or none, because images are read in random order, and a part of them would
    seldom be used again.
    """
    pixels = manifest.height[rows].astype(np.int64) * manifest.width[rows]
    return int(pixels.sum()) * BYTES_OF_A_PIXEL <= budget


def to_device(
    crops: torch.Tensor,
    rocs: Rocs | None,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    device: torch.device,
) -> torch.Tensor:
    """The network's input from (n, k, k, 3) uint8 crops: scaled to [0, 1], jittered, normalised.

    The result is (n, 3, k, k) float32 in channels_last. `rocs` is used only for its jitter;
    None: no jitter.
    """
    x = send(crops, device).permute(0, 3, 1, 2).float().div_(255)
    if rocs is not None and rocs.jitter is not None:
        x = colour_jitter(x, torch.from_numpy(rocs.jitter), torch.from_numpy(rocs.jitter_order))
    return x.sub_(_channels(mean, device)).div_(_channels(std, device))


@functools.cache
def _channels(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Three values as (1, 3, 1, 1); cached, because a copy to a GPU waits for its computations."""
    return torch.tensor(values, device=device).view(1, 3, 1, 1)


def colour_jitter(x: torch.Tensor, factors: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Scale brightness, contrast and saturation of every image by its own factors.

    Each operation is a blend f·x + (1 - f)·reference, clamped to [0, 1]. The reference is black
    for brightness, the image's mean grey for contrast, and each pixel's grey for saturation.
    Equals torchvision's adjust_brightness, adjust_contrast and adjust_saturation.

    `x` is (n, 3, h, w) in [0, 1], `factors` (n, 3), and `order` (n,) in 0..5: the row of
    PERMUTATIONS with the order of the three operations.
    """
    sequence = PERMUTATIONS[order]
    factors, sequence = send(factors.gather(1, sequence), x.device), send(sequence, x.device)
    for position in range(3):
        f, operation = (a[:, position].view(-1, 1, 1, 1) for a in (factors, sequence))
        grey = (x * _channels(GREY, x.device)).sum(dim=1, keepdim=True)
        flat = torch.where(operation == 0, 0.0, grey.mean(dim=(2, 3), keepdim=True))
        reference = torch.where(operation == 2, grey, flat)
        x = (f * x + (1 - f) * reference).clamp(0, 1)
    return x
