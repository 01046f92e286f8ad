"""The place of this process among a job's processes, and how they share work and results.

A job of one process uses the same code with `ALONE`, where nothing is exchanged. As in torch, the
rank of a process is its number among the processes of the job, from 0.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch

T = TypeVar("T")


class Ranks(NamedTuple):
    """The place of this process among the job's processes. By default, there are no others."""

    rank: int = 0
    size: int = 1
    local: int = 0  # rank among the processes on this machine; also the number of its device
    on_machine: int = 1  # number of processes that share this machine's processors

    @property
    def first(self) -> bool:
        """Whether this process logs and writes."""
        return self.rank == 0

    def share(self, n: int, chunk: int = 1, rank: int | None = None) -> slice:
        """The part of n items that a rank works on (None: the rank of this process).

        The parts of all ranks are contiguous and contain each item once. They consist of whole
        chunks of neighbouring items, of which only the very last may be shorter.
        """
        chunks, r = -(-n // chunk), self.rank if rank is None else rank
        start, end = chunks * r // self.size, chunks * (r + 1) // self.size
        return slice(min(start * chunk, n), min(end * chunk, n))

    def portion(self, threads: int) -> int:
        """This process's share of the job's threads on this machine, at least one."""
        return max(1, threads // self.on_machine)

    def all_gather_rows(self, whole: torch.Tensor, chunk: int = 1) -> None:
        """Give every rank all rows of a contiguous tensor, bit for bit.

        This rank has filled its share of the rows, `share(len(whole), chunk)`. The other rows are
        filled here, in place.
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
        # Each in its own memory layout, since the optimiser needs it equal for gradient and
        # parameter.
        sums = [torch.empty_like(t) for t in tensors]
        views = [part.view_as(t) for part, t in zip(parts, tensors, strict=True)]
        # On a GPU, one kernel copies all tensors with an unchanged layout; others need one each.
        for stays in (True, False):
            both = zip(sums, views, strict=True)
            pairs = [(a, b) for a, b in both if (a.stride() == b.stride()) == stays]
            if pairs:
                torch._foreach_copy_(*map(list, zip(*pairs, strict=True)))
        return sums

    def gather(self, mine: T) -> list[T]:
        """The values `mine` of all ranks, in order, on every rank."""
        parts: list = [mine] * self.size
        if self.size > 1:
            torch.distributed.all_gather_object(parts, mine)
        return parts

    def broadcast(self, make: Callable[[], T]) -> T:
        """Call `make` only on rank 0, and return its result on every rank."""
        if self.size == 1:
            return make()
        result = [make() if self.first else None]
        torch.distributed.broadcast_object_list(result)
        return result[0]


ALONE = Ranks()  # a job of one process
