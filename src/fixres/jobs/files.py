"""Complete files from unchanged inputs.

A job writes to a temporary file, which replaces its result at the end (`atomic`), so a reader sees
the whole result or none.

A job publishes nothing once one of its inputs has changed: `record_inputs` remembers the files that
the job reads, and `atomic` checks them before it replaces a file. For example, a model may be
trained again while it is evaluated. Without the check, the evaluation would leave a result that
looks like the new model's. The same check stops a forgotten job of an earlier configuration.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fixres.jobs import seals
from fixres.jobs.digests import canonical, digest
from fixres.jobs.errors import JobError

# Identity and SHA-256 of each file that this job reads. None: this process is not a job.
_recorded: dict[Path, tuple[tuple, str]] | None = None


# --- inputs ----------------------------------------------------------------------------------


@contextlib.contextmanager
def recording_inputs() -> Iterator[None]:
    """Make this process a job within the block: its inputs are recorded and checked."""
    global _recorded
    _recorded = {}
    try:
        yield
    finally:
        _recorded = None


def record_inputs(*paths: Path) -> None:
    """Remember the content of files on which the job's result depends, before they are read.

    A missing file is skipped, because the code that opens it will report it. Raises JobError if a
    file is a result but differs from what its job wrote (seals.py).
    """
    for path in paths:
        if _recorded is not None and path not in _recorded and path.is_file():
            identity, content = _identity(path), _content_digest(path)
            seals.check(path, content)
            _recorded[path] = identity, content


def recorded_inputs() -> dict[Path, str]:
    """The files that this job has read so far, with their SHA-256."""
    return {path: content for path, (_, content) in (_recorded or {}).items()}


def check_inputs_unchanged() -> None:
    """Raise JobError if a recorded file has changed or is gone."""
    for path, (identity, content) in (_recorded or {}).items():
        gone = not path.is_file()
        if gone or (_identity(path) != identity and _content_digest(path) != content):
            raise JobError(
                f"{path}: {'removed' if gone else 'changed'} while this job ran, so nothing was "
                "written. Run the same command again."
            )


def file_digest(path: Path) -> str:
    """SHA-256 of a file; for a recorded file, the digest at the time of recording."""
    return _recorded[path][1] if path in (_recorded or {}) else _content_digest(path)


def _content_digest(path: Path) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _identity(path: Path) -> tuple:
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


# --- results ---------------------------------------------------------------------------------


def check_suite(folder: Path) -> None:
    """Raise JobError if Snakemake would read a part of the suite's path as a wildcard."""
    if "{" in str(folder) or "}" in str(folder):
        raise JobError(
            f"{folder}: the path of the suite contains {{ or }}, which Snakemake reads as a "
            "wildcard. Rename the folder."
        )


def check_folder(path: Path, content: str = "results") -> None:
    """Raise JobError if `path` cannot be a folder: it is a file, or a link to nowhere."""
    if path.is_dir() or not os.path.lexists(path):
        return
    found = "a file"
    if path.is_symlink():
        found = f"a link to {os.readlink(path)}, which is not a folder"
    raise JobError(
        f"{path}: not usable for {content} (got {found}, expected a folder, or nothing). "
        "Move it away, or create the folder that it points to."
    )


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give the block a temporary path, whose file replaces `path` at the end of the block.

    If the block fails, or if the job's inputs have changed (`record_inputs`; a JobError), `path`
    stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        with naming_in_errors(path):
            yield temporary
            with open(temporary, "rb") as f:
                os.fsync(f.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            check_inputs_unchanged()
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Like `atomic`, for a folder: a new folder replaces `path` at the end of the block.

    Its files are not synchronised one by one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        with naming_in_errors(path):
            yield temporary
            os.chmod(temporary, 0o777 & ~_umask())
            check_inputs_unchanged()
            if path.exists():
                shutil.rmtree(path)
            os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def naming_in_errors(path: Path) -> Iterator[None]:
    """Let every OSError of the block name a file: `path`, where Python names none (in a write)."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_json(path: Path, content: dict) -> None:
    """Write a result and a digest of its content, which `read_json` checks."""
    sealed = content | {"digest": digest(canonical(json.loads(canonical(content))))}
    text = json.dumps(sealed, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict:
    """Read a result that `write_json` wrote.

    Raises OSError where the file cannot be read, ValueError where its content is not what was
    written.
    """
    record_inputs(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or content.pop("digest", None) != digest(canonical(content)):
        raise ValueError("its content does not match its digest")
    return content


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
