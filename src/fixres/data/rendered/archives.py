"""Archives and MATLAB files whose bytes are the same every time they are written."""

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def pack(folder: Path, names: Iterable[str], archive: Path, prefix: str = "") -> None:
    """Put files and folders of `folder` into a tar, without owners and dates.

    It is gzipped unless its name ends in .tar. `prefix` is prepended to every name in the tar.
    """
    plain = archive.suffix == ".tar"
    with open(archive, "wb") as f:
        target = f if plain else gzip.GzipFile("", "wb", compresslevel=1, fileobj=f, mtime=0)
        with target, tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for name in names:
                _add(tar, folder / name, prefix + name)


def _add(tar: tarfile.TarFile, file: Path, name: str) -> None:
    member = tarfile.TarInfo(name)
    if file.is_dir():
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(member)
        for inner in sorted(os.listdir(file)):
            _add(tar, file / inner, f"{name}/{inner}")
    else:
        member.size = file.stat().st_size
        with open(file, "rb") as f:
            tar.addfile(member, f)


def pack_zip(folder: Path, archive: Path, prefix: str = "") -> None:
    """Put the content of a folder into a zip, without dates. `prefix` is prepended to names."""
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted(folder.rglob("*")):
            name = f"{prefix}{file.relative_to(folder)}{'/' * file.is_dir()}"
            content = b"" if file.is_dir() else file.read_bytes()
            packed.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, compresslevel=1)


def savemat(file: Path, **variables: object) -> None:
    """Write a MATLAB 5 file without a date in its header."""
    import scipy.io

    buffer = io.BytesIO()
    scipy.io.savemat(buffer, variables)
    data = bytearray(buffer.getvalue())
    data[:116] = b"MATLAB 5.0 MAT-file, a pinhole twin".ljust(116)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def structs(rows: list[tuple], fields: list[str]) -> np.ndarray:
    """A 1×n MATLAB struct array; each row has the values of the fields."""
    out = np.empty((1, len(rows)), [(field, object) for field in fields])
    for i, row in enumerate(rows):
        out[0, i] = row
    return out
