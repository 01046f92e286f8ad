"""Extract archives safely: only regular files and folders, all below one folder.

Archives come from other people, and some have no published checksum. So links, devices and sparse
files are refused outright, because tarfile's own filters have had gaps in some versions of Python.
Each folder on the way to a file is opened without following links. The size of the content is
limited by the size of the archive.
"""

import contextlib
import errno
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from fixres.jobs import naming_in_errors
from fixres.jobs.quoting import visible

BUFFER = 4_000_000  # bytes copied at once
# The content may have this many times the size of the archive, or this many bytes in any case.
# Photographs do not compress, lists compress to about a tenth.
EXPANSION, LEAST = 20, 1_000_000_000
HEADER = tarfile.BLOCKSIZE  # bytes that each member counts for, in addition to its content
LONGEST = 1000  # bytes of a member's name; Linux allows 4096 with the folder's path
DEEPEST = 50  # nested folders of a member
LONGEST_EXTENSION = 1_000_000  # bytes of a header that continues another, for example a long name
# Errors for a name that this folder cannot have: too long, or in conflict with an existing name.
NAME_ERRORS = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP)
NAME_ERRORS += (errno.EINVAL, errno.EILSEQ)
# Errors that the readers of archives raise for an invalid format. Errors of the file system are
# OSErrors.
FORMAT_ERRORS = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)
FORMAT_ERRORS += (ValueError, ArithmeticError, LookupError, MemoryError, RecursionError)
FORMAT_ERRORS += (NotImplementedError,)  # zip: a method of compression


class Refused(Exception):  # noqa: N818 (the archive is refused)
    """An archive does something that no official archive does."""


class Member(NamedTuple):
    """An entry of an archive."""

    name: str
    kind: str  # "file" or "folder"; all other kinds are refused
    size: int  # bytes
    open: Callable[[], BinaryIO]

    @property
    def shown(self) -> str:
        """The name for messages, short and on one line."""
        text = visible(self.name)
        return f"'{text}'" if len(text) <= 100 else f"'{text[:80]}…' ({len(text)} letters)"


class Allowance:
    """The remaining bytes that may be extracted from an archive of `size` bytes."""

    def __init__(self, size: int):
        self.most = self.left = max(EXPANSION * size, LEAST)

    def admit(self, member: Member) -> Member:
        """Count a member. Raises Refused if it exceeds the allowance or has a negative size."""
        self.take(HEADER, member.shown)
        self.take(member.size, member.shown)
        return member

    def take(self, n: int, what: str) -> None:
        self.left -= n
        if n < 0 or self.left < 0:
            raise Refused(f"{what} takes {n} bytes, but the archive may hold at most {self.most}")


# --- readers -------------------------------------------------------------------------------------


class _Header(tarfile.TarInfo):
    """A tar's header, checked before tarfile acts on it."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> tarfile.TarInfo:
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if any(buf):  # tarfile would treat it as the end of the archive
                raise tarfile.ReadError(f"damaged header ({error})") from None
            raise
        if header.type == tarfile.GNUTYPE_SPARSE:
            raise Refused(f"'{visible(header.name)}' is a sparse file")
        is_member = header.type in (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE)
        if not is_member and not 0 <= header.size <= LONGEST_EXTENSION:
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        return header

    def _proc_gnusparse_10(self, *_: object) -> None:
        raise Refused(f"'{visible(self.name)}' is a sparse file")


def members_of_tar(f: BinaryIO, allowance: Allowance) -> Iterator[Member]:
    """The members of an open tar, compressed or not, in order. The tar is read to its end."""
    with tarfile.open(fileobj=f, tarinfo=_Header) as tar:
        for found in tar:
            kind = "a link or a device"
            if found.isreg():
                kind = "a sparse file" if found.issparse() else "file"
            elif found.isdir():
                kind = "folder"
            member = Member(found.name, kind, found.size, partial(tar.extractfile, found))
            yield allowance.admit(member)
        _check_end(tar, allowance)


def _check_end(tar: tarfile.TarFile, allowance: Allowance) -> None:
    """Raise ReadError if the tar does not end with blocks of zeros, as every tar must.

    tarfile itself accepts a tar that was truncated between two files. Reading to the end also makes
    gzip check its own checksum.
    """
    if tar.fileobj.tell() < tar.offset + tarfile.BLOCKSIZE:
        raise tarfile.ReadError("no end-of-archive mark")
    while block := tar.fileobj.read(BUFFER):
        allowance.take(len(block), "what comes after its end")


def members_of_zip(f: BinaryIO, allowance: Allowance) -> Iterator[Member]:
    """The members of an open zip, in order."""
    with zipfile.ZipFile(f) as archive:
        for found in archive.infolist():
            form = stat.S_IFMT(found.external_attr >> 16)
            kind = "a link or a device"
            if found.flag_bits & 1:
                kind = "encrypted"
            elif found.is_dir():
                kind = "folder"
            elif form in (0, stat.S_IFREG):
                kind = "file"
            reader = partial(archive.open, found)
            yield allowance.admit(Member(found.filename, kind, found.file_size, reader))


# --- writing -------------------------------------------------------------------------------------


def write(member: Member, folder: Path) -> None:
    """Write a file or make a folder below `folder`. A second file of the same name replaces it.

    Raises
    ------
    Refused : the member is neither file nor folder, or its name leads outside or is not possible.
    OSError : for example, the disk is full; names the file.
    """
    parts = parts_of(member)
    path = folder.joinpath(*parts)
    if member.kind == "folder":
        with _name_errors(member, path):
            os.close(_open_folder(folder, parts))
        return
    with member.open() as content, naming_in_errors(path):
        with _name_errors(member, path):
            file = _create(folder, parts)
        with open(file, "wb") as out:
            shutil.copyfileobj(content, out, BUFFER)


@contextlib.contextmanager
def _name_errors(member: Member, path: Path) -> Iterator[None]:
    """Raise Refused if the system does not accept a name; add the path to other errors."""
    try:
        yield
    except OSError as error:
        if error.errno in NAME_ERRORS:
            problem = f"{member.shown} cannot be written ({os.strerror(error.errno)})"
            raise Refused(problem) from None
        error.filename = str(path)
        raise


def parts_of(member: Member) -> tuple[str, ...]:
    """The folders and the name of a member. Raises Refused like `write`."""
    if member.kind not in ("file", "folder"):
        raise Refused(f"{member.shown} is {member.kind}")
    path = PurePosixPath(member.name)  # ignores "." and "//"
    if path.is_absolute() or ".." in path.parts:
        raise Refused(f"{member.shown} would be written outside its folder")
    if len(os.fsencode(member.name)) > LONGEST or len(path.parts) > DEEPEST:
        raise Refused(f"{member.shown} is too long a name")
    if member.kind == "file" and not path.parts:
        raise Refused(f"{member.shown} is not a file name")
    return path.parts


def _create(folder: Path, parts: tuple[str, ...]) -> int:
    """Create an empty file below `folder`, without following links; returns its descriptor."""
    above = _open_folder(folder, parts[:-1])
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        return os.open(parts[-1], flags, 0o666, dir_fd=above)
    finally:
        os.close(above)


def _open_folder(folder: Path, parts: tuple[str, ...]) -> int:
    """Open a folder below `folder`, and create it if missing; returns its descriptor.

    Each step starts from the parent folder and follows no link. So the folder is where its name
    says, however long its path is and whatever else is there.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    at = os.open(folder, flags)
    for part in parts:
        above = at
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=above)
            at = os.open(part, flags, dir_fd=above)
        finally:
            os.close(above)
    return at
