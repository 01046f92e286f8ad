"""TODO."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fixres.jobs.digests import canonical, digest
from fixres.jobs.errors import JobError


def file_digest(path: Path) -> str:
    """SHA-256 of a file; of one that the job has announced to read (`record_inputs`), as it was then."""
    return _recorded[path][1] if path in (_recorded or {}) else _content(path)


def _content(path: Path) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


_recorded: dict[Path, tuple[tuple, str]] | None = (
    None  # what this job has read: identity and digest; None: this process is no job
)


@contextlib.contextmanager
def recording_inputs() -> Iterator[None]:
    """Meanwhile this process is a job: `atomic` publishes only while what `record_inputs` names is unchanged."""
    global _recorded
    _recorded = {}
    try:
        yield
    finally:
        _recorded = None


def record_inputs(*paths: Path) -> None:
    """Say, before it reads them, which files the job's result depends on. Those that are not there are left to whoever opens them."""
    for path in paths:
        if _recorded is not None and path not in _recorded and path.is_file():
            _recorded[path] = _identity(path), _content(path)


def _identity(path: Path) -> tuple:
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def check_inputs_unchanged() -> None:
    """Raise `JobError` if a file that was read is not what it was."""
    for path, (identity, content) in (_recorded or {}).items():
        if not path.is_file():
            raise JobError(
                f"{path}: gone while this job ran; nothing was written. Give the same command again"
            )
        if _identity(path) != identity and _content(path) != content:
            raise JobError(
                f"{path}: changed while this job ran; nothing was written. Give the same command again"
            )


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place once the block has succeeded: readers see all of it or nothing.

    Raises `JobError` where the job's inputs have changed (`record_inputs`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        with naming(path):
            yield temporary
            with open(temporary, "rb") as f:
                os.fsync(f.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            check_inputs_unchanged()
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: dict) -> None:
    """Write a result, with a digest of its content that `read_json` looks at."""
    sealed = content | {"digest": digest(canonical(json.loads(canonical(content))))}
    with atomic(path) as temporary:
        temporary.write_text(
            json.dumps(sealed, indent=1, sort_keys=True, ensure_ascii=False) + "\n",
            encoding="utf-8",
        )


def read_json(path: Path) -> dict:
    """A result written by `write_json`. Raises OSError, or ValueError where its content is not what was written."""
    record_inputs(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or content.pop("digest", None) != digest(canonical(content)):
        raise ValueError("its content does not match its digest")
    return content


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """An error of the file system names the file: Python's own name it when it cannot be opened, and not when it cannot be written."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
