"""Check the MD5 of distributed archives, and unpack them safely and completely.

While an archive is unpacked, its folder is called `….partial`; a folder with the final name is
complete. A note (`….checked`) in the same place records which file the folder came from. So after
an interruption neither the checksum nor a finished archive is repeated, but another file of the
same name is checked and unpacked again.
"""

import contextlib
import errno
import hashlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from fixres.data import extract, idx
from fixres.data.extract import Allowance
from fixres.jobs import JobError, atomic, log, progress
from fixres.jobs.quoting import visible

MB = 1_000_000
BUFFER = 4 * MB  # bytes read at once for a checksum
SUMS = "md5sums.txt"  # the user's own checksums: lines of `md5  name`, as md5sum prints them


# --- checksums ----------------------------------------------------------------------------------


def md5(file: Path) -> str:
    """MD5 of a file, with progress."""
    h = hashlib.md5(usedforsecurity=False)
    size = _mb(file.stat().st_size)
    with open(file, "rb") as f, progress(f"checking {file.name}", size, "MB") as bar:
        while block := f.read(BUFFER):
            h.update(block)
            bar.update(_mb(f.tell()) - bar.done)
    return h.hexdigest()


def _mb(size: int) -> int:
    """Megabytes, rounded up."""
    return -(-size // MB)


def listed(root: Path) -> dict[str, str]:
    """name -> MD5 from md5sums.txt in `root`. Raises JobError if the file is missing or invalid."""
    file = root / SUMS
    if not file.is_file():
        needs = f"checksums: listed needs it. Write it: `md5sum * > {SUMS}`."
        raise JobError(f"{file}: no such file, but {needs}")
    sums = {}
    text = file.read_text(encoding="utf-8", errors="surrogateescape")  # names are any bytes
    for number, line in enumerate(text.splitlines(), 1):
        found, _, name = line.partition("  ")
        if len(found) != 32 or not name:
            line = visible(line)[:100]
            got = f"got '{line}', expected `md5  name`"
            raise JobError(f"{file}, line {number}: not a checksum ({got}). Correct it.")
        sums[name] = found
    return sums


def check(file: Path, expected: tuple[str, ...]) -> None:
    """Raise JobError if the MD5 of `file` is not expected; the log says if none is known."""
    if not expected:
        log(f"{file.name}: not checked, because no checksum is published")
    elif (found := md5(file)) not in expected:
        raise JobError(
            f"{file}: truncated, damaged or not the official file (got MD5 {found}, expected "
            f"{' or '.join(expected)}). Get it again; or, for your own version of the file, set "
            f"checksums: listed and write an {SUMS} next to it."
        )


# --- unpacking ----------------------------------------------------------------------------------


def unpack(archive: Path, expected: tuple[str, ...], work: Path, packing: str = "tar") -> Path:
    """Check `archive` and unpack it below `work`, keeping what an interrupted call has finished.

    Parameters
    ----------
    expected : the MD5s that the archive may have; empty: not checked.
    packing : "tar" or "zip"; "tars": a tar of tars, each of which becomes a folder (ImageNet's
        training set); "idx": gzipped images in MNIST's format, which become PNGs.

    Returns
    -------
    The folder with the content of the archive.
    """
    target = work / archive.name
    partial = target.with_name(f"{target.name}.partial")
    note = target.with_name(f"{target.name}.checked")
    stat = archive.stat()
    fingerprint = f"{' '.join(expected) or None} {stat.st_size} {stat.st_mtime_ns}"
    work.mkdir(parents=True, exist_ok=True)
    if not note.is_file() or note.read_text() != fingerprint:
        check(archive, expected)  # first, so that a damaged archive replaces nothing
        for old in (target, partial):
            shutil.rmtree(old, ignore_errors=True)
        with atomic(note) as temporary:
            temporary.write_text(fingerprint)
    if target.is_dir():
        log(f"{archive.name}: already unpacked")
        return target
    if packing != "tars":  # finished folders of nested tars are kept
        shutil.rmtree(partial, ignore_errors=True)
    if not partial.is_dir() and (free := shutil.disk_usage(work).free) < stat.st_size:
        raise JobError(
            f"{work}: too little disk space (got {free // MB} MB free, expected at least "
            f"{_mb(stat.st_size)} MB for {archive}). Free some space first."
        )
    partial.mkdir(exist_ok=True)
    bar = progress(f"unpacking {archive.name}", _mb(stat.st_size), "MB")
    allowance = Allowance(stat.st_size)
    with open(archive, "rb") as f, _format_errors(archive), bar:
        for _ in EXTRACT[packing](f, partial, allowance):
            bar.update(_mb(f.tell()) - bar.done)
    partial.rename(target)
    return target


@contextlib.contextmanager
def _format_errors(archive: Path) -> Iterator[None]:
    """Turn a problem of an archive into a JobError that names it."""
    try:
        yield
    except extract.Refused as error:
        raise JobError(f"{archive}: refused: {error}. Get the official archive.") from None
    except (*extract.FORMAT_ERRORS, idx.IdxError, OSError) as error:
        # Errors of the file system have a number, gzip's errors have none. A damaged zip may point
        # to a place before its start (EINVAL).
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        [*_, last] = str(error).splitlines() or [type(error).__name__]
        problem = last.removeprefix("- ")  # from the list of formats that tarfile has tried
        raise JobError(f"{archive}: truncated or damaged ({problem}). Get it again.") from None


def _extract_tar(f: BinaryIO, folder: Path, allowance: Allowance) -> Iterator[None]:
    """Unpack an open tar into `folder`, one member at a time."""
    for member in extract.members_of_tar(f, allowance):
        extract.write(member, folder)
        yield


def _extract_zip(f: BinaryIO, folder: Path, allowance: Allowance) -> Iterator[None]:
    for member in extract.members_of_zip(f, allowance):
        extract.write(member, folder)
        yield


def _extract_nested(f: BinaryIO, folder: Path, allowance: Allowance) -> Iterator[None]:
    """Unpack an open tar of tars, one at a time. Each inner tar becomes a folder.

    The inner tars are read from within the outer file, without writing them to disk. A folder that
    exists is complete and is not unpacked again.
    """
    seen = set()
    for member in extract.members_of_tar(f, allowance):
        [*_, name] = extract.parts_of(member) or [""]
        name = name.removesuffix(".tar")
        if member.kind != "file" or name in seen or not name.strip("."):
            raise extract.Refused(f"{member.shown} is not a tar with a new name")
        seen.add(name)
        target, partial = folder / name, folder / f".{name}.partial"
        if not target.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            with member.open() as inner:
                for _ in _extract_tar(inner, partial, allowance):
                    pass
            partial.rename(target)
        yield


def _extract_idx(f: BinaryIO, folder: Path, allowance: Allowance) -> Iterator[None]:
    """Write the images of a gzipped IDX file as PNGs 00000.png, 00001.png …, one at a time."""
    for i, pixels in enumerate(idx.rows(f, allowance.left)):
        if pixels.ndim != 2:
            raise idx.IdxError(f"got images of {pixels.ndim} dimensions, expected 2")
        encoded = io.BytesIO()  # because Pillow reports no error if the disk is full
        Image.fromarray(pixels).save(encoded, "PNG", compress_level=1)
        (folder / idx.png_name(i)).write_bytes(encoded.getbuffer())
        yield


EXTRACT = {"tar": _extract_tar, "tars": _extract_nested, "zip": _extract_zip, "idx": _extract_idx}
