"""Two loaders, one geometry: DALI and Pillow-SIMD cut exactly the RoCs of `regions.py` and hand out uint8.

A request is one batch: the crops to cut, as one `Views` for each resolution. An image that several crops come from (the repeats of
RA, or several test resolutions) is read and decoded once. What is handed over is what the network will see before normalisation;
that and the colour jitter happen on the device (`to_device`), alike for both loaders.

DALI's own random crops depend on its batch size and threads; here it only executes rectangles that are given to it.

The first time that a file is read it is compared with the manifest's checksum: an image of other content is other training data.
"""

import functools
from collections.abc import Iterable, Iterator

import torch

from fixres.data.batch_layout import Crops
from fixres.data.dali_loader import _dali_batches
from fixres.data.manifest import Manifest
from fixres.data.pillow_loader import _pillow_batches
from fixres.data.regions import Views
from fixres.jobs import JobError
from fixres.jobs.device import send

CPU = torch.device("cpu")
PREFETCH = 3  # batches in memory while a GPU computes, with the one in use
PERMUTATIONS = torch.tensor([(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
GREY = (0.2989, 0.587, 0.114)  # ITU-R 601-2 luma, as torchvision and Pillow convert to grey


def resolve(loader: str) -> str:
    """`auto` is DALI where it is installed (Linux), else Pillow. Raises JobError where DALI is asked for and missing."""
    from importlib.util import find_spec

    installed = find_spec("nvidia") is not None and find_spec("nvidia.dali") is not None
    if loader == "dali" and not installed:
        raise JobError(
            "hardware.loader: found dali, which is not installed here (its wheels are for Linux); take auto or pillow"
        )
    return ("dali" if installed else "pillow") if loader == "auto" else loader


def batches(
    manifest: Manifest,
    requests: Iterable[list[Crops]],
    loader: str = "auto",
    threads: int = 1,
    device: torch.device = CPU,
) -> Iterator[tuple[list[Crops], list[torch.Tensor]]]:
    """Cut the crops of each request: beside a GPU a few requests ahead of the consumer, on a CPU in turn with it.

    There the network computes on the same cores, with all the threads that the job was given: what is loaded meanwhile would take a core
    from the job beside it. (Measured: benchmarks/side_by_side.py.)

    Parameters
    ----------
    requests : one entry a batch; every entry has the same resolutions in the same order.
    threads : worker threads, on a CPU at most those of torch; they change nothing but the speed.

    Yields
    ------
    Each request with its pixels: one (n, k, k, 3) uint8 tensor per resolution, in memory, or on `device` where DALI decodes there.
    """
    ahead = PREFETCH
    if device.type == "cpu":
        ahead, threads = 1, min(threads, torch.get_num_threads())
    cut = _dali_batches if resolve(loader) == "dali" else _pillow_batches
    return cut(manifest, requests, threads, ahead, device)


def to_device(
    crops: torch.Tensor,
    views: Views,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    device: torch.device,
) -> torch.Tensor:
    """uint8 crops to what the network sees: jittered, scaled to [0, 1], normalised; (n, 3, k, k) float32 in channels_last."""
    x = send(crops, device).permute(0, 3, 1, 2).float() / 255
    if views.jitter is not None:
        x = colour_jitter(x, torch.from_numpy(views.jitter), torch.from_numpy(views.jitter_order))
    return (x - _channels(mean, device)) / _channels(std, device)


@functools.cache
def _channels(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """(1, 3, 1, 1), made once: a copy to a GPU waits for what it is computing."""
    return torch.tensor(values, device=device).view(1, 3, 1, 1)


def colour_jitter(x: torch.Tensor, factors: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Brightness, contrast and saturation of every image scaled by its own factors, in its own order.

    Each of the three is a blend f·x + (1 - f)·reference, clamped to [0, 1]; the reference is black, the image's mean grey, or each
    pixel's grey. Equals torchvision's adjust_brightness, adjust_contrast and adjust_saturation.

    Parameters
    ----------
    x : (n, 3, h, w) in [0, 1].
    factors : (n, 3) factors of brightness, contrast, saturation.
    order : (n,) in 0..5, which permutation of the three.
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
