"""Count what one image costs a network of the zoo.

    python -m fixres.models.counting > src/fixres/models/catalogue/work.csv

What is in that table is not counted again, and needs no torch.
"""

import csv
import functools
import sys

from fixres.models.catalogue.work import SPLITS, Work, table
from fixres.models.catalogue.zoo import ZOO

CLASSES = 1000


def work_of(network: str, layers: tuple[str, ...]) -> Work:
    """The work of a network at its native resolution, for 1000 classes.

    Parameters
    ----------
    layers : what trains: any of "classifier", "batch-norm", "cells".
    """
    known = table().get((network, "+".join(layers)))
    return known[0] if known else count(network, list(layers))


def parameters_of(network: str) -> int:
    """Parameters of a network for 1000 classes."""
    known = table().get((network, SPLITS[0]))
    return known[1] if known else count_parameters(network)


@functools.cache
def count_parameters(network: str) -> int:
    """Count the parameters of a network for 1000 classes."""
    from fixres.models.construct import outline

    return sum(p.numel() for p in outline(network, CLASSES).parameters())


def count(network: str, layers: list[str]) -> Work:
    """Count the work of a network at its native resolution, on torch's meta device."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from fixres.models.adapt import adapt_last_layers
    from fixres.models.construct import outline

    entry, built = ZOO[network], outline(network, CLASSES)
    with torch.device("meta"):
        parts = adapt_last_layers(built, entry, layers, entry.native, "statistics")
        built.eval()
        x = torch.empty(1, 3, entry.native, entry.native)
        with torch.no_grad():
            with FlopCounterMode(display=False) as trunk:
                frontier = parts.trunk(x)
            with FlopCounterMode(display=False) as head:
                parts.head(*frontier)
    flops = [counter.get_total_flops() / 2 for counter in (trunk, head)]
    return Work(*flops, sum(2 * a.numel() for a in frontier))


def main() -> None:
    """Print work.csv."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["network", "layers", *Work._fields, "parameters"])
    for network in ZOO:
        for layers in SPLITS:
            counted = map(int, count(network, layers.split("+")))
            writer.writerow([network, layers, *counted, count_parameters(network)])


if __name__ == "__main__":
    main()
