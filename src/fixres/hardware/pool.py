"""Work on many files, spread over processes."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from fixres.jobs import stopping
from fixres.jobs.errors import JobError
from fixres.jobs.logs import log

W, R = TypeVar("W"), TypeVar("R")


def spread(function: Callable[[W], R], works: Iterable[W], processes: int) -> Iterator[R]:
    """Yield function(work) for each work, in order, computed by several processes.

    This process works alone when `processes` is 1, or when /dev/shm has no room for the locks of
    more processes. Raises JobError if one of the processes was killed.
    """
    pool = _open_pool(processes) if processes > 1 else None
    if pool is None:
        yield from map(function, works)
        return
    with pool:
        try:
            yield from pool.map(function, works)
        except BrokenProcessPool:
            raise JobError(
                f"one of {processes} processes was killed (perhaps the memory ran out); "
                "give the same command again"
            ) from None


def _open_pool(processes: int) -> ProcessPoolExecutor | None:
    """Processes that end with this one, or None where their locks find no room."""
    try:
        return ProcessPoolExecutor(processes, None, stopping.end_with_parent, (os.getpid(),))
    except OSError as error:
        log(
            f"one process in place of {processes}: "
            f"there is no room for their locks in /dev/shm ({error.strerror})"
        )
        return None
