"""Where a dataset's images and labels come from: one module a source, all of them through one path.

`SOURCES` names them. A `Source` says which parts its parser reads, in which of the official archives they lie, and how to read them.
`prepare` finds the parts below the user's folder, checks and unpacks what is still packed, and `read` turns them into a `Listing`.
The user's folder is never written to.
"""

import importlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fixres.data import unpack
from fixres.jobs import JobError
from fixres.jobs.quoting import visible

SOURCES = ("imagefolder", "imagenet", "cars", "cub", "flowers", "pets", "birdsnap")
EXTENSIONS = (
    ".jpg",
    ".jpeg",
    ".png",
    ".bmp",
    ".webp",
    ".ppm",
    ".tif",
    ".tiff",
)  # torchvision's ImageFolder takes these
SHOWN = 10  # names listed in a message


class Part(NamedTuple):
    """A file or folder that the parser reads."""

    path: str  # in the official unpacked layout
    archive: str | None = None  # which distributed file holds it; None: it is distributed as it is
    md5: str | None = None  # the published checksum of that file
    inside: str | None = (
        ""  # the archive's folder that the path is relative to; None: the archive's whole content is this part
    )
    nested: bool = False  # the archive holds a tar a class
    also: tuple[str, ...] = ()  # other paths under which it is commonly found
    unless: str = ""  # not needed where this folder holds a folder a class


class Listing(NamedTuple):
    """What the lists of a dataset say."""

    classes: tuple[str, ...]  # in label order
    images: list[
        tuple[str, int, int]
    ]  # (path below the layout folder, label from 0, split: 0 train, 1 val)
    lists: tuple[str, str]  # the file that says so, for train and val: messages name it
    folders: tuple[str, ...] = ()  # with images; one in there that no list names is reported
    complete: bool = True  # officially, the lists name every image in the folders …
    partial: bool = False  # … and copies that lack listed images are what everybody has (Birdsnap)
    md5: dict[str, str] | None = None  # path -> checksum of the image, where the lists give one

    @property
    def label(self) -> np.ndarray:
        """(n,) int32, label of each image."""
        return np.fromiter((label for _, label, _ in self.images), np.int32, len(self.images))

    @property
    def split(self) -> np.ndarray:
        """(n,) uint8, split of each image."""
        return np.fromiter((split for _, _, split in self.images), np.uint8, len(self.images))


class Source(NamedTuple):
    """A dataset as its authors distribute it."""

    title: str
    where: str  # page to get it from, and what to do there
    terms: str
    published: (
        tuple[int, int, int] | None
    )  # images of train and val (the official test split), classes
    homes: tuple[str, ...]  # folders that the archives, or torchvision, unpack to
    parts: tuple[Part, ...]
    read: Callable[[Path], Listing]  # of a folder that holds every part at its path


def load(name: str) -> Source:
    """The source of that name."""
    if name not in SOURCES:
        raise JobError(f"source: found '{name}', expected one of {', '.join(SOURCES)}")
    return importlib.import_module(f"fixres.data.sources.{name}").SOURCE


# --- finding ------------------------------------------------------------------------------------------------------------------


def prepare(source: Source, root: Path, work: Path | None, checksums: str, key: str) -> Path:
    """A folder with every part of the source at its official path.

    That is the user's folder where it holds the unpacked layout; else `work`, with links to what is unpacked there already and to what is
    unpacked now.

    Parameters
    ----------
    root : the user's folder, only read.
    work : where to unpack.
    checksums : `published`, or `listed`: those of md5sums.txt in `root`.
    key : the configuration key that names `root`, for messages.

    Raises
    ------
    JobError : files are missing (what, where to get them, under which terms), damaged, or not what they should be.
    """
    homes = [root, *(root / home for home in source.homes)]
    needed = [
        part
        for part in source.parts
        if not any(_class_folders(home / part.unless) for home in homes if part.unless)
    ]
    homes.sort(
        key=lambda home: -sum((home / part.path).exists() for part in needed)
    )  # a folder of another set may lie beside
    found = {
        part: file
        for group in _by_archive(needed).values()
        for part, file in _find(group, homes).items()
    }
    if None in found.values():
        raise JobError(_missing(source, found, root, homes, key))

    sums = (
        unpack.listed(root)
        if checksums == "listed" and any(_checked(p, f) for p, f in found.items())
        else None
    )
    for (
        part,
        file,
    ) in found.items():  # lists that are distributed as they are: small files, before anything long
        if file.is_file() and part.archive is None:
            unpack.check(file, _expected(part, file, sums))
    for home in homes:
        if all(file == home / part.path for part, file in found.items()):
            return home
    if work is None:
        raise ValueError("work: a folder to unpack to is needed")
    packed = {file: part for part, file in found.items() if file.name == part.archive}
    content = {
        a: unpack.unpack(a, _expected(part, a, sums), work / "archives", part.nested)
        for a, part in packed.items()
    }
    for part, file in found.items():
        target = content.get(file, file)
        if file in content and part.inside is not None:
            target = target / part.inside / part.path
            if not target.exists():
                raise JobError(
                    f"{file}: holds no {target.relative_to(content[file])}; it is not the official archive"
                )
        _link(work / part.path, target)
    return work


def _find(group: list[Part], homes: list[Path]) -> dict[Part, Path | None]:
    """Where the parts of one archive are: unpacked, all in the same folder, else the archive; None where there is neither."""
    for home in homes:
        places = [
            next((home / path for path in (part.path, *part.also) if (home / path).exists()), None)
            for part in group
        ]
        if None not in places:
            return dict(zip(group, places, strict=True))
    packed = (home / group[0].archive for home in homes if group[0].archive)
    return dict.fromkeys(group, next((archive for archive in packed if archive.is_file()), None))


def _by_archive(parts: Iterable[Part]) -> dict[str, list[Part]]:
    """Parts by the distributed file that they come in."""
    grouped: dict[str, list[Part]] = {}
    for part in parts:
        grouped.setdefault(part.archive or part.path, []).append(part)
    return grouped


def _checked(part: Part, file: Path) -> bool:
    return file.is_file() and part.archive in (None, file.name)


def _expected(part: Part, file: Path, sums: dict[str, str] | None) -> str | None:
    if sums is None:
        return part.md5
    if file.name not in sums:
        raise JobError(
            f"{file}: not in {unpack.SUMS}, where checksums: listed looks for every distributed file; add its line"
        )
    return sums[file.name]


def _link(link: Path, target: Path) -> None:
    """Make `link` point to `target`, whatever it was before."""
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.link")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target.resolve(), link.parent.resolve()))
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
    temporary.replace(link)


def _missing(
    source: Source, found: dict[Part, Path | None], root: Path, homes: list[Path], key: str
) -> str:
    """One message: what was looked for, what was found, where to get it, under which terms, which key to set."""
    places = {
        part: [home / part.path for home in homes if (home / part.path).exists()] for part in found
    }
    missing = [part for part, file in found.items() if file is None]
    lines = [
        f"{root}: {'files are missing' if root.is_dir() else 'no such folder'} ({source.title}; the folder is set by {key})"
    ]
    for name, parts in _by_archive(missing).items():
        paths = ", ".join(part.path for part in parts if not places[part] or len(parts) == 1)
        lines.append(f"  missing: {name}" + (f" or, unpacked, {paths}" if parts[0].archive else ""))
    present = dict.fromkeys(
        str(file.relative_to(root))
        for part, file in found.items()
        for file in ([file] if file else places[part])
    )
    lines.append(f"  found:   {', '.join(present) or 'nothing that belongs to it'}")
    lines.append(f"  looked in {', '.join(map(str, homes))}")
    lines += [f"  get it:  {source.where}", f"  terms:   {source.terms}"]
    return "\n".join(lines)


# --- reading ------------------------------------------------------------------------------------------------------------------


def read(source: Source, folder: Path) -> Listing:
    """Read the lists of a prepared folder and check what can be checked without opening an image.

    Raises JobError for a label out of range, classes of the same name, an image that is listed twice, an empty split.
    """
    listing = source.read(folder)
    n = len(listing.classes)
    if twice := [name for name, count in Counter(listing.classes).items() if count > 1]:
        raise JobError(
            f"{folder / listing.lists[0]}: classes of the same name with different labels: {abbreviated(twice)}"
        )
    for path, label, split in listing.images:
        if not 0 <= label < n:
            raise JobError(
                f"{folder / listing.lists[split]}: label {label + 1} of {path}, expected 1 to {n}"
            )
    if len({path for path, _, _ in listing.images}) < len(listing.images):
        twice = [
            path
            for path, count in Counter(path for path, _, _ in listing.images).items()
            if count > 1
        ]
        raise JobError(
            f"{folder / listing.lists[0]}: images that are listed twice: {abbreviated(twice)}"
        )
    splits = {split for _, _, split in listing.images}
    for number, file in enumerate(listing.lists):
        if number not in splits:
            raise JobError(f"{folder / file}: lists no image")
    return listing


def abbreviated(names: list[str]) -> str:
    """The first few of many names, in a message."""
    return ", ".join(map(visible, names[:SHOWN])) + (
        f", … ({len(names)} in all)" if len(names) > SHOWN else ""
    )


@contextmanager
def errors_of(file: Path) -> Iterator[None]:
    """Whatever a parser raises, as an error that names the file."""
    try:
        yield
    except (JobError, OSError, MemoryError):
        raise
    except Exception as error:
        raise JobError(
            f"{file}: cannot be read ({type(error).__name__}: {error}); get it again"
        ) from None


def mat(file: Path, variable: str) -> Any:
    """One variable of a MATLAB file."""
    from scipy.io import loadmat

    with errors_of(file):
        return loadmat(file, squeeze_me=True)[variable]


def columns(file: Path, n: int) -> list[list[str]]:
    """The lines of a list of n columns with blanks between them (the last may hold blanks itself)."""
    rows = [
        line.split(maxsplit=n - 1)
        for line in file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        if line.strip()
    ]
    for number, row in enumerate(rows, 1):
        if len(row) != n:
            raise JobError(f"{file}: line {number}: found '{' '.join(row)}', expected {n} columns")
    return rows


@contextmanager
def link_named(folder: Path, name: str) -> Iterator[str]:
    """A temporary folder in which `folder` has another name: torchvision's classes insist on theirs."""
    import tempfile

    with tempfile.TemporaryDirectory() as parent:
        Path(parent, name).symlink_to(folder.absolute(), target_is_directory=True)
        yield parent


def images_below(folder: Path, start: str) -> list[str]:
    """Image files below `folder`/`start`, sorted, as paths below `folder`."""
    above = len(os.path.join(folder, ""))
    return sorted(
        os.path.join(base, file)[above:]
        for base, _, files in os.walk(folder / start, followlinks=True)
        for file in files
        if file.lower().endswith(EXTENSIONS) and not file.startswith(".")
    )


def _class_folders(folder: Path) -> list[str]:
    return (
        sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
        if folder.is_dir()
        else []
    )


def class_folders(
    folder: Path, split: str, number: int
) -> tuple[tuple[str, ...], list[tuple[str, int, int]]]:
    """Classes and images of `folder`/`split` with a folder a class; labels follow the sorted names, as in torchvision's ImageFolder."""
    classes, images = _class_folders(folder / split), []
    if len(classes) < 2:
        raise JobError(
            f"{folder / split}: found {len(classes)} class folder(s), expected at least 2: one folder a class"
        )
    for label, name in enumerate(classes):
        files = images_below(folder, f"{split}/{name}")
        if not files:
            raise JobError(
                f"{folder / split / name}: empty class; add images ({', '.join(EXTENSIONS)}) or remove the folder"
            )
        images += [(file, label, number) for file in files]
    return tuple(classes), images
