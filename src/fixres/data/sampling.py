"""TODO."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

ATTEMPTS = (
    10  # rectangles tried before RandomResizedCrop falls back to a centre crop, as torchvision does
)
# Uniform numbers of one view: ATTEMPTS areas, ATTEMPTS aspect ratios, then the ones named here.
AREA, ASPECT, TOP, LEFT, FLIP = 0, ATTEMPTS, 2 * ATTEMPTS, 2 * ATTEMPTS + 1, 2 * ATTEMPTS + 2
JITTER, JITTER_ORDER, SHIFT, NUMBERS = FLIP + 1, FLIP + 4, FLIP + 5, FLIP + 6
SUBSET = 2**32  # an epoch that no training reaches: the random order that the subset is taken from
PURPOSES = {"views": 0, "order": 1, "cutmix": 2, "dropout": 3}


def uniforms(seed: int, epoch: int, images: np.ndarray, repeats: np.ndarray) -> np.ndarray:
    """(n, NUMBERS) numbers in [0, 1), each row a function of (seed, epoch, image, repeat) alone."""
    out = np.empty((len(images), NUMBERS))
    key = np.array([seed, PURPOSES["views"]], np.uint64)
    for row, image, repeat in zip(out, images.tolist(), repeats.tolist(), strict=True):
        stream = np.random.Philox(key=key, counter=np.array([0, repeat, epoch, image], np.uint64))
        row[:] = np.random.Generator(stream).random(NUMBERS)
    return out


def order(
    seed: int, epoch: int, images: int, samples: int, repeats: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The batch stream of one epoch: which image, and which repeat of it.

    Images are drawn without replacement, permutation after permutation; each drawn image stands `repeats` times in a row
    (repeated augmentation, §5), each time with another repeat number and so another RoC.

    Returns
    -------
    (image, repeat) : two int64 arrays of length `samples`.
    """
    draws = -(-samples // repeats)
    rounds = -(-draws // images)
    rng = np.random.Generator(
        np.random.Philox(key=[seed, PURPOSES["order"]], counter=[0, 0, epoch, 0])
    )
    drawn = np.concatenate([rng.permutation(images) for _ in range(rounds)])[:draws]
    repeat = np.arange(draws)[:, None] // images * repeats + np.arange(repeats)
    return np.repeat(drawn, repeats)[:samples], repeat.reshape(-1)[:samples]


def word(seed: int, purpose: str, *coordinates: int) -> int:
    """64 random bits, a function of the seed, the purpose and up to three coordinates alone: to seed a generator with."""
    counter = np.array([0, *coordinates, *[0] * (3 - len(coordinates))], np.uint64)
    return int(
        np.random.Philox(
            key=np.array([seed, PURPOSES[purpose]], np.uint64), counter=counter
        ).random_raw()
    )


def stream(
    seed: int,
    images: int,
    samples: int,
    batch_size: int,
    first: int,
    last: int,
    repeats: int = 1,
    micro_batch: int | None = None,
    rank: int = 0,
    world: int = 1,
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(epoch, image, repeat) of every micro-batch from step `first` up to `last`; epochs of samples // batch_size whole batches.

    Of each global batch a rank gets its contiguous share, in pieces of `micro_batch` images (None: in one piece): whatever the number of
    ranks, together they see the same micro-batches.
    """
    steps_per_epoch, current, micro = samples // batch_size, -1, micro_batch or batch_size // world
    for step in range(first, last):
        epoch, within = divmod(step, steps_per_epoch)
        if epoch != current:
            image, repeat = order(seed, epoch, images, samples, repeats)
            current = epoch
        share = rank_slice(within, batch_size, rank, world)
        for start in range(share.start, share.stop, micro):
            part = slice(start, min(start + micro, share.stop))
            yield epoch, image[part], repeat[part]


def rank_slice(step: int, batch_size: int, rank: int = 0, world: int = 1) -> slice:
    """The part of the epoch's stream that one rank of `world` sees at one step: an even share of the global batch."""
    if batch_size % world:
        raise ValueError(f"batch_size {batch_size} cannot be shared evenly by {world} ranks")
    share = batch_size // world
    start = step * batch_size + rank * share
    return slice(start, start + share)


class CutMix(NamedTuple):
    """The rectangle of one batch that comes from each crop's partner."""

    x0: int
    y0: int
    x1: int
    y1: int
    share: float  # of the crop's pixels that stay: the weight of its own label


def cutmix(seed: int, step: int, probability: float, k: int) -> CutMix | None:
    """CutMix of the global batch of one step, for k×k crops; None where this batch stays as it is.

    Source: Yun et al., "CutMix" (2019), §3.1: λ ~ Beta(1, 1), a box of area 1 - λ about a uniform centre; what lies outside of the crop is
    cut off, and the labels are mixed by the pixels that are left.
    """
    if not probability:
        return None
    rng = np.random.Generator(
        np.random.Philox(
            key=np.array([seed, PURPOSES["cutmix"]], np.uint64), counter=[0, 0, 0, step]
        )
    )
    chance, mixing, x, y = rng.random(4)
    if chance >= probability:
        return None
    half = int(k * math.sqrt(1 - mixing)) // 2
    (x0, x1), (y0, y1) = ((max(int(c * k) - half, 0), min(int(c * k) + half, k)) for c in (x, y))
    return CutMix(x0, y0, x1, y1, 1 - (x1 - x0) * (y1 - y0) / k**2)


def random_subset(rows: np.ndarray, n: int | None, seed: int) -> np.ndarray:
    """`n` of the rows, drawn at random (by a stream of its own), in their order; all of them for None."""
    if n is None or n >= len(rows):
        return rows
    drawn, _ = order(seed, SUBSET, len(rows), n)
    return rows[np.sort(drawn)]
