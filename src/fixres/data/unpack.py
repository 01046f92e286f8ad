"""Archives as they are distributed: check their MD5, and unpack them safely and completely.

While an archive is unpacked, its folder is called `….partial`; a folder with its final name is
complete. A note beside it (`….checked`) says which file the folder came from. So an interrupted
job repeats neither the checksum nor a finished archive. But another file of the same name is
checked and unpacked anew.
"""

import contextlib
import hashlib
import io
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from fixres.data import idx
from fixres.jobs import JobError, atomic, log, progress

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
    """name -> MD5 of md5sums.txt in `root`. Raises JobError where it or a checksum is missing."""
    file = root / SUMS
    if not file.is_file():
        needs = f"checksums: listed needs it (lines of `md5  name`: md5sum * > {SUMS})"
        raise JobError(f"{file}: no such file; {needs}")
    sums = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        found, _, name = line.partition("  ")
        if len(found) != 32 or not name:
            raise JobError(f"{file}: line {number}: found '{line}', expected `md5  name`")
        sums[name] = found
    return sums


def check(file: Path, expected: str | None) -> None:
    """Raise JobError where the MD5 of `file` is not `expected`; the log says if none is known."""
    if expected is None:
        log(f"{file.name}: no checksum is published, so none is checked")
    elif (found := md5(file)) != expected:
        raise JobError(
            f"{file}: MD5 {found}, expected {expected}: "
            "the file is cut short, damaged or not the official one; get it again. "
            f"(For a copy of your own: checksums: listed, and an {SUMS} beside it)"
        )


# --- unpacking ----------------------------------------------------------------------------------


def unpack(archive: Path, expected: str | None, work: Path, packing: str = "tar") -> Path:
    """Check `archive` and unpack it below `work`. What an interrupted call finished is kept.

    Parameters
    ----------
    expected : MD5 of the archive; None: not checked.
    packing : "tar"; "tars": a tar of tars, of which each becomes a folder (ImageNet's training
        set); "idx": images in MNIST's format, gzipped, which become PNGs.

    Returns
    -------
    The folder with the content of the archive.
    """
    target = work / archive.name
    partial = target.with_name(f"{target.name}.partial")
    note = target.with_name(f"{target.name}.checked")
    stat = archive.stat()
    fingerprint = f"{expected} {stat.st_size} {stat.st_mtime_ns}"
    work.mkdir(parents=True, exist_ok=True)
    if not note.is_file() or note.read_text() != fingerprint:
        check(archive, expected)  # first: a damaged archive replaces nothing
        for old in (target, partial):
            shutil.rmtree(old, ignore_errors=True)
        with atomic(note) as temporary:
            temporary.write_text(fingerprint)
    if target.is_dir():
        log(f"{archive.name}: already unpacked")
        return target
    if packing != "tars":  # of which finished folders are kept
        shutil.rmtree(partial, ignore_errors=True)
    if not partial.is_dir() and (free := shutil.disk_usage(work).free) < stat.st_size:
        raise JobError(
            f"{work}: {free // MB} MB free, but {archive} unpacks to at least "
            f"{_mb(stat.st_size)} MB: make room first"
        )
    partial.mkdir(exist_ok=True)
    bar = progress(f"unpacking {archive.name}", _mb(stat.st_size), "MB")
    with open(archive, "rb") as f, _tar_errors(archive), bar:
        for _ in EXTRACT[packing](f, partial):
            bar.update(_mb(f.tell()) - bar.done)
    partial.rename(target)
    return target


@contextlib.contextmanager
def _tar_errors(archive: Path) -> Iterator[None]:
    """Turn what tarfile and the decompressors raise into JobErrors that name the archive."""
    try:
        yield
    except tarfile.FilterError as error:
        raise JobError(
            f"{archive}: refused, it would write or link outside its folder ({error}); "
            "get the official archive"
        ) from None
    except (tarfile.TarError, idx.IdxError, EOFError, zlib.error, OSError) as error:
        # Errors of the file system have a number, those of gzip none.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise JobError(f"{archive}: cut short or damaged ({error}); get it again") from None


def safe(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    """A tar filter that refuses every member outside the folder, absolute names included.

    tarfile's own data filter would silently make absolute names relative.
    """
    if os.path.isabs(member.name):
        raise tarfile.AbsolutePathError(member)
    return tarfile.data_filter(member, folder)


def _extract(f: BinaryIO, folder: Path) -> Iterator[str]:
    """Unpack an open tar into `folder`, yielding the names."""
    with tarfile.open(fileobj=f) as tar:
        for member in tar:
            tar.extract(member, folder, filter=safe)
            yield member.name
        _check_end(tar)


def _extract_nested(f: BinaryIO, folder: Path) -> Iterator[str]:
    """Unpack an open tar of tars, yielding the names. Each inner tar becomes a folder.

    The inner tars are read from the outer file, not written to disk first. A folder that exists
    is complete and is not unpacked again.
    """
    with tarfile.open(fileobj=f) as outer:
        for member in outer:
            safe(member, str(folder))
            target = folder / Path(member.name).stem
            if not target.is_dir():
                partial = folder / f".{target.name}.partial"
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir()
                inner = outer.extractfile(member)
                if inner is None:
                    raise tarfile.ReadError(f"{member.name} is not a file")
                with inner:
                    for _ in _extract(inner, partial):
                        pass
                partial.rename(target)
            yield member.name
        _check_end(outer)


def _extract_idx(f: BinaryIO, folder: Path) -> Iterator[str]:
    """Write the images of a gzipped IDX file as PNGs 00000.png, 00001.png …, yielding the names."""
    for i, pixels in enumerate(idx.rows(f)):
        name = idx.png_name(i)
        encoded = io.BytesIO()  # Pillow itself reports no error where a disk fills up
        Image.fromarray(pixels).save(encoded, "PNG", compress_level=1)
        (folder / name).write_bytes(encoded.getbuffer())
        yield name


EXTRACT = {"tar": _extract, "tars": _extract_nested, "idx": _extract_idx}


def _check_end(tar: tarfile.TarFile) -> None:
    """Raise ReadError where the tar does not end with blocks of zeros, as every tar must.

    tarfile itself accepts a tar that was cut between two files. Reading on to the end also makes
    gzip compare its own checksum.
    """
    if tar.fileobj.tell() < tar.offset + tarfile.BLOCKSIZE:
        raise tarfile.ReadError("no end-of-archive mark")
    while tar.fileobj.read(BUFFER):
        pass
