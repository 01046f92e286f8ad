"""What a job found on each image: hits, that is, whether a run was right; or other numbers.

One image under one seed is the unit of evidence (docs/statistics.md). A job that measures writes
this file beside its metrics.json, and the pages compute their intervals from it. `evaluate` leaves
hits.npz, other jobs leave samples.npz.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fixres import jobs

KINDS = {"top1": 1, "top5": 5}  # metric -> predicted classes that one must be right of
# Objects by their size, sqrt(area of the box / HW): from the first number on, below the second.
OBJECTS = {
    "all": (0.0, math.inf),
    "below 0.25": (0.0, 0.25),
    "0.25 to 0.5": (0.25, 0.5),
    "0.5 to 0.75": (0.5, 0.75),
    "0.75 and above": (0.75, math.inf),
}


class PerImage(NamedTuple):
    """Some values of each of n images."""

    images: np.ndarray  # (n,) bytes: the path of each image in its dataset, UTF-8
    # metric at k_test, as "top1 56" -> (n,) bool, or (n, …) numbers of another type than uint8
    values: dict[str, np.ndarray]

    @property
    def image_set(self) -> str:
        """A digest of which images these are, in which order. Equal sets can be paired."""
        return jobs.digest(b"\n".join(self.images.tolist()))

    @property
    def digest(self) -> str:
        """A digest of all values. metrics.json has it too, as `hits` or `samples`."""
        contents = (_packed(values).tobytes() for values in self.values.values())
        return jobs.digest(self.image_set, *self.values, *contents)


def name(metric: str, k_test: int | None) -> str:
    """The name of a metric's values, such as "top1_10crops 56"; without k_test, the metric's."""
    return metric if k_test is None else f"{metric} {k_test}"


def metric(name: str, crop_pct: float | None = None, masked: bool = False) -> str:
    """The name of a metric, such as "top1"; with `crop_pct`, such as "top1@0.875".

    `masked`: among the classes that have images alone, such as "top1@0.875_masked".
    """
    at_ratio = name if crop_pct is None else f"{name}@{crop_pct:g}"
    return f"{at_ratio}_masked" if masked else at_ratio


def among(metric: str, objects: str) -> str:
    """The name of a metric that is a mean over some of the `OBJECTS` alone."""
    return f"{metric}, {objects}"


def of_predictions(
    paths: np.ndarray, labels: np.ndarray, predicted: dict[tuple[int, str], np.ndarray]
) -> PerImage:
    """The hits of some predictions, by paths (bytes) and true classes of the n images.

    `predicted` has at (k_test, suffix of the metric, as "", "_10crops" or "@0.875") the (n, t)
    predicted classes, best first.
    """
    right = {}
    for (k_test, suffix), top in predicted.items():
        hits = top == labels[:, None]
        for kind, classes in KINDS.items():
            right[name(kind + suffix, k_test)] = hits[:, :classes].any(axis=1)
    return PerImage(paths, right)


def save(file: Path, found: PerImage) -> None:
    """Write the values, compressed; of hits, eight images a byte."""
    packed = {key: _packed(values) for key, values in found.values.items()}
    with jobs.atomic(file) as temporary, open(temporary, "wb") as f:
        np.savez_compressed(f, images=found.images, **packed)


def load(file: Path, digest: str) -> PerImage:
    """Read what `save` wrote.

    Raises OSError where the file cannot be read, and ValueError where it is damaged or holds other
    values than those of this `digest`, which the metrics.json beside it has.
    """
    jobs.record_inputs(file)
    try:
        with np.load(file, allow_pickle=False) as archive:
            values = {key: archive[key] for key in archive.files}
        images = values.pop("images")
        for key, packed in values.items():
            if packed.dtype == np.uint8:  # eight hits a byte
                values[key] = np.unpackbits(packed, count=len(images)).astype(bool)
        found = PerImage(images, values)
        what = found.digest
    except OSError:
        raise
    except Exception as error:  # any exception: it depends on the byte that is broken
        raise ValueError(f"it cannot be read: {error}") from None
    if what != digest:
        raise ValueError("it does not belong to the metrics.json beside it")
    return found


def _packed(values: np.ndarray) -> np.ndarray:
    """Eight hits a byte; numbers as they are."""
    return np.packbits(values) if values.dtype == bool else values
