"""The random numbers of the data: which images an epoch shows, and how each crop is drawn.

Every number is a function of its coordinates: the seed, the purpose (`PURPOSES`), the epoch, the
image and the repeat. The generator is Philox, which is counter-based: (seed, purpose) is its key
and (epoch, image, repeat) its counter. So workers, loaders, ranks and the order of calls have no
effect, and a run that resumes at any step draws the same numbers as an undisturbed run.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

# RandomResizedCrop tries this many rectangles, then takes a centre crop, as in torchvision.
ATTEMPTS = 10
# The columns of `uniforms`: ATTEMPTS areas, ATTEMPTS aspect ratios, then one column per name below.
# JITTER has three columns: brightness, contrast, saturation.
AREA, ASPECT = slice(0, ATTEMPTS), slice(ATTEMPTS, 2 * ATTEMPTS)
TOP, LEFT, FLIP = 2 * ATTEMPTS, 2 * ATTEMPTS + 1, 2 * ATTEMPTS + 2
JITTER, JITTER_ORDER, SHIFT, NUMBERS = slice(FLIP + 1, FLIP + 4), FLIP + 4, FLIP + 5, FLIP + 6
SUBSET = 2**32  # the epoch number for `random_subset`, which no training reaches
PURPOSES = {"rocs": 0, "order": 1, "cutmix": 2, "dropout": 3}


# --- random numbers of images, batches and layers -----------------------------------------------


def uniforms(seed: int, epoch: int, images: np.ndarray, repeats: np.ndarray) -> np.ndarray:
    """(n, NUMBERS) numbers in [0, 1). Each row depends only on (seed, epoch, image, repeat)."""
    out = np.empty((len(images), NUMBERS))
    for row, image, repeat in zip(out, images.tolist(), repeats.tolist(), strict=True):
        stream = _philox(seed, "rocs", repeat, epoch, image)
        row[:] = np.random.Generator(stream).random(NUMBERS)
    return out


def _philox(seed: int, purpose: str, *coordinates: int) -> np.random.Philox:
    key = np.array([seed, PURPOSES[purpose]], np.uint64)
    counter = np.array([0, *coordinates, *[0] * (3 - len(coordinates))], np.uint64)
    return np.random.Philox(key=key, counter=counter)


def word(seed: int, purpose: str, *coordinates: int) -> int:
    """64 random bits from a seed, a purpose and up to three coordinates, to seed a generator."""
    return int(_philox(seed, purpose, *coordinates).random_raw())


class CutMix(NamedTuple):
    """The rectangle that each crop of a batch takes from its partner."""

    x0: int
    y0: int
    x1: int
    y1: int
    share: float  # of the crop's pixels that stay: the weight of the crop's label


def cutmix(seed: int, step: int, probability: float, k: int) -> CutMix | None:
    """CutMix for the global batch of one step, with k×k crops; None if the batch stays as it is.

    Source: Yun et al., "CutMix" (2019), §3.1. λ ~ Beta(1, 1); the box has the area 1 - λ and a
    uniform centre. The box is clipped to the crop, and the labels are mixed in proportion to the
    pixels.
    """
    if not probability:
        return None
    rng = np.random.Generator(_philox(seed, "cutmix", 0, 0, step))
    chance, mixing, x, y = rng.random(4)
    if chance >= probability:
        return None
    half = int(k * math.sqrt(1 - mixing)) // 2
    (x0, x1), (y0, y1) = ((max(int(c * k) - half, 0), min(int(c * k) + half, k)) for c in (x, y))
    return CutMix(x0, y0, x1, y1, 1 - (x1 - x0) * (y1 - y0) / k**2)


# --- the order of the images --------------------------------------------------------------------


def order(
    seed: int, epoch: int, images: int, samples: int, repeats: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The image of each sample of one epoch, and the repeat number of the sample.

    Both are (samples,) int64. Images are drawn without replacement; after all are drawn, a new
    permutation starts. With repeated augmentation (§5) each drawn image appears `repeats` times in
    a row, each time with another repeat number, and so another RoC.
    """
    draws = -(-samples // repeats)
    rounds = -(-draws // images)
    rng = np.random.Generator(_philox(seed, "order", 0, epoch))
    drawn = np.concatenate([rng.permutation(images) for _ in range(rounds)])[:draws]
    repeat = np.arange(draws)[:, None] // images * repeats + np.arange(repeats)
    return np.repeat(drawn, repeats)[:samples], repeat.reshape(-1)[:samples]


def random_subset(rows: np.ndarray, n: int | None, seed: int) -> np.ndarray:
    """`n` random rows, in their original order; all rows if `n` is None."""
    if n is None or n >= len(rows):
        return rows
    drawn, _ = order(seed, SUBSET, len(rows), n)
    return rows[np.sort(drawn)]


class Epochs(NamedTuple):
    """How a training draws its images, epoch after epoch."""

    seed: int
    images: int  # number of images to draw from
    samples: int  # per epoch; samples that do not fill a batch are dropped
    batch_size: int  # of the global batch, over all ranks
    repeats: int = 1  # consecutive copies of a drawn image (RA)
    spread: bool = False  # whether the copies of an image go to different micro-batches

    @property
    def steps(self) -> int:
        """Whole batches of one epoch."""
        return self.samples // self.batch_size


def stream(
    epochs: Epochs, first: int, last: int, micro: int | None = None, rank: int = 0, world: int = 1
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The images of every micro-batch of one rank, from step `first` up to step `last`.

    `micro_batches` divides a global batch into micro-batches. For any number of ranks, the
    micro-batches are the same in total, and are divided evenly among the ranks.

    Parameters
    ----------
    first, last : steps, counted over all epochs; `last` is excluded.
    micro : crops per micro-batch; None: a rank's whole share of the batch.
    rank, world : the rank, and the number of ranks.

    Yields
    ------
    (epoch, image, repeat) : the number of the epoch, then one entry per crop, as from `order`.
    """
    current, micro = -1, micro or epochs.batch_size // world
    for step in range(first, last):
        epoch, within = divmod(step, epochs.steps)
        if epoch != current:
            image, repeat = order(epochs.seed, epoch, epochs.images, epochs.samples, epochs.repeats)
            current = epoch
        for part in micro_batches(epochs, within, micro, rank, world):
            yield epoch, image[part], repeat[part]


def micro_batches(
    epochs: Epochs, step: int, micro: int, rank: int = 0, world: int = 1
) -> Iterator[slice]:
    """The samples of the epoch in each micro-batch of one rank at one step.

    Without `spread`, each micro-batch is a contiguous piece of the stream, so the copies of an
    image stay together (MultiGrain; Berman et al., 2019). With `spread`, the stream is dealt out
    like cards, one crop to each micro-batch in turn. So the consecutive copies of an image go to
    different micro-batches, if there are as many micro-batches as copies. The sampler of the
    authors' released code deals the stream out to its devices in this way. `micro`, the crops per
    micro-batch, must then divide a rank's share of the batch. With a single micro-batch per batch,
    both are the same. `step` counts within the epoch.
    """
    share = rank_slice(step, epochs.batch_size, rank, world)
    if not epochs.spread:
        for start in range(share.start, share.stop, micro):
            yield slice(start, min(start + micro, share.stop))
        return
    whole = rank_slice(step, epochs.batch_size)
    each = (share.stop - share.start) // micro  # micro-batches per rank
    for number in range(rank * each, (rank + 1) * each):
        yield slice(whole.start + number, whole.stop, each * world)


def rank_slice(step: int, batch_size: int, rank: int = 0, world: int = 1) -> slice:
    """The samples of the epoch for one rank at one step: an even share of the batch."""
    if batch_size % world:
        expected = f"expected a multiple of {world}, the number of ranks"
        raise ValueError(
            f"batch_size: not divisible among the ranks (got {batch_size}, {expected})."
        )
    share = batch_size // world
    start = step * batch_size + rank * share
    return slice(start, start + share)
