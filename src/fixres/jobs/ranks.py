"""TODO."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch

T = TypeVar("T")


class Ranks(NamedTuple):
    """Which of the job's processes this one is; the default is a job of one process."""

    rank: int = 0
    size: int = 1
    local: int = 0  # among the processes on this machine: its device
    on_machine: int = 1  # how many share this machine's processors

    @property
    def first(self) -> bool:
        """Whether this process logs and writes."""
        return self.rank == 0

    def share(self, n: int, chunk: int = 1, rank: int | None = None) -> slice:
        """The part of n things that a rank (this one) works on: contiguous, whole chunks but at the very end, each thing once."""
        chunks, r = -(-n // chunk), self.rank if rank is None else rank
        start, end = chunks * r // self.size, chunks * (r + 1) // self.size
        return slice(min(start * chunk, n), min(end * chunk, n))

    def portion(self, threads: int) -> int:
        """Of threads that the job was given on this machine, those of this process: at least one."""
        return max(1, threads // self.on_machine)

    def all_gather_rows(self, whole: torch.Tensor, chunk: int = 1) -> None:
        """Every rank has filled its share of the rows of `whole` (contiguous); afterwards every rank has all of them, bit for bit."""
        for rank in range(self.size if self.size > 1 else 0):
            part = whole[self.share(len(whole), chunk, rank)]
            if part.numel():
                torch.distributed.broadcast(part.view(-1).view(torch.uint8), rank)

    def sum(self, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        """Each tensor summed over the ranks, the same bits on all. Two ranks add a + b; of more, the library chooses the order."""
        if self.size == 1:
            return tensors
        flat = torch.cat([t.reshape(-1) for t in tensors])
        torch.distributed.all_reduce(flat)
        parts = flat.split([t.numel() for t in tensors])
        # Each in its own memory layout, which the optimiser wants alike in gradient and parameter.
        return [
            torch.empty_like(t).copy_(part.view_as(t))
            for part, t in zip(parts, tensors, strict=True)
        ]

    def gather(self, mine: T) -> list[T]:
        """What each rank has, in the order of the ranks, on every rank."""
        parts: list = [mine] * self.size
        if self.size > 1:
            torch.distributed.all_gather_object(parts, mine)
        return parts

    def broadcast(self, make: Callable[[], T]) -> T:
        """What `make` returns on rank 0, on every rank."""
        if self.size == 1:
            return make()
        told = [make() if self.first else None]
        torch.distributed.broadcast_object_list(told)
        return told[0]


ALONE = Ranks()  # a job of one process
