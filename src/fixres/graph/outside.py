"""Content from outside: a file that the user gives counts by what it holds, not by its date."""

import contextlib
import json
import os
import time
from functools import cache
from pathlib import Path

from fixres import jobs
from fixres.config import ConfigError
from fixres.jobs import JobError
from fixres.jobs.quoting import visible
from fixres.models import code

# What was read stays known here, so that no plan reads gigabytes again.
CACHE = Path(".snakemake", "fixres", "sha256")
SETTLED = 2.0  # seconds since a file changed: a change within one tick of its clock leaves no trace


def sha256_of(file: str, key: str, expected: str = "") -> str:
    """The SHA-256 of a file, which is read only if it has changed since the last time.

    Parameters
    ----------
    key : of the configuration, that names the file.
    expected : the SHA-256 that the user gives.

    Raises
    ------
    ConfigError : it cannot be read, or has another SHA-256.
    """
    try:
        found = _sha256(Path(file).absolute(), _identity(Path(file)))
    except OSError as error:
        raise ConfigError(f"{key}: {file}: cannot be read ({error.strerror})") from None
    if expected and found != expected:
        raise ConfigError(
            f"{key}: {file}: wrong checksum (got SHA-256 {found}, expected {expected}). Get the "
            "file again, or correct the checksum."
        )
    return found


def code_digest(path: str, module: str, key: str) -> str:
    """A digest of a module and of all that it imports (models/code.py); "" where there is none.

    Raises ConfigError, which names the `key` of the configuration, where a file cannot be read.
    """
    try:
        return code.digest(path, module)
    except SyntaxError as error:
        problem = visible(f"{error.filename}, line {error.lineno}: {error.msg}")
        raise ConfigError(f"{key}: {problem}. Correct the file.") from None
    except OSError as error:
        raise ConfigError(f"{key}: {error.filename}: cannot be read ({error.strerror})") from None


def _identity(file: Path) -> tuple[int, ...]:
    """Changes whenever the file changes, because the last of its dates cannot be set."""
    stat = file.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


@cache
def _sha256(file: Path, identity: tuple[int, ...]) -> str:
    """The SHA-256 of a file, cached on disk with the file's identity."""
    kept = CACHE / f"{jobs.digest(os.fsencode(file))}.json"
    with contextlib.suppress(OSError, ValueError, TypeError):
        known, sha256 = json.loads(kept.read_text())
        if tuple(known) == identity:
            return sha256
    sha256 = jobs.file_digest(file)
    if _identity(file) == identity and time.time() - max(identity[2:]) / 1e9 > SETTLED:
        # The cache only saves time, so a read-only folder is not an error.
        with contextlib.suppress(OSError, JobError), jobs.atomic(kept) as temporary:
            temporary.write_text(json.dumps([identity, sha256]))
    return sha256
