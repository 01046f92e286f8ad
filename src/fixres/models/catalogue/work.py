"""What one image costs a network: multiply-adds, parameters, and bytes between trunk and head.

    python -m fixres.models.catalogue.work > src/fixres/models/catalogue/work.csv

The networks of the zoo are counted once, in work.csv, so that planning needs no torch. A network
that is not in the table is counted when it is asked for.
"""

import csv
import functools
import sys
from pathlib import Path
from typing import NamedTuple

from fixres.models.catalogue import zoo

TABLE = Path(__file__).with_name("work.csv")
CLASSES = 1000
COLUMNS = ("trunk", "head", "frontier")
SPLITS = ("classifier", "batch-norm+classifier", "cells+batch-norm+classifier")


class Work(NamedTuple):
    """What one image costs at one resolution."""

    network: float  # multiply-adds of the forward pass
    trunk: float  # of them, those of the frozen part
    head: float  # and of the part that trains
    frontier: float  # bytes of the activations between the two, in bf16

    def at(self, k: int, native: int, pooled: bool = False) -> "Work":
        """The same at `k` pixels, if this is at `native` pixels: all grow with the area.

        Parameters
        ----------
        pooled : whether the head reads pooled vectors. Their bytes stay.
        """
        grown = Work(*(value * (k / native) ** 2 for value in self))
        return grown._replace(frontier=self.frontier) if pooled else grown


def _work(trunk: float, head: float, frontier: float) -> Work:
    return Work(trunk + head, trunk, head, frontier)


def work_of(network: str, layers: tuple[str, ...]) -> Work:
    """The work of a network at its native resolution, for 1000 classes.

    Parameters
    ----------
    layers : what trains: any of "classifier", "batch-norm", "cells".
    """
    known = _table().get((network, "+".join(layers)))
    return known[0] if known else count(network, list(layers))


def parameters_of(network: str) -> int:
    """Parameters of a network for 1000 classes."""
    known = _table().get((network, SPLITS[0]))
    return known[1] if known else count_parameters(network)


@functools.cache
def _table() -> dict[tuple[str, str], tuple[Work, int]]:
    if not TABLE.is_file():
        return {}
    with open(TABLE, newline="", encoding="utf-8") as f:
        return {
            (line["network"], line["layers"]): (
                _work(*(float(line[name]) for name in COLUMNS)),
                int(line["parameters"]),
            )
            for line in csv.DictReader(f)
        }


# --- counting ------------------------------------------------------------------------------------


@functools.cache
def count_parameters(network: str) -> int:
    """Count the parameters of a network for 1000 classes."""
    return sum(p.numel() for p in zoo.outline(network, CLASSES).parameters())


def count(network: str, layers: list[str]) -> Work:
    """Count the work of a network at its native resolution, on torch's meta device."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from fixres.models.adapt import adapt_last_layers

    entry = zoo.ZOO[network]
    with torch.device("meta"):
        built = entry.build(CLASSES)
        parts = adapt_last_layers(built, entry, layers, entry.native, "statistics")
        built.eval()
        x = torch.empty(1, 3, entry.native, entry.native)
        with torch.no_grad():
            with FlopCounterMode(display=False) as trunk:
                frontier = parts.trunk(x)
            with FlopCounterMode(display=False) as head:
                parts.head(*frontier)
    flops = [counter.get_total_flops() / 2 for counter in (trunk, head)]
    return _work(*flops, sum(2 * a.numel() for a in frontier))


def main() -> None:
    """Print work.csv."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["network", "layers", *COLUMNS, "parameters"])
    for network in zoo.ZOO:
        for layers in SPLITS:
            work = count(network, layers.split("+"))
            counted = (int(getattr(work, name)) for name in COLUMNS)
            writer.writerow([network, layers, *counted, count_parameters(network)])


if __name__ == "__main__":
    main()
