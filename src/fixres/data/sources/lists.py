"""What the parsers of the sources share: lists, MATLAB files, class folders, and their errors."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fixres.jobs import JobError
from fixres.jobs.quoting import visible

# The endings that torchvision's ImageFolder takes.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff")
SHOWN = 10  # names listed in a message


# --- messages -----------------------------------------------------------------------------------


def abbreviated(names: list[str]) -> str:
    """The first few of many names, for a message."""
    rest = f", … ({len(names)} in all)" if len(names) > SHOWN else ""
    return ", ".join(map(visible, names[:SHOWN])) + rest


@contextmanager
def parsing(file: Path) -> Iterator[None]:
    """Turn whatever a parser raises into a JobError that names the file."""
    try:
        yield
    except (JobError, OSError, MemoryError):
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise JobError(f"{file}: cannot be read ({why}); get it again") from None


# --- list files ---------------------------------------------------------------------------------


def read_mat(file: Path, variable: str) -> Any:
    """One variable of a MATLAB file."""
    from scipy.io import loadmat

    with parsing(file):
        return loadmat(file, squeeze_me=True)[variable]


def read_columns(file: Path, n: int) -> list[list[str]]:
    """The lines of a list as n columns, separated by blanks. The last column may hold blanks."""
    text = file.read_text(encoding="utf-8", errors="surrogateescape")
    rows = [line.split(maxsplit=n - 1) for line in text.splitlines() if line.strip()]
    for number, row in enumerate(rows, 1):
        if len(row) != n:
            raise JobError(f"{file}: line {number}: found '{' '.join(row)}', expected {n} columns")
    return rows


# --- image folders ------------------------------------------------------------------------------


def images_below(folder: Path, start: str) -> list[str]:
    """Image files below `folder`/`start`, sorted, as paths below `folder`."""
    above = len(os.path.join(folder, ""))
    return sorted(
        os.path.join(base, file)[above:]
        for base, _, files in os.walk(folder / start, followlinks=True)
        for file in files
        if file.lower().endswith(EXTENSIONS) and not file.startswith(".")
    )


def folders_in(folder: Path) -> list[str]:
    """Names of the folders in `folder`, sorted; none where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())


def class_folders(
    folder: Path, split: str, number: int
) -> tuple[tuple[str, ...], list[tuple[str, int, int]]]:
    """Classes and images of `folder`/`split`, where each class has a folder.

    Labels follow the sorted names, as in torchvision's ImageFolder. `number` is the split's, in a
    `Listing`.
    """
    classes, images = folders_in(folder / split), []
    if len(classes) < 2:
        found = f"found {len(classes)} class folder(s), expected at least 2: one folder a class"
        raise JobError(f"{folder / split}: {found}")
    for label, name in enumerate(classes):
        files = images_below(folder, os.path.normpath(f"{split}/{name}"))
        if not files:
            way_out = f"add images ({', '.join(EXTENSIONS)}) or remove the folder"
            raise JobError(f"{folder / split / name}: empty class; {way_out}")
        images += [(file, label, number) for file in files]
    return tuple(classes), images
