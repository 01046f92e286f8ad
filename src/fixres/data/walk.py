"""One way to walk through a folder, used to count, split and list images, and for the inventory."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from fixres.data.image_files import is_image
from fixres.jobs import JobError
from fixres.jobs.quoting import visible

HIDDEN = "hidden"
BARE = "without an ending"
AGAIN = "links to folders that were read already"
SPECIAL = "pipes, sockets or devices"


class Walked(NamedTuple):
    """The result of a walk."""

    files: list[str]  # regular files, links to files and dangling links; in any order
    skipped: Counter[str]  # what was skipped: HIDDEN, AGAIN, SPECIAL -> how many


def walk(top: Path) -> Walked:
    """All files below a folder; none if the folder does not exist.

    Links are followed. Each folder is read once, and folders above `top` are not read, so loops of
    links end. Hidden files and folders (whose name begins with a dot) are skipped, and so are
    pipes, sockets and devices, which might never end.

    Raises JobError, which names a folder that cannot be read.
    """
    found = Walked([], Counter())
    with reading(str(top)):
        above = {*top.absolute().parents, *top.resolve().parents} if top.is_dir() else ()
        read = {_identity(folder) for folder in above}
    folders, links = [str(top)] if above else [], []
    while folders or links:  # links last: an image is found under its own folder
        folder = folders.pop() if folders else links.pop(0)
        with reading(folder):
            if (identity := _identity(folder)) in read:
                found.skipped[AGAIN] += 1
                continue
            read.add(identity)
            for entry in entries(folder):
                if entry.name.startswith("."):
                    found.skipped[HIDDEN] += 1
                elif entry.is_dir():
                    (links if entry.is_symlink() else folders).append(entry.path)
                elif entry.is_file() or not os.path.exists(entry.path):
                    found.files.append(entry.path)
                else:
                    found.skipped[SPECIAL] += 1
    return found


def images_in(top: Path) -> Walked:
    """The images below a folder, sorted; other files are counted as skipped, by their ending.

    Raises JobError like `walk`, and if the name of an image is not UTF-8.
    """
    found, images = walk(top), []
    for file in found.files:
        if is_image(file):
            images.append(file)
        else:
            found.skipped[visible(os.path.splitext(file)[1].lower()) or BARE] += 1
    expect_utf8(images)
    return Walked(sorted(images), found.skipped)


def folders_in(folder: Path) -> list[str]:
    """The sorted names of the folders in `folder` that are not hidden; none if it is missing."""
    with reading(str(folder)):
        there = entries(str(folder)) if folder.is_dir() else []
        return [e.name for e in there if e.is_dir() and not e.name.startswith(".")]


def expect_utf8(names: Iterable[str]) -> None:
    """Raise JobError for the first name that is not UTF-8, which no page or list could show."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise JobError(f"{visible(name)}: the name is not UTF-8. Rename it.") from None


@contextmanager
def reading(folder: str) -> Iterator[None]:
    """Turn an OSError into a JobError that names the file or folder."""
    try:
        yield
    except OSError as error:
        place = visible(os.fsdecode(error.filename or folder))
        fix = "Make it readable, or remove it."
        raise JobError(f"{place}: cannot be read ({error.strerror}). {fix}") from None


def entries(folder: str) -> list[os.DirEntry]:
    """The entries of a folder, sorted by name."""
    with os.scandir(folder) as unsorted:
        return sorted(unsorted, key=lambda entry: entry.name)


def _identity(folder: str | Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino
