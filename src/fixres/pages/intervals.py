"""95% intervals of accuracies and of their differences, over images and over seeds.

    replicas = resample({"a": right_of_a, "b": right_of_b})
    interval(replicas["a"])                  # of a's accuracy
    interval(replicas["b"] - replicas["a"])  # of the gain: the images and seeds are the same

A number on a page is a mean over n validation images and S seeds. Other images and seeds would have
given another number. The two-way bootstrap imitates that: each replica draws n images and S
seeds with replacement, independently of each other, and takes the mean again. All numbers of a page
share these draws, so a difference is paired: an image that is hard, or a seed that is lucky, for
both sides does not affect it.

Two things are done to keep the promise of 95% with few seeds (tests/pages/test_intervals.py):

- The share of the seeds is stretched. S seeds vary less around their own mean than around the mean
  of all seeds, and S numbers tell their spread poorly. `stretch` corrects for both, as Student's t
  does: by 1.6 for five seeds, by 9 for two.
- The effect of the drawn seeds is measured on the whole set of images. Drawing images there as well
  would count the noise of single images three times instead of twice (Owen, "The pigeonhole
  bootstrap", 2007).

One seed says nothing about other seeds, so its interval comes from a bootstrap over images.

Two cases need more:

- A run that classifies every image correctly, or none, has the same mean in every replica. Its
  replicas are then drawn so that their quantiles are the ends of the exact binomial interval.
- Five seeds drawn with replacement have no tails beyond the worst seed drawn five times. That
  suffices for one comparison, but not for the levels of many. Claims draw the seeds' share from
  Student's t (`students`).
"""

import functools
from collections.abc import Callable, Hashable, Mapping

import numpy as np

REPLICAS = 4000
LEVEL = 0.95
CHUNK = 2**24  # draws of images at a time

Key = Hashable


def resample(
    values: Mapping[Key, np.ndarray],
    image_set: str = "",
    over_seeds: Callable[[np.ndarray], np.ndarray] | None = None,
) -> dict[Key, np.ndarray]:
    """The bootstrap replicas of means that were measured on the same images.

    Parameters
    ----------
    values : (S, n) each: the result of a seed's run on an image, such as whether it was correct;
        or (S, n, b): b numbers for each image.
    image_set : a digest of the set of images. Different sets are drawn independently.
    over_seeds : how other seeds move the means, such as `students`; None: `drawn_again`.

    Returns
    -------
    (REPLICAS,) or (REPLICAS, b) means each; means of bool values, such as accuracies, in per cent.
    """
    if not values:
        return {}
    # (b, S, n): each number of an image separately.
    columns = [v[None] if v.ndim == 2 else np.moveaxis(v, 2, 0) for v in values.values()]
    together = np.concatenate(columns)
    cells, seeds, n = together.shape
    by_image = _over_images(together.reshape(-1, n), image_set).reshape(cells, seeds, REPLICAS)
    moved = (over_seeds or drawn_again)(together.mean(axis=2, dtype=float))
    replicas = by_image.mean(axis=1) + moved
    ends = np.cumsum([len(block) for block in columns])
    out = {}
    for (key, block), mine in zip(values.items(), np.split(replicas, ends[:-1]), strict=True):
        unit = 100 if block.dtype == bool else 1
        out[key] = unit * (mine[0] if block.ndim == 2 else mine.T)
        if block.dtype == bool and block.ndim == 2 and (block == block[0, 0]).all():
            out[key] = _exact(bool(block[0, 0]), n, image_set)
    return out


def _exact(right: bool, n: int, image_set: str) -> np.ndarray:
    """(REPLICAS,) per cent, for a run that classifies all n images correctly, or none.

    Their quantiles at p and 1 - p are the ends of the interval of Clopper and Pearson (1934): if
    all are correct, the share whose n-th power is p, and 1. Equal runs have equal replicas.
    """
    rng = np.random.Generator(np.random.Philox(int(image_set or "0", 16) % 2**64 + 2**64))
    p = (rng.permutation(REPLICAS) + 0.5) / REPLICAS
    share = np.where(p < 0.5, p ** (1 / n), 1.0)
    return 100 * (share if right else 1 - share)


def _over_images(hits: np.ndarray, image_set: str) -> np.ndarray:
    """(runs, REPLICAS) means over resampled images. hits : (runs, n).

    The draws depend only on `image_set`. Sums of hits are integers, which float32 holds exactly up
    to 16 million, so they are the same on every machine.
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


def drawn_again(accuracies: np.ndarray) -> np.ndarray:
    """(cells, REPLICAS) changes of the mean by resampled seeds.

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


def students(accuracies: np.ndarray) -> np.ndarray:
    """The same, where every difference between cells has Student's t distribution at all levels.

    It is the deviation of the mean of S normal numbers, divided by what they tell of its size: a
    multivariate t with S - 1 degrees of freedom.
    """
    cells, seeds = accuracies.shape
    if seeds == 1:
        return np.zeros((cells, REPLICAS))
    contrasts, t = _students(seeds, REPLICAS)
    return accuracies @ contrasts @ t / np.sqrt(seeds * (seeds - 1))


@functools.cache
def _students(seeds: int, replicas: int) -> tuple[np.ndarray, np.ndarray]:
    """(S, S - 1) contrasts, with the same sum of squares as the deviations; (S - 1, replicas) t.

    The points are spread evenly (Halton), equally on both sides, because few of them reach far into
    the tails.
    """
    from scipy import linalg, stats  # here, because pages with one seed do not need it

    points = stats.qmc.Halton(seeds, scramble=False)
    points.fast_forward(1)  # the first point is 0
    spread, *along = points.random(-(-replicas // 2)).T
    t = stats.norm.ppf(along) / np.sqrt(stats.chi2.ppf(spread, seeds - 1) / (seeds - 1))
    return linalg.helmert(seeds).T, np.concatenate([t, -t], axis=1)[:, :replicas]


def interval(replicas: np.ndarray, shared_by: int = 1) -> tuple[float, float]:
    """The interval that holds the middle 95% of the replicas.

    Parameters
    ----------
    shared_by : number of intervals that together contain the truth with 95%. There are few replicas
        far out, so the outer of two neighbouring replicas is used.
    """
    tail = (1 - LEVEL) / 2 / shared_by
    if shared_by == 1:
        low, high = np.quantile(replicas, [tail, 1 - tail])
    else:
        low = np.quantile(replicas, tail, method="lower")
        high = np.quantile(replicas, 1 - tail, method="higher")
    return float(low), float(high)
