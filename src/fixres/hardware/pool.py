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

    This process does all the work if `processes` is 1, or if /dev/shm has no space for the locks of
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
                f"{processes} processes: one was killed, perhaps because memory ran out. "
                "Run the same command again, with fewer --threads if it repeats."
            ) from None


def _open_pool(processes: int) -> ProcessPoolExecutor | None:
    """Processes that end with the current process, or None if there is no space for their locks."""
    try:
        return ProcessPoolExecutor(processes, None, stopping.end_with_parent, (os.getpid(),))
    except OSError as error:
        log(
            f"one process instead of {processes}, because /dev/shm has no space for their locks "
            f"({error.strerror})"
        )
        return None
