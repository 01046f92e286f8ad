"""The files in a user's data folder when its images were listed: names, sizes and dates.

A later state of the folder is compared with this inventory without reading images
(`fixres.relist`). It is saved next to the manifest, contains the manifest's digest, and is not an
input of any job.
"""

import os
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fixres.data.sources import Source
from fixres.data.walk import walk
from fixres.jobs import atomic

NAME = "files.npz"  # in the folder of the manifest
GONE = -1  # size and date of a dangling link


class Inventory(NamedTuple):
    """The files that a listing depends on. Arrays have one row per file, sorted by path."""

    path: np.ndarray  # (n,) bytes, UTF-8, below the user's folder
    size: np.ndarray  # (n,) int64, bytes
    date: np.ndarray  # (n,) int64, time of modification, ns


class Difference(NamedTuple):
    """The differences between two inventories, as sorted paths."""

    added: list[str]
    removed: list[str]
    changed: list[str]  # with another size or date

    def __bool__(self) -> bool:
        return any(self)


def take(root: Path, source: Source) -> Inventory:
    """The inventory of a user's folder: archives, lists, and all files of the image folders.

    Hidden files, and files of other datasets in the same folder, are skipped.
    """
    paths, sizes, dates = [], array("q"), array("q")
    for file in _files(root, source):
        paths.append(os.fsencode(os.path.relpath(file, root)))
        try:
            stat = os.stat(file)
            sizes.append(stat.st_size)
            dates.append(stat.st_mtime_ns)
        except FileNotFoundError:
            sizes.append(GONE)
            dates.append(GONE)
    path, rows = np.unique(np.array(paths, "S"), return_index=True)
    return Inventory(path, np.array(sizes, np.int64)[rows], np.array(dates, np.int64)[rows])


def _files(root: Path, source: Source) -> Iterator[str]:
    """The files that the parts of a source may consist of, unpacked or as archives."""
    names = dict.fromkeys(
        name for part in source.parts for name in (part.path, *part.also, part.archive) if name
    )
    for home in (root, *(root / home for home in source.homes)):
        for place in (home / name for name in names):
            if place.is_file():
                yield str(place)
            yield from walk(place).files


def compare(then: Inventory, now: Inventory) -> Difference:
    """What was added, removed or changed between two inventories of a folder."""
    common, before, after = np.intersect1d(
        then.path, now.path, assume_unique=True, return_indices=True
    )
    other = (then.size[before] != now.size[after]) | (then.date[before] != now.date[after])
    added, removed = np.delete(now.path, after), np.delete(then.path, before)
    found = (added, removed, common[other])
    return Difference(*([os.fsdecode(path) for path in paths.tolist()] for paths in found))


def save(file: Path, inventory: Inventory, manifest: str) -> None:
    """Write an inventory, with the digest of the manifest that was made from these files."""
    with atomic(file) as temporary, open(temporary, "wb") as f:
        np.savez(f, manifest=np.array(manifest), **inventory._asdict())


def load(file: Path, manifest: str) -> Inventory | None:
    """Read an inventory; None if it is missing, damaged, or of another manifest."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            if str(archive["manifest"]) != manifest:
                return None
            return Inventory(*(archive[name] for name in Inventory._fields))
    except Exception:  # any exception: it depends on the byte that is broken
        return None
