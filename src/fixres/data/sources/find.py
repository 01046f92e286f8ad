"""Find the parts of a dataset below the user's folder; check and unpack the archives.

The user's folder is only read, never written to.
"""

import os
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path

from fixres.data import unpack
from fixres.data.sources.base import Part, Source
from fixres.data.walk import folders_in, reading
from fixres.jobs import JobError


def prepare(source: Source, root: Path, work: Path | None, checksums: str, key: str) -> Path:
    """A folder with every part of the source at its official path.

    This is the user's folder if it has the unpacked layout. Otherwise it is `work`, with links to
    the parts that the user has unpacked, and to the parts that are unpacked here.

    Parameters
    ----------
    work : the folder to unpack into; None: nothing may be unpacked.
    checksums : `published`, or `listed`: the checksums of md5sums.txt in `root`.
    key : the configuration key that names `root`, for messages.

    Raises
    ------
    JobError : files are missing (`_missing`), damaged, or have another content than expected.
    """
    homes, found = _look(source, root)
    absent = [part for part, file in found.items() if file is None]
    if not all(part.optional for part in absent):
        raise JobError(_missing(source, found, root, homes, key))
    found = {part: file for part, file in found.items() if file is not None}

    compared = any(
        file.is_file() and part.archive in (None, file.name) for part, file in found.items()
    )
    sums = unpack.listed(root) if checksums == "listed" and compared else None
    for part, file in found.items():  # small files, so check them before the long work
        if file.is_file() and part.archive is None:
            unpack.check(file, _expected(part, file, sums))
    for home in homes:
        if all(file == home / part.path for part, file in found.items()):
            return home
    if work is None:
        raise ValueError("work: missing (expected a folder to unpack into).")
    for part in absent:  # it may have existed when `work` was made
        (work / part.path).unlink(missing_ok=True)
    _unpack(found, work, sums)
    return work


def lacks_training_images(source: Source, root: Path, key: str) -> bool:
    """Whether a user's folder has all parts of a source except parts for training images.

    Raises JobError, like `prepare`, if other parts are missing.
    """
    homes, found = _look(source, root)
    absent = [part for part, file in found.items() if file is None and not part.optional]
    if not all(part.training for part in absent):
        raise JobError(_missing(source, found, root, homes, key))
    return bool(absent)


def has_boxes(source: Source, root: Path) -> bool:
    """Whether a user's folder has boxes around the objects, judging by its file names."""
    parts = [part for part in source.parts if part.optional]
    names = {name for part in parts for name in (part.path, *part.also, part.archive)}
    homes = [root, *(root / home for home in source.homes)]
    given = not parts or any((home / name).exists() for home in homes for name in names if name)
    return source.boxes and given


def _look(source: Source, root: Path) -> tuple[list[Path], dict[Part, Path | None]]:
    """The folders where parts may be, and the place of each part that is needed (`_find`)."""
    homes = [root, *(root / home for home in source.homes)]
    needed = [
        part
        for part in source.parts
        if not any(folders_in(home / part.unless) for home in homes if part.unless)
    ]
    # The folder with the most parts comes first, since another dataset may be in a sibling folder.
    with reading(str(root)):
        homes.sort(key=lambda home: -sum((home / part.path).exists() for part in needed))
    found: dict[Part, Path | None] = {}
    for group in _by_archive(needed).values():
        found |= _find(group, homes)
    return homes, found


def _find(group: list[Part], homes: list[Path]) -> dict[Part, Path | None]:
    """The places of one archive's parts: unpacked in one folder, or else packed; None: nowhere."""
    for home in homes:
        candidates = ([home / path for path in (part.path, *part.also)] for part in group)
        # Skip pipes, because reading them might never end.
        places = [
            next((place for place in one if place.is_dir() or place.is_file()), None)
            for one in candidates
        ]
        if None not in places:
            return dict(zip(group, places, strict=True))
    packed = (home / group[0].archive for home in homes if group[0].archive)
    return dict.fromkeys(group, next((archive for archive in packed if archive.is_file()), None))


def _by_archive(parts: Iterable[Part]) -> dict[str, list[Part]]:
    """Parts, grouped by their distributed file."""
    grouped: dict[str, list[Part]] = {}
    for part in parts:
        grouped.setdefault(part.distributed, []).append(part)
    return grouped


def _expected(part: Part, file: Path, sums: dict[str, str] | None) -> tuple[str, ...]:
    """The MD5s that a distributed file may have; empty if none is known."""
    if sums is None:
        return part.md5s
    if file.name not in sums:
        needs = "which checksums: listed needs for every distributed file"
        raise JobError(f"{file}: not in {unpack.SUMS}, {needs}. Add its line.")
    return (sums[file.name],)


def _unpack(found: dict[Part, Path], work: Path, sums: dict[str, str] | None) -> None:
    """Unpack the archives below `work`, and link every part at its official path in `work`."""
    packed = {file: part for part, file in found.items() if file.name == part.archive}
    content = {
        file: unpack.unpack(file, _expected(part, file, sums), work / "archives", part.packing)
        for file, part in packed.items()
    }
    for part, file in found.items():
        target = content.get(file, file)
        if file in content and part.inside is not None:
            target = target / part.inside / part.path
            if not target.exists():
                lacks = f"not the official archive ({target.relative_to(content[file])} is missing)"
                raise JobError(f"{file}: {lacks}. Get it again.")
        _link(work / part.path, target)


def _link(link: Path, target: Path) -> None:
    """Make `link` point to `target`, replacing whatever is there."""
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
    """The error message: what is missing, what was found, where to get it, and the key to set."""
    places = {
        part: [home / part.path for home in homes if (home / part.path).exists()] for part in found
    }
    missing = [part for part, file in found.items() if file is None]
    problem = "files are missing" if root.is_dir() else "no such folder"
    lines = [f"{root}: {problem} ({source.title}; the folder is set by {key})"]
    for name, parts in _by_archive(missing).items():
        paths = ", ".join(part.path for part in parts if not places[part] or len(parts) == 1)
        kind = "optional" if parts[0].optional else "missing"
        unpacked = f" or, unpacked, {paths}" if parts[0].archive else ""
        lines.append(f"  {kind}: {name}{unpacked}")
    present = dict.fromkeys(
        str(file.relative_to(root))
        for part, file in found.items()
        for file in ([file] if file else places[part])
    )
    lines.append(f"  found:   {', '.join(present) or 'nothing that belongs to it'}")
    lines.append(f"  looked in {', '.join(map(str, homes))}")
    ways = filter(None, (source.fetched_into(shlex.quote(str(root))), source.where))
    lines += [f"  get it:  {', or '.join(ways)}", f"  terms:   {source.terms}"]
    return "\n".join(lines)
