"""The networks by name: what a plan must know of each, and how to build it.

Planning needs no torch. To add a network, add an entry to `ZOO` (docs/networks.md). Those of the
paper (papers.py) and the newer ones (modern.py) are torchvision's and timm's own. Each of the
paper's names its twin: an embedded network of the same class. The twin stands for it where its
weights, or the time to train it, are not at hand.
"""

import difflib
from typing import TYPE_CHECKING

from fixres.jobs import JobError
from fixres.models.catalogue.modern import MODERN
from fixres.models.catalogue.network import HALVES, Network
from fixres.models.catalogue.papers import PAPER, PNASNET, PNASNET_LAST

if TYPE_CHECKING:
    import torch

    from fixres.models.catalogue.network import Build


def _resnet10q(classes: int) -> "torch.nn.Module":
    from fixres.models.quarter import QuarterResNet

    return QuarterResNet(classes)


def _twin(name: str, *arguments: object) -> "Build":
    """A network of fixres.models.twins."""

    def build(classes: int) -> "torch.nn.Module":
        from fixres.models import twins

        return getattr(twins, name)(classes, *arguments)

    return build


QUARTER = Network(
    title="quarter-scale ResNet-10",
    stride=8,
    classifier="fc",
    last_batch_norm=("layer4.bn2",),
    cells=("layer2", "layer3", "layer4"),
    build=_resnet10q,
    native=56,
)
QUARTER_RESNEXT = QUARTER._replace(
    last_batch_norm=("layer4.0.bn3",), cells=("layer2.0", "layer3.0", "layer4.0")
)
TWINS = {
    "resnet10q": QUARTER,
    "resnet14dq": QUARTER_RESNEXT._replace(
        title="quarter-scale ResNet-14-D", build=_twin("resnet14dq")
    ),
    **{
        f"resnext14q_4x{w}d": QUARTER_RESNEXT._replace(
            title=f"quarter-scale ResNeXt-14 4x{w}d", build=_twin("resnext14q", w)
        )
        for w in (8, 16, 32, 48)
    },
    "pnasnetq": QUARTER._replace(
        title="quarter-scale PNASNet",
        classifier="last_linear",
        last_batch_norm=PNASNET_LAST,
        cells=PNASNET.cells,
        build=_twin("QuarterPNASNet"),
        **HALVES,
        native=80,
    ),
    "efficientnetq": QUARTER._replace(
        title="quarter-scale EfficientNet",
        classifier="classifier",
        last_batch_norm=("bn2",),
        cells=("blocks.2.0", "blocks.3.0", "blocks.4.0"),
        build=_twin("efficientnetq"),
        native=152,
    ),
    "senet14q": QUARTER._replace(
        title="quarter-scale SENet-14",
        classifier="last_linear",
        last_batch_norm=("layer4.0.bn3",),
        cells=("layer2.0", "layer3.0", "layer4.0"),
        build=_twin("QuarterSENet"),
    ),
    "inceptionresnetq": QUARTER._replace(
        title="quarter-scale Inception-ResNet",
        classifier="classif",
        last_batch_norm=("conv2d_7b.bn",),
        cells=("repeat.0", "repeat_1.0", "block8"),
        build=_twin("QuarterInceptionResNet"),
        **HALVES,
        native=72,
    ),
}

ZOO = PAPER | MODERN | TWINS


# --- what a job asks for -----------------------------------------------------------------------


def entry_of(config: dict) -> Network:
    """The network of a job.

    Parameters
    ----------
    config : the job's resolved configuration. A custom network is described by its key
        `entry` (graph/custom.py); of all others `network` is the name in the zoo.
    """
    if "entry" not in config:
        return ZOO[config["network"]]
    from fixres.models.construct import builder

    entry = config["entry"]
    return Network(
        title=entry.get("title") or config["network"],
        stride=entry["stride"],
        classifier=entry["classifier"],
        last_batch_norm=tuple(entry["last_norm"]),
        cells=(),
        build=builder(entry["source"], entry["path"], entry["options"]),
        mean=tuple(entry["mean"]),
        std=tuple(entry["std"]),
        native=entry["native"],
    )


def by_name(network: Network | str) -> Network:
    """The entry of a name; an entry itself, as of a custom network, stays."""
    return ZOO[network] if isinstance(network, str) else network


def build(network: Network | str, classes: int, seed: int) -> "torch.nn.Module":
    """Build a network, channels_last, with random weights that depend on `seed` alone."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = by_name(network).build(classes)
    return built.to(memory_format=torch.channels_last)


def check_layers(entry: Network | str, network: "torch.nn.Module") -> None:
    """Raise JobError for each layer that an entry names and the network does not have.

    The layers are needed when the network is fine-tuned, which may be days of training later.
    """
    entry = by_name(entry)
    layers = [layer for layer, _ in network.named_modules() if layer]
    named = {
        "classifier": [entry.classifier],
        "last_batch_norm": entry.last_batch_norm,
        "cells": entry.cells,
    }
    wrong = [(key, n) for key, names in named.items() for n in names if n not in layers]
    if wrong:
        lines = (f"  {key}: {nearest(n, layers)}" for key, n in wrong)
        name = next((name for name, known in ZOO.items() if known is entry), "")
        place = f"ZOO['{name}'] (models/catalogue/zoo.py)" if name else "custom.network"
        way_out = "correct the entry; docs/networks.md, Adding a network"
        way_out = way_out if name else "correct them; docs/recommend.md"
        raise JobError(
            f"{place} names layers that {entry.title} does not have:\n"
            + "\n".join(lines)
            + f"\n  {way_out}, says what each key means"
        )


def nearest(name: str, known: list[str]) -> str:
    """What to say of a name that is not among the known ones."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"found '{name}'; nearest: {', '.join(close or known[-3:])}"


def outline(network: Network | str, classes: int) -> "torch.nn.Module":
    """The network without its numbers, on torch's meta device.

    It has names and shapes, and takes no memory.
    """
    import torch

    with torch.device("meta"):
        return by_name(network).build(classes)


def markdown() -> str:
    """The table of docs/networks.md: `python -m fixres.models.catalogue.zoo` prints it."""
    lines = [
        "| name | network | parameters (published) | stride | native | weights | licence | twin |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, n in ZOO.items():
        size = f"{n.parameters:g} M" if n.parameters else ""
        twin = f"`{n.twin}`" if n.twin else ""
        cells = (f"`{name}`", n.title, size, n.stride, n.native, _origin(n), n.licence or "", twin)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _origin(network: Network) -> str:
    """Where the weights of a network come from, in words."""
    if network.source:
        kind, where = next(iter(network.source.items()))
        return f"{kind} `{where.rsplit('/', 1)[-1]}`"
    return "trained here" if network.stride == 8 else "no download: give a file, or train"


if __name__ == "__main__":
    print(markdown())
