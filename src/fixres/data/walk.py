"""One walk through a folder: for counting, splitting and listing images, and for the inventory."""

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
    """What a walk found."""

    files: list[str]  # regular files, and links to such or to nothing; in no certain order
    skipped: Counter[str]  # what was passed over: HIDDEN, AGAIN, SPECIAL -> how many


def walk(top: Path) -> Walked:
    """All files below a folder; none where there is no such folder.

    Links are followed. A folder is read once, and none above `top` is, so links that form a loop
    end. What is hidden (its name begins with a point) is passed over, and so are pipes, sockets and
    devices, which might never end.

    Raises JobError that names a folder that cannot be read.
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
    """The images below a folder, sorted; what else was found there is skipped, by its ending.

    Raises JobError as `walk`, and where the name of an image is not UTF-8.
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
    """Names of the folders in `folder`, sorted, but hidden ones; none where there is no such."""
    with reading(str(folder)):
        there = entries(str(folder)) if folder.is_dir() else []
        return [e.name for e in there if e.is_dir() and not e.name.startswith(".")]


def expect_utf8(names: Iterable[str]) -> None:
    """Raise JobError for the first name that is not UTF-8: no page or list could show it."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise JobError(f"{visible(name)}: the name is not UTF-8; rename it") from None


@contextmanager
def reading(folder: str) -> Iterator[None]:
    """Turn an OSError into a JobError that names the file or folder."""
    try:
        yield
    except OSError as error:
        place = visible(os.fsdecode(error.filename or folder))
        way_out = "make it readable, or remove it"
        raise JobError(f"{place}: cannot be read ({error.strerror}); {way_out}") from None


def entries(folder: str) -> list[os.DirEntry]:
    """What is in a folder, sorted by name."""
    with os.scandir(folder) as unsorted:
        return sorted(unsorted, key=lambda entry: entry.name)


def _identity(folder: str | Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino
