"""Signals that end a job in an orderly way.

These are SIGTERM; SIGUSR1, which a scheduler sends some time before its limit; and SIGHUP, which a
closed terminal sends. A training finishes its step, writes a checkpoint and stops. Every other job
ends at once. The exit code is always 75, "try again later" in sysexits.h, because the same command
resumes the job.

A job that Snakemake started also receives a signal when its Snakemake is gone: nothing waits for
its result any more, and the next Snakemake would start the same job again.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

AGAIN = 75  # the exit code; os.EX_TEMPFAIL, if the system has it
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
# Environment variable, set by workflow.py: process id of the Snakemake that starts the jobs.
SNAKEMAKE = "FIXRES_SNAKEMAKE"
PR_SET_PDEATHSIG = 1  # of Linux's prctl

_asked: str | None = None  # the newest signal that this process received
_deferred = 0  # number of `deferred` blocks that this process is in


class Stopped(BaseException):
    """This job received the named signal.

    Like KeyboardInterrupt, this is not an error, and no stage should catch it.
    """


# --- signals ---------------------------------------------------------------------------------


def listen() -> None:
    """From now on, a signal raises `Stopped` in the main thread.

    In a `deferred` block, the exception is delayed until the end of the block.
    """
    for number in SIGNALS:
        # An ignored SIGHUP stays ignored, because nohup asked for it. An ignored SIGUSR1 does not:
        # Snakemake ignores it in order to survive a signal that is meant for the job.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _ask)
    parent = os.environ.get(SNAKEMAKE)
    if parent and os.getppid() == int(parent):
        when_parent_ends(signal.SIGTERM)
        if os.getppid() != int(parent):  # the parent ended before it could be watched
            raise Stopped("SIGTERM")


def listen_no_more() -> None:
    """Ignore the signals from now on, since the process is ending and its exit code is settled.

    While Python shuts down, a signal would kill the process and so change the exit code.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def asked() -> str | None:
    """The signal that this process received, if any."""
    return _asked


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """A block that signals do not interrupt.

    The block checks `asked` at points where it can end without losing anything, and raises
    `Stopped` there.
    """
    global _deferred
    _deferred += 1
    try:
        yield
    finally:
        _deferred -= 1
    if _asked and not _deferred:
        raise Stopped(_asked)


def _ask(number: int, _frame: FrameType | None) -> None:
    global _asked
    again, _asked = _asked is not None, signal.Signals(number).name
    if not _deferred and not again:
        raise Stopped(_asked)


# --- the parent process ----------------------------------------------------------------------


def when_parent_ends(number: int) -> None:
    """Have the kernel send this process a signal when its parent ends (only on Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def end_with_parent(parent: int) -> None:
    """Have this process killed when `parent`, which started it, ends.

    For the processes of a pool, which would otherwise wait for work forever.
    """
    when_parent_ends(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
