"""What a job measured on each image: hits (whether a run was correct), or other numbers.

One image under one seed is the unit of evidence (docs/statistics.md). A job that measures writes
this file next to its metrics.json, and the pages compute their intervals from it. `evaluate` writes
hits.npz, other jobs write samples.npz.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fixres import jobs

KINDS = {"top1": 1, "top5": 5}  # metric -> N: correct if the true class is among the top N
# Objects by size, sqrt(area of the box / HW): at least the first number, below the second.
OBJECTS = {
    "all": (0.0, math.inf),
    "below 0.25": (0.0, 0.25),
    "0.25 to 0.5": (0.25, 0.5),
    "0.5 to 0.75": (0.5, 0.75),
    "0.75 and above": (0.75, math.inf),
}


class PerImage(NamedTuple):
    """Values of each of n images."""

    images: np.ndarray  # (n,) bytes: the path of each image in its dataset, UTF-8
    # metric at k_test, such as "top1 56" -> (n,) bool, or (n, …) numbers, but not uint8
    values: dict[str, np.ndarray]

    @property
    def image_set(self) -> str:
        """A digest of the images and their order. Equal sets can be paired."""
        return jobs.digest(b"\n".join(self.images.tolist()))

    @property
    def digest(self) -> str:
        """A digest of all values, which is also in metrics.json, as `hits` or `samples`."""
        contents = (_packed(values).tobytes() for values in self.values.values())
        return jobs.digest(self.image_set, *self.values, *contents)


def name(metric: str, k_test: int | None) -> str:
    """The name of a metric's values, such as "top1_10crops 56"; without k_test, the metric."""
    return metric if k_test is None else f"{metric} {k_test}"


def metric(name: str, crop_pct: float | None = None, masked: bool = False) -> str:
    """The name of a metric, such as "top1"; with `crop_pct`, such as "top1@0.875".

    `masked`: only among the classes that have images, such as "top1@0.875_masked".
    """
    at_ratio = name if crop_pct is None else f"{name}@{crop_pct:g}"
    return f"{at_ratio}_masked" if masked else at_ratio


def among(metric: str, objects: str) -> str:
    """The name of a metric that is a mean over only some of the `OBJECTS`."""
    return f"{metric}, {objects}"


def of_predictions(
    paths: np.ndarray, labels: np.ndarray, predicted: dict[tuple[int, str], np.ndarray]
) -> PerImage:
    """The hits of predictions, given the paths (bytes) and true classes of the n images.

    `predicted` maps (k_test, suffix of the metric, such as "", "_10crops" or "@0.875") to the
    (n, t) predicted classes, best first.
    """
    right = {}
    for (k_test, suffix), top in predicted.items():
        hits = top == labels[:, None]
        for kind, classes in KINDS.items():
            right[name(kind + suffix, k_test)] = hits[:, :classes].any(axis=1)
    return PerImage(paths, right)


def save(file: Path, found: PerImage) -> None:
    """Write the values, compressed; hits as eight images per byte."""
    packed = {key: _packed(values) for key, values in found.values.items()}
    with jobs.atomic(file) as temporary, open(temporary, "wb") as f:
        np.savez_compressed(f, images=found.images, **packed)


def load(file: Path, digest: str) -> PerImage:
    """Read what `save` wrote.

    Raises OSError if the file cannot be read, and ValueError if it is damaged or does not match
    `digest`, from the metrics.json in the same folder.
    """
    jobs.record_inputs(file)
    try:
        with np.load(file, allow_pickle=False) as archive:
            values = {key: archive[key] for key in archive.files}
        images = values.pop("images")
        for key, packed in values.items():
            if packed.dtype == np.uint8:  # eight hits per byte
                values[key] = np.unpackbits(packed, count=len(images)).astype(bool)
        found = PerImage(images, values)
        what = found.digest
    except OSError:
        raise
    except Exception as error:  # any exception: it depends on the byte that is broken
        raise ValueError(f"it cannot be read: {error}") from None
    if what != digest:
        raise ValueError("it does not belong to the metrics.json in its folder")
    return found


def _packed(values: np.ndarray) -> np.ndarray:
    """Hits as eight per byte; numbers unchanged."""
    return np.packbits(values) if values.dtype == bool else values
