"""What every job shares: its command line, its log, its progress, its threads, and files that are whole or absent.

A job publishes nothing once one of the files that it read has changed: `reading` remembers them, `atomic` looks again before a file takes
its place. So an evaluation whose model is trained anew meanwhile, or a forgotten job of a former configuration, cannot leave a result that
looks like one of today's.
"""

import argparse
import contextlib
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

LOG_SECONDS = 10.0  # between two progress lines of a log


class JobError(RuntimeError):
    """A failure that a person can act on; printed as one message, without a traceback."""


def parser(stage: str, doc: str, *inputs: str, threads: bool = True) -> argparse.ArgumentParser:
    """The command line of a stage: its docstring as help, the resolved configuration and the named files as options."""
    p = argparse.ArgumentParser(prog=f"python -m fixres {stage}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--config", type=Path, required=True, help="the run's resolved configuration (config.json)")
    p.add_argument("--made-of", default="", help="what Snakemake expects in it: a digest, compared with the file's (default: any)")
    for name in inputs:
        p.add_argument(f"--{name}", type=Path, required=True, help=INPUT_HELP[name])
    if threads:
        p.add_argument("--threads", type=int, default=os.cpu_count(), help="processor threads to use (default: all)")
    return p


INPUT_HELP = {
    "manifest": "the dataset's manifest (manifest.npz)",
    "weights": "weights to start from or to measure (safetensors)",
    "out": "where the result goes",
}


def device_options(p: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Options of the jobs that run a network: none of them changes what is computed beyond rounding."""
    p.add_argument("--loader", choices=["auto", "dali", "pillow"], default="auto", help="auto: DALI where installed")
    p.add_argument("--workers", type=int, help="threads that decode and cut images, of all processes (default: as --threads)")
    p.add_argument("--precision", choices=["auto", "bf16", "fp32"], default="auto", help="auto: bf16 where the hardware has it")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (of several processes each takes a device of its own)")
    p.add_argument("--gpus", type=int, default=0, help="devices that the job holds for itself, on all its machines (default: one, if any)")
    p.add_argument("--nodes", type=int, default=1, help="machines of a SLURM allocation that share --gpus evenly (default: 1)")
    p.add_argument("--processes", type=int, help="they share the threads and workers (default: one a device)")
    p.add_argument("--compile", action="store_true", help="compile the network with torch.compile: minutes at first, then faster steps")
    return p


def read_config(path: Path, stage: str, made_of: str = "") -> dict:
    """The resolved configuration of a job, checked to belong to `stage` and, where Snakemake says so, to be what it planned.

    Parameters
    ----------
    made_of : digest of the configuration, then a point and one of what the job depends on (`plan.Plan.made_of`); empty: any configuration.
    """
    reading(path)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise JobError(f"{path}: cannot be read ({error.strerror}); Snakemake writes it: ask for the run's result there") from None
    except ValueError as error:
        raise JobError(f"{path}: not valid JSON ({error}); delete it and let Snakemake write it again") from None
    if config.get("stage") != stage:
        raise JobError(f"{path}: written for stage '{config.get('stage')}', expected '{stage}'")
    if made_of and made_of.split(".")[0] != digest(canonical(config)):
        raise JobError(
            f"{path}: not what Snakemake planned: edited, damaged, or of another time; delete it and let Snakemake write it again"
        )
    return config


def canonical(config: dict) -> str:
    """One text for one configuration: sorted keys, so that only a change of a value changes it."""
    return json.dumps(config, sort_keys=True, ensure_ascii=False)


def digest(*parts: str | bytes) -> str:
    """A short name for exactly this content."""
    h = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        h.update(len(data).to_bytes(8, "little") + data)
    return h.hexdigest()[:32]


def file_digest(path: Path) -> str:
    """SHA-256 of a file; of one that the job has announced to read (`reading`), as it was then."""
    return _read[path][1] if path in (_read or {}) else _content(path)


def _content(path: Path) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


_read: dict[Path, tuple[tuple, str]] | None = None  # what this job has read: identity and digest; None: this process is no job


@contextlib.contextmanager
def remembering_inputs() -> Iterator[None]:
    """Meanwhile this process is a job: `atomic` publishes only while what `reading` names is unchanged."""
    global _read
    _read = {}
    try:
        yield
    finally:
        _read = None


def reading(*paths: Path) -> None:
    """Say, before it reads them, which files the job's result depends on. Those that are not there are left to whoever opens them."""
    for path in paths:
        if _read is not None and path not in _read and path.is_file():
            _read[path] = _identity(path), _content(path)


def _identity(path: Path) -> tuple:
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def unchanged() -> None:
    """Raise `JobError` if a file that was read is not what it was."""
    for path, (identity, content) in (_read or {}).items():
        if not path.is_file():
            raise JobError(f"{path}: gone while this job ran; nothing was written. Give the same command again")
        if _identity(path) != identity and _content(path) != content:
            raise JobError(f"{path}: changed while this job ran; nothing was written. Give the same command again")


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place once the block has succeeded: readers see all of it or nothing.

    Raises `JobError` where the job's inputs have changed (`reading`).
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
            unchanged()
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, content: dict) -> None:
    """Write a result, with a digest of its content that `read_json` looks at."""
    sealed = content | {"digest": digest(canonical(json.loads(canonical(content))))}
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(sealed, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict:
    """A result written by `write_json`. Raises OSError, or ValueError where its content is not what was written."""
    reading(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or content.pop("digest", None) != digest(canonical(content)):
        raise ValueError("its content does not match its digest")
    return content


def log(message: str) -> None:
    """One line of the job's log, with the time since its start."""
    print(f"[{time.perf_counter() - _STARTED:7.1f} s] {message}", file=sys.stderr, flush=True)


_STARTED = time.perf_counter()


class progress:  # noqa: N801 (used like a function, as tqdm is)
    """Progress of a loop: a bar when a person watches a terminal, else a log line every 10 s with rate and time left."""

    def __init__(self, what: str, total: int, unit: str, done: int = 0):
        self.what, self.total, self.unit, self.done, self.first = what, total, unit, done, done
        self.note, self.started = "", time.perf_counter()
        self.next_line = self.started + LOG_SECONDS
        self.bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(desc=what, total=total, initial=done, unit=f" {unit}", dynamic_ncols=True, smoothing=0.05)

    def update(self, n: int, note: str = "") -> None:
        """`n` more units are done; `note` is shown behind the rate."""
        self.done, self.note = self.done + n, note or self.note
        if self.bar is not None:
            self.bar.update(n)
            if note:
                self.bar.set_postfix_str(note)
        elif time.perf_counter() >= self.next_line:
            self._line()
            self.next_line = time.perf_counter() + LOG_SECONDS

    def _line(self) -> None:
        elapsed = time.perf_counter() - self.started
        rate = (self.done - self.first) / max(elapsed, 1e-9)
        left = (self.total - self.done) / rate if rate else 0
        note = f", {self.note}" if self.note else ""
        log(f"{self.what}: {self.done}/{self.total} {self.unit}, {rate:.0f} {self.unit}/s, {left:.0f} s left{note}")

    def __enter__(self) -> "progress":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
        if kind is None:
            self._line()


def log_times(startup_cpu: float) -> None:
    """Close a log with where the processor time went: `benchmarks/where_time_goes.py` reads this line."""
    total, main = time.process_time(), time.thread_time()
    log(f"cpu: total {total:.2f} s, start-up {startup_cpu:.2f} s, main thread {main:.2f} s")


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """An error of the file system names the file: Python's own name it when it cannot be opened, and not when it cannot be written."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
