"""What one image costs a network: multiply-adds, parameters, and bytes between trunk and head.

The networks of the zoo are counted once (models/counting.py), in work.csv, so that planning needs
no torch.
"""

import csv
import functools
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).with_name("work.csv")
SPLITS = ("classifier", "batch-norm+classifier", "cells+batch-norm+classifier")


class Work(NamedTuple):
    """What one image costs at one resolution."""

    trunk: float  # multiply-adds of the forward pass of the frozen part
    head: float  # and of the part that trains
    frontier: float  # bytes of the activations between the two, in bf16

    @property
    def network(self) -> float:
        """Multiply-adds of the whole forward pass."""
        return self.trunk + self.head

    def at(self, k: int, native: int, pooled: bool = False) -> "Work":
        """The same at `k` pixels, if this is at `native` pixels: all grow with the area.

        Parameters
        ----------
        pooled : whether the head reads pooled vectors. Their bytes stay.
        """
        grown = Work(*(value * (k / native) ** 2 for value in self))
        return grown._replace(frontier=self.frontier) if pooled else grown


@functools.cache
def table() -> dict[tuple[str, str], tuple[Work, int]]:
    """(network, layers) -> its work at its native resolution, and its parameters."""
    with open(TABLE, newline="", encoding="utf-8") as f:
        lines = list(csv.reader(f))[1:]
    return {
        (network, layers): (Work(*map(float, counted)), int(parameters))
        for network, layers, *counted, parameters in lines
    }
