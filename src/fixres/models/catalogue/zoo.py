"""The networks by name: what planning must know about each.

Planning needs no torch. To add a network, add an entry to `ZOO` (docs/networks.md). The paper's
networks (papers.py) and the newer networks (modern.py) come from torchvision and timm. Each of the
paper's networks names its twin, an embedded network of the same class. The twin replaces it where
its weights, or the time to train it, are not available.
"""

from fixres.models.catalogue.modern import MODERN
from fixres.models.catalogue.network import HALVES, Network
from fixres.models.catalogue.papers import PAPER, PNASNET, PNASNET_LAST

QUARTER = Network(
    title="quarter-scale ResNet-10",
    stride=8,
    classifier="fc",
    last_batch_norm=("layer4.bn2",),
    cells=("layer2", "layer3", "layer4"),
    constructor="fixres:quarter:QuarterResNet",
    native=56,
)
QUARTER_BOTTLENECK = QUARTER._replace(
    last_batch_norm=("layer4.0.bn3",),
    cells=("layer2.0", "layer3.0", "layer4.0"),
    constructor="fixres:twins:resnet",
    revision=1,
)
TWINS = {
    "resnet10q": QUARTER,
    # A stem of three 3×3 convolutions, and average pooling in the shortcuts: ResNet-D of He et al.
    # (2019), "Bag of tricks".
    "resnet14dq": QUARTER_BOTTLENECK._replace(
        title="quarter-scale ResNet-14-D",
        options={"channels": (8, 16, 88, 64), "stem_type": "deep", "avg_down": True},
    ),
    # 4 groups of the full network's width.
    **{
        f"resnext14q_4x{w}d": QUARTER_BOTTLENECK._replace(
            title=f"quarter-scale ResNeXt-14 4x{w}d",
            options={"channels": (8, 16, 96, 144), "cardinality": 4, "base_width": w},
        )
        for w in (8, 16, 32, 48)
    },
    "pnasnetq": QUARTER._replace(
        title="quarter-scale PNASNet",
        classifier="last_linear",
        last_batch_norm=PNASNET_LAST,
        cells=PNASNET.cells,
        constructor="fixres:twins:QuarterPNASNet",
        **HALVES,
        native=80,
        revision=1,
    ),
    "efficientnetq": QUARTER._replace(
        title="quarter-scale EfficientNet",
        classifier="classifier",
        last_batch_norm=("bn2",),
        cells=("blocks.2.0", "blocks.3.0", "blocks.4.0"),
        constructor="fixres:twins:efficientnetq",
        native=152,
        revision=1,
    ),
    "senet14q": QUARTER_BOTTLENECK._replace(
        title="quarter-scale SENet-14",
        classifier="last_linear",
        constructor="fixres:twins:QuarterSENet",
    ),
    "inceptionresnetq": QUARTER._replace(
        title="quarter-scale Inception-ResNet",
        classifier="classif",
        last_batch_norm=("conv2d_7b.bn",),
        cells=("repeat_2.1", "repeat_2.2", "block8"),
        constructor="fixres:twins:QuarterInceptionResNet",
        **HALVES,
        native=72,
        revision=1,
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
    entry = config["entry"]
    return Network(
        title=entry.get("title") or config["network"],
        stride=entry["stride"],
        classifier=entry["classifier"],
        other_heads=tuple(entry.get("other_heads", ())),
        last_batch_norm=tuple(entry["last_norm"]),
        cells=(),
        constructor=entry["source"],
        options=entry["options"],
        path=entry["path"],
        code=entry.get("code", ""),
        mean=tuple(entry["mean"]),
        std=tuple(entry["std"]),
        native=entry["native"],
    )


def by_name(network: Network | str) -> Network:
    """The entry with this name. An entry, such as a custom network's, is returned as it is."""
    return ZOO[network] if isinstance(network, str) else network


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
