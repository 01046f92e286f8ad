"""The log of a job, on standard error: lines with a time stamp, and progress."""

import contextlib
import sys
import time
from collections.abc import Iterator
from contextvars import ContextVar

from fixres.jobs.quoting import LAYOUT, visible

LOG_SECONDS = 10.0  # between two progress lines of a log

_STARTED = time.perf_counter()
_SILENT = ContextVar("silent", default=False)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """A block without log and progress, for programs that use the suite as a library."""
    before = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(before)


def log(message: str) -> None:
    """Write one line to the job's log, with the time since the job started."""
    if _SILENT.get():
        return
    seconds = time.perf_counter() - _STARTED
    print(f"[{seconds:7.1f} s] {visible(message, LAYOUT)}", file=sys.stderr, flush=True)


class progress:  # noqa: N801 (used like a function, as tqdm is)
    """Progress of a loop over `total` images, or other units.

    A terminal shows a bar; a log file gets a line every 10 s, with the rate and the time left.
    `done` units were completed before, in an earlier start of the job.
    """

    def __init__(self, what: str, total: int, unit: str, done: int = 0):
        self.what, self.total, self.unit, self.done, self.first = what, total, unit, done, done
        self.note, self.started = "", time.perf_counter()
        self.next_line = self.started + LOG_SECONDS
        self.bar = None
        if sys.stderr.isatty() and not _SILENT.get():
            from tqdm import tqdm

            look = {"unit": f" {unit}", "dynamic_ncols": True, "smoothing": 0.05}
            self.bar = tqdm(desc=what, total=total, initial=done, **look)

    def update(self, n: int, note: str = "") -> None:
        """Count `n` more units as done, and show `note` after the rate."""
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
        done = f"{self.done}/{self.total} {self.unit}"
        log(f"{self.what}: {done}, {rate:.0f} {self.unit}/s, {left:.0f} s left{note}")

    def __enter__(self) -> "progress":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
        if kind is None:
            self._line()


def log_times(startup_cpu: float) -> None:
    """End a log with the processor times, for benchmarks/where_time_goes.py.

    startup_cpu : processor seconds that the start of the job took.
    """
    total, main = time.process_time(), time.thread_time()
    log(f"cpu: total {total:.2f} s, start-up {startup_cpu:.2f} s, main thread {main:.2f} s")
