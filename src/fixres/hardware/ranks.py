"""Which of a job's processes this one is, and how the processes share work and results.

A job of one process goes through the same code: its `Ranks` (ALONE) has nobody to talk to. The
word rank is torch's: the processes of a job are numbered from 0.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch

T = TypeVar("T")


class Ranks(NamedTuple):
    """The place of this process among the job's processes. The default: it is the only one."""

    rank: int = 0
    size: int = 1
    local: int = 0  # rank among the processes on this machine; also the number of its device
    on_machine: int = 1  # number of processes that share this machine's processors

    @property
    def first(self) -> bool:
        """Whether this process logs and writes."""
        return self.rank == 0

    def share(self, n: int, chunk: int = 1, rank: int | None = None) -> slice:
        """The part of n things that one rank works on (None: this process's rank).

        The parts of all ranks are contiguous and hold each thing once. They are made of whole
        chunks of neighbouring things; only the last chunk of all may be shorter.
        """
        chunks, r = -(-n // chunk), self.rank if rank is None else rank
        start, end = chunks * r // self.size, chunks * (r + 1) // self.size
        return slice(min(start * chunk, n), min(end * chunk, n))

    def portion(self, threads: int) -> int:
        """This process's part of the threads that the job has on this machine: at least one."""
        return max(1, threads // self.on_machine)

    def all_gather_rows(self, whole: torch.Tensor, chunk: int = 1) -> None:
        """Give every rank all rows of a contiguous tensor, bit for bit.

        This rank has filled its share of the rows, `share(len(whole), chunk)`. Those of the others
        are filled here, in place.
        """
        for rank in range(self.size if self.size > 1 else 0):
            part = whole[self.share(len(whole), chunk, rank)]
            if part.numel():
                torch.distributed.broadcast(part.view(-1).view(torch.uint8), rank)

    def sum(self, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        """Each tensor summed over the ranks, with the same bits on every rank.

        Two ranks add a + b. With more ranks, the library chooses the order of the additions.
        """
        if self.size == 1:
            return tensors
        flat = torch.cat([t.reshape(-1) for t in tensors])
        torch.distributed.all_reduce(flat)
        parts = flat.split([t.numel() for t in tensors])
        # Each in its own memory layout: the optimiser wants gradient and parameter alike.
        sums = [torch.empty_like(t) for t in tensors]
        views = [part.view_as(t) for part, t in zip(parts, tensors, strict=True)]
        # On a GPU one kernel copies all tensors whose layout stays; the others take one each.
        for stays in (True, False):
            both = zip(sums, views, strict=True)
            pairs = [(a, b) for a, b in both if (a.stride() == b.stride()) == stays]
            if pairs:
                torch._foreach_copy_(*map(list, zip(*pairs, strict=True)))
        return sums

    def gather(self, mine: T) -> list[T]:
        """The `mine` of every rank, in the order of the ranks, on every rank."""
        parts: list = [mine] * self.size
        if self.size > 1:
            torch.distributed.all_gather_object(parts, mine)
        return parts

    def broadcast(self, make: Callable[[], T]) -> T:
        """Call `make` on rank 0 alone and return its result on every rank."""
        if self.size == 1:
            return make()
        result = [make() if self.first else None]
        torch.distributed.broadcast_object_list(result)
        return result[0]


ALONE = Ranks()  # a job of one process
