"""Asked to end: SIGTERM, SIGUSR1 (what a scheduler sends some time before its limit) and SIGHUP (a closed terminal).

A training keeps what it has: it writes a checkpoint after the step it is in. Whatever else a job is doing ends at once. Both end with code
75, sysexits.h's "try again later": the same command goes on where it was. A job that Snakemake started is asked to end, too, when its
Snakemake is gone: nobody would wait for its result, and a next Snakemake starts the same job again.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

AGAIN = 75  # os.EX_TEMPFAIL, where the system has it
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
SNAKEMAKE = "FIXRES_SNAKEMAKE"  # process id of the Snakemake that starts jobs; set by workflow.use_this_python
PR_SET_PDEATHSIG = 1


class Stopped(BaseException):
    """This job was asked to end by the named signal; like KeyboardInterrupt no error, and nothing that a stage should catch."""


_asked: str | None = None
_deferred = 0


def listen() -> None:
    """From now on in this process: a signal raises `Stopped` in the main thread, or waits for the end of a `deferred` block."""
    for number in SIGNALS:
        # nohup means it; SIGUSR1 is ignored by the Snakemake that started this job, so that it survives what is meant for the job.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _ask)
    parent = os.environ.get(SNAKEMAKE)
    if parent and os.getppid() == int(parent):
        when_parent_ends(signal.SIGTERM)
        if os.getppid() != int(parent):  # it went before it could be watched
            raise Stopped("SIGTERM")


def listen_no_more() -> None:
    """This process is ending, and how is settled: while Python clears up, a signal would kill it, and so change the exit code."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def when_parent_ends(number: int) -> None:
    """Have the kernel send this process a signal once the one that started it is gone (on Linux; elsewhere nothing does)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def end_with_parent(parent: int) -> None:
    """In a process of a pool: be killed as soon as the one that has started it, `parent`, is gone. It would wait for work for ever."""
    when_parent_ends(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _ask(number: int, _frame: FrameType | None) -> None:
    global _asked
    again, _asked = _asked is not None, signal.Signals(number).name
    if not _deferred and not again:
        raise Stopped(_asked)


def asked() -> str | None:
    """The signal that has asked this process to end, if one has."""
    return _asked


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """A block that looks at `asked` itself, where it can end with everything kept, and raises `Stopped` there."""
    global _deferred
    _deferred += 1
    try:
        yield
    finally:
        _deferred -= 1
    if _asked and not _deferred:
        raise Stopped(_asked)
