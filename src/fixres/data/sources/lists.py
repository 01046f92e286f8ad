"""What the parsers of sources share: lists, MATLAB files, class folders, and their errors."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fixres.data.image_files import FORMATS, is_image
from fixres.data.sources.base import Listing
from fixres.data.walk import HIDDEN, Walked, entries, folders_in, images_in, reading
from fixres.jobs import JobError
from fixres.jobs.quoting import visible

SHOWN = 10  # names listed in a message
OUTSIDE = "outside the class folders"


# --- messages -----------------------------------------------------------------------------------


def abbreviated(names: list[str]) -> str:
    """The first few of many names, for a message."""
    rest = f", … ({len(names)} in all)" if len(names) > SHOWN else ""
    return ", ".join(map(visible, names[:SHOWN])) + rest


@contextmanager
def parsing(file: Path) -> Iterator[None]:
    """Turn any error of a parser into a JobError that names the file."""
    try:
        yield
    except (JobError, OSError, MemoryError):
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise JobError(f"{file}: cannot be read ({why}). Get it again.") from None


# --- list files ---------------------------------------------------------------------------------


def read_mat(file: Path, variable: str) -> Any:
    """One variable of a MATLAB file."""
    from scipy.io import loadmat

    with parsing(file):
        return loadmat(file, squeeze_me=True)[variable]


def read_columns(file: Path, n: int) -> list[list[str]]:
    """The lines of a list as n columns, separated by blanks. The last column may contain blanks."""
    text = file.read_text(encoding="utf-8", errors="surrogateescape")
    rows = [line.split(maxsplit=n - 1) for line in text.splitlines() if line.strip()]
    for number, row in enumerate(rows, 1):
        if len(row) != n:
            got = f"got '{' '.join(row)}', expected {n} columns"
            raise JobError(f"{file}, line {number}: wrong number of columns ({got}).")
    return rows


# --- image folders ------------------------------------------------------------------------------


def images_below(folder: Path, start: str) -> list[str]:
    """Images below `folder`/`start`, sorted, as paths below `folder`."""
    return found_below(folder, start).files


def found_below(folder: Path, start: str) -> Walked:
    """The images below `folder`/`start`, sorted, as paths below `folder`; and what was skipped."""
    top, start = folder / start, os.path.normpath(start)
    found, above = images_in(top), len(os.path.join(top, ""))
    prefix = "" if start == "." else f"{start}/"
    return found._replace(files=[prefix + file[above:] for file in found.files])


def class_folders(folder: Path, split: str, number: int) -> Listing:
    """Classes and images of `folder`/`split`, which has one folder per class.

    Labels follow the sorted names, as in torchvision's ImageFolder. `number` is the number of the
    split in a `Listing`.
    """
    top, images, skipped = folder / split, [], Counter[str]()
    classes = folders_in(top)
    if len(classes) < 2:
        got = f"got {len(classes)} class folder(s), expected at least 2"
        raise JobError(f"{top}: too few classes ({got}). Make one folder per class.")
    below = [found_below(folder, f"{split}/{name}") for name in classes]
    for label, found in enumerate(below):
        images += [(file, label, number) for file in found.files]
        skipped += found.skipped
    if empty := [str(top / c) for c, found in zip(classes, below, strict=True) if not found.files]:
        there = f" (skipped in all classes: {counted(skipped)})" if skipped else ""
        fix = f"Add images ({', '.join(FORMATS)}) or remove the folder."
        raise JobError(f"{abbreviated(empty)}: empty class{there}. {fix}")
    return Listing(tuple(classes), images, (split, split), skipped=skipped + _beside(top))


def _beside(top: Path) -> Counter[str]:
    """What is skipped outside the class folders: hidden files and folders, and images."""
    with reading(str(top)):
        there = entries(str(top))
        hidden = sum(entry.name.startswith(".") for entry in there)
        names = (e for e in there if e.is_file() and not e.name.startswith("."))
        return +Counter({HIDDEN: hidden, OUTSIDE: sum(is_image(e.path) for e in names)})


def counted(skipped: Mapping[str, int]) -> str:
    """What was skipped, in words, most frequent first."""
    kinds = sorted(skipped.items(), key=lambda kind: (-kind[1], kind[0]))
    return abbreviated([f"{n} {kind}" for kind, n in kinds])
