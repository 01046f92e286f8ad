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
    """function(work) of each, in their order; by this process alone where there can be no others: their locks live in /dev/shm."""
    pool = None
    if processes > 1:
        try:
            pool = ProcessPoolExecutor(
                processes, initializer=stopping.end_with_parent, initargs=(os.getpid(),)
            )
        except OSError as error:
            log(
                f"one process in place of {processes}: there is no room for their locks in /dev/shm ({error.strerror})"
            )
    if pool is None:
        yield from map(function, works)
        return
    with pool:
        try:
            yield from pool.map(function, works)
        except BrokenProcessPool:
            raise JobError(
                f"one of {processes} processes was killed (perhaps the memory ran out); give the same command again"
            ) from None
