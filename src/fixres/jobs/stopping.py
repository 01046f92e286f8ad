"""A job can be asked to end.

Three signals ask for it: SIGTERM; SIGUSR1, which a scheduler sends some time before its limit; and
SIGHUP, which a closed terminal sends. A training keeps what it has: it ends its step, writes a
checkpoint and stops. Every other job ends at once. The exit code is always 75, sysexits.h's "try
again later": the same command goes on where the job was.

A job that Snakemake started is also asked to end when its Snakemake is gone. Nobody would wait for
its result, and the next Snakemake starts the same job again.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

AGAIN = 75  # the exit code; os.EX_TEMPFAIL, where the system has it
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
# Environment variable, set by workflow.py: process id of the Snakemake that starts the jobs.
SNAKEMAKE = "FIXRES_SNAKEMAKE"
PR_SET_PDEATHSIG = 1  # of Linux's prctl

_asked: str | None = None  # the newest signal that asked this process to end
_deferred = 0  # number of `deferred` blocks that this process is in


class Stopped(BaseException):
    """This job was asked to end by the named signal.

    Like KeyboardInterrupt it is no error, and no stage should catch it.
    """


# --- signals ---------------------------------------------------------------------------------


def listen() -> None:
    """From now on, a signal raises `Stopped` in the main thread.

    In a `deferred` block, the signal waits for the end of the block.
    """
    for number in SIGNALS:
        # A SIGHUP that is ignored stays ignored: nohup asked for that. SIGUSR1 is ignored by the
        # Snakemake that started this job, so that it survives a signal that is meant for the job.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _ask)
    parent = os.environ.get(SNAKEMAKE)
    if parent and os.getppid() == int(parent):
        when_parent_ends(signal.SIGTERM)
        if os.getppid() != int(parent):  # it went before it could be watched
            raise Stopped("SIGTERM")


def listen_no_more() -> None:
    """Ignore the signals from now on: the process is ending, and its exit code is settled.

    While Python clears up, a signal would kill the process and so change the exit code.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def asked() -> str | None:
    """The signal that asked this process to end, if one did."""
    return _asked


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """A block that signals do not interrupt.

    The block looks at `asked` where it can end with everything kept, and raises `Stopped` there.
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
    """Have the kernel send this process a signal once its parent is gone (on Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def end_with_parent(parent: int) -> None:
    """Be killed as soon as `parent`, which started this process, is gone.

    For the processes of a pool: they would wait for work for ever.
    """
    when_parent_ends(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
