"""Hits: which validation images a run was right about, at every k_test.

One image under one seed is the unit of evidence (docs/statistics.md). `evaluate` writes this file
beside metrics.json, and the pages compute their intervals from it.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from fixres import jobs

KINDS = {"top1": 1, "top5": 5}  # metric -> predicted classes that one must be right of


class Hits(NamedTuple):
    """The hits of one run on n images."""

    images: np.ndarray  # (n,) bytes: the path of each image in its dataset, UTF-8
    right: dict[str, np.ndarray]  # metric at k_test, as "top1 56" -> (n,) bool

    @property
    def image_set(self) -> str:
        """A digest of which images these are, in which order. Equal sets can be paired."""
        return jobs.digest(b"\n".join(self.images.tolist()))

    @property
    def digest(self) -> str:
        """A digest of all hits. metrics.json has it too."""
        bits = (np.packbits(values).tobytes() for values in self.right.values())
        return jobs.digest(self.image_set, *self.right, *bits)


def name(metric: str, k_test: int) -> str:
    """The name of a metric's hits, such as "top1_10crops 56"."""
    return f"{metric} {k_test}"


def of_predictions(
    paths: np.ndarray, labels: np.ndarray, predicted: dict[tuple[int, str], np.ndarray]
) -> Hits:
    """The hits of some predictions.

    Parameters
    ----------
    paths : (n,) bytes, of the images. labels : (n,) their true classes.
    predicted : (k_test, suffix of the metric, as "" or "_10crops") -> (n, t) classes, best first.
    """
    right = {}
    for (k_test, suffix), top in predicted.items():
        hits = top == labels[:, None]
        for kind, classes in KINDS.items():
            right[name(kind + suffix, k_test)] = hits[:, :classes].any(axis=1)
    return Hits(paths, right)


def save(file: Path, hits: Hits) -> None:
    """Write the hits: eight images a byte, compressed."""
    packed = {key: np.packbits(values) for key, values in hits.right.items()}
    with jobs.atomic(file) as temporary, open(temporary, "wb") as f:
        np.savez_compressed(f, images=hits.images, **packed)


def load(file: Path, digest: str) -> Hits:
    """Read what `save` wrote.

    Parameters
    ----------
    digest : of the hits that are expected, from the metrics.json beside the file.

    Raises
    ------
    OSError : the file cannot be read.
    ValueError : the file is damaged, or holds other hits.
    """
    jobs.record_inputs(file)
    try:
        with np.load(file, allow_pickle=False) as archive:
            images = archive["images"]
            packed = {key: archive[key] for key in archive.files if key != "images"}
        right = {
            key: np.unpackbits(bits, count=len(images)).astype(bool) for key, bits in packed.items()
        }
        hits = Hits(images, right)
        found = hits.digest
    except OSError:
        raise
    except Exception as error:  # any exception: it depends on the byte that is broken
        raise ValueError(f"it cannot be read: {error}") from None
    if found != digest:
        raise ValueError("it does not belong to the metrics.json beside it")
    return hits
