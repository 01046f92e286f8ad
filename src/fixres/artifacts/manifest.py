"""The manifest: a table of the images of a dataset, so that later jobs need not search folders.

It has one row per image: path, label, split, height, width and a checksum of the file; for pinhole
images, also the true apparent size of the object. data/building.py makes it.
"""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fixres import jobs
from fixres.jobs import JobError, atomic

SPLITS = ("train", "val")
COLUMNS = ("path", "label", "split", "height", "width", "checksum", "object_size")
BOX = "box"  # a column that only datasets with boxes have


@dataclass(frozen=True)
class Manifest:
    """The images of one dataset. Arrays have one row per image, sorted by split."""

    folder: Path  # the paths are relative to this folder
    classes: tuple[str, ...]
    path: np.ndarray  # (n,) bytes, UTF-8
    label: np.ndarray  # (n,) int32
    split: np.ndarray  # (n,) uint8, index into SPLITS
    height: np.ndarray  # (n,) int32, pixels
    width: np.ndarray  # (n,) int32, pixels
    checksum: np.ndarray  # (n,) uint64, BLAKE2b of the file
    object_size: np.ndarray  # (n,) float32, r in pixels; NaN where unknown
    notes: tuple[str, ...] = ()  # sentences to print on every page about this dataset
    # (n, 4) float32, x0, y0, x1, y1 of the object's edges in pixels, NaN where unknown; None if the
    # dataset has no boxes.
    box: np.ndarray | None = None

    def rows(self, split: str) -> np.ndarray:
        """The row numbers of one split."""
        return np.flatnonzero(self.split == SPLITS.index(split))

    def files(self, rows: np.ndarray) -> list[str]:
        """The absolute paths of some rows."""
        return [os.path.join(self.folder, os.fsdecode(p)) for p in self.path[rows].tolist()]

    @property
    def absent(self) -> np.ndarray:
        """(classes,) bool: the classes without images."""
        return np.bincount(self.label, minlength=len(self.classes)) == 0

    @property
    def leaked(self) -> np.ndarray:
        """The row numbers of validation images that are byte for byte equal to a training image."""
        val = self.rows("val")
        return val[np.isin(self.checksum[val], self.checksum[self.rows("train")])]

    def digest(self) -> str:
        """A digest of the images, labels and relative paths; it does not depend on `folder`."""
        arrays = (self.path, self.label, self.split, self.height, self.width, self.checksum)
        contents = (np.ascontiguousarray(a).tobytes() for a in arrays)
        return jobs.digest("\0".join(self.classes), *contents)

    def save(self, path: Path) -> None:
        """Write the manifest as .npz, for `load`."""
        texts = {"folder": str(self.folder), "classes": self.classes, "notes": self.notes}
        texts = {name: np.array(text, np.str_) for name, text in texts.items()}
        columns = {name: getattr(self, name) for name in COLUMNS}
        columns |= {BOX: self.box} if self.box is not None else {}
        with atomic(path) as temporary, open(temporary, "wb") as f:
            np.savez(f, **texts, **columns)


def load(path: Path) -> Manifest:
    """Read the manifest that a job depends on. Raises JobError if it is missing or damaged."""
    jobs.record_inputs(path)
    return read(path)


def read(path: Path) -> Manifest:
    """Read a manifest that may change while the job runs; otherwise like `load`.

    The archive contains checksums, so damage is noticed.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            columns = {name: archive[name] for name in COLUMNS}
            texts = {name: tuple(archive[name].tolist()) for name in ("classes", "notes")}
            columns |= {BOX: archive[BOX]} if BOX in archive.files else {}
            return Manifest(Path(str(archive["folder"])), **texts, **columns)
    except FileNotFoundError:
        raise JobError(f"{path}: no such manifest. Make it: `snakemake {path}`.") from None
    except Exception as error:
        raise JobError(f"{path}: damaged manifest ({error}). {jobs.REMAKE}") from None


# --- in words ------------------------------------------------------------------------------------


def counts(manifest: Manifest, name: str, when: str) -> str:
    """A page's note on how many images of dataset `name` its numbers were measured on.

    `when` says what is known about the date of the images, such as "listed on 2019-06-14".
    """
    train, val = (len(manifest.rows(split)) for split in SPLITS)
    if not train:
        return f"{name}: {val:,} validation images, and no training images, {when}."
    return f"{name}: {train:,} training and {val:,} validation images, {when}."


def leak(manifest: Manifest, name: str) -> list[str]:
    """A note if validation images are among the training images; otherwise nothing."""
    leaked, val = len(manifest.leaked), len(manifest.rows("val"))
    if not leaked:
        return []
    return [f"{name}: {leaked:,} of {val:,} validation images are, byte for byte, training images."]


def summary(manifest: Manifest) -> list[str]:
    """The counts and sizes of a dataset, one line per split."""
    lines = []
    for split in SPLITS:
        rows = manifest.rows(split)
        if not len(rows):
            continue
        counts = Counter(manifest.label[rows].tolist()).values()
        h, w = manifest.height[rows], manifest.width[rows]
        lines.append(
            f"{split}: {len(rows)} images, {len(manifest.classes)} classes "
            f"of {min(counts)} to {max(counts)}, "
            f"{w.min()}×{h.min()} to {w.max()}×{h.max()} pixels"
        )
    return lines


def enlarged(manifest: Manifest, split: str, k: int) -> list[str]:
    """One line if some images are smaller than a k×k crop, so that the transform enlarges them."""
    rows = manifest.rows(split)
    shorter = np.minimum(manifest.height[rows], manifest.width[rows])
    smaller = int((shorter < k).sum())
    if not smaller:
        return []
    worst = rows[np.argmin(shorter)]
    [file] = manifest.files(np.array([worst]))
    return [
        f"{split}: {smaller} of {len(rows)} images are smaller than the {k} px crop "
        f"and are enlarged for it; the smallest is {file} "
        f"({manifest.width[worst]}×{manifest.height[worst]})"
    ]
