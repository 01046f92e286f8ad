"""95% intervals of accuracies and of their differences, over images and over seeds.

    replicas = resample({"a": right_of_a, "b": right_of_b})
    interval(replicas["a"])                  # of a's accuracy
    interval(replicas["b"] - replicas["a"])  # of the gain: the images and seeds are the same

A number of a page is a mean over n validation images and S seeds. With other images and other seeds
it would have been another one. The two-way bootstrap imitates that: each of its replicas draws n
images and S seeds with replacement, independently of each other, and takes the mean again. All
numbers of a page share these draws. So a difference is paired: what makes an image hard, or a seed
lucky, for both sides is no part of it.

Two things are done to keep the promise of 95% with few seeds (tests/pages/test_intervals.py):

- The share of the seeds is stretched. S seeds vary less around their own mean than around the mean
  of all seeds, and S numbers tell their spread poorly. `stretch` corrects for both, as Student's t
  does: by 1.6 for five seeds, by 9 for two.
- The effect of the drawn seeds is taken on the whole set of images. To draw images there too would
  count the noise of single images three times (Owen, "The pigeonhole bootstrap", 2007), and not
  twice.

With one seed nothing is known about other seeds: the interval is that of a bootstrap over images.
"""

from collections.abc import Hashable, Mapping

import numpy as np

REPLICAS = 4000
LEVEL = 0.95
CHUNK = 2**24  # draws of images at a time

Key = Hashable


def resample(values: Mapping[Key, np.ndarray], image_set: str = "") -> dict[Key, np.ndarray]:
    """The bootstrap replicas of some means that were measured on the same images.

    Parameters
    ----------
    values : (S, n) each: what the run of a seed found on an image, such as whether it was right;
        or (S, n, b): b numbers on each image.
    image_set : a digest of which images these are. Other sets are drawn independently.

    Returns
    -------
    (REPLICAS,) or (REPLICAS, b) means each; those of bool, such as accuracies, in per cent.
    """
    if not values:
        return {}
    # (b, S, n): each number of an image by itself.
    columns = [v[None] if v.ndim == 2 else np.moveaxis(v, 2, 0) for v in values.values()]
    together = np.concatenate(columns)
    cells, seeds, n = together.shape
    by_image = _over_images(together.reshape(-1, n), image_set).reshape(cells, seeds, REPLICAS)
    replicas = by_image.mean(axis=1) + _over_seeds(together.mean(axis=2, dtype=float))
    ends = np.cumsum([len(block) for block in columns])
    out = {}
    for (key, block), mine in zip(values.items(), np.split(replicas, ends[:-1]), strict=True):
        unit = 100 if block.dtype == bool else 1
        out[key] = unit * (mine[0] if block.ndim == 2 else mine.T)
    return out


def _over_images(hits: np.ndarray, image_set: str) -> np.ndarray:
    """(runs, REPLICAS) means on images that are drawn anew. hits : (runs, n).

    The draws follow from `image_set` alone. Sums of hits are whole numbers, which float32 holds
    exactly up to 16 million: they are the same on every machine.
    """
    runs, n = hits.shape
    rng = np.random.Generator(np.random.Philox(int(image_set or "0", 16) % 2**64))
    out = np.empty((runs, REPLICAS))
    transposed = hits.T.astype(np.float32)
    at_once = max(CHUNK // n, 1)
    for start in range(0, REPLICAS, at_once):
        rows = min(at_once, REPLICAS - start)
        drawn = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        out[:, start : start + rows] = (times.astype(np.float32) @ transposed).T / n
    return out


def _over_seeds(accuracies: np.ndarray) -> np.ndarray:
    """(cells, REPLICAS) by how much seeds that are drawn anew move the mean.

    accuracies : (cells, S), of each seed on all images.
    """
    _, seeds = accuracies.shape
    if seeds == 1:
        return np.zeros((len(accuracies), REPLICAS))
    rng = np.random.Generator(np.random.Philox(seeds))
    weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=REPLICAS) / seeds
    deviations = accuracies - accuracies.mean(axis=1, keepdims=True)
    return stretch(seeds) * deviations @ weights.T


def stretch(seeds: int) -> float:
    """By how much a plain bootstrap over so few seeds is too narrow: sqrt(S/(S - 1)) · t/z."""
    from scipy import stats  # here: with one seed, a page does not wait for its import

    tail = (1 + LEVEL) / 2
    wider = stats.t.ppf(tail, seeds - 1) / stats.norm.ppf(tail)
    return float(np.sqrt(seeds / (seeds - 1)) * wider)


def interval(replicas: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The interval that holds the middle 95% of the replicas."""
    tail = (1 - level) / 2
    low, high = np.quantile(replicas, [tail, 1 - tail])
    return float(low), float(high)
