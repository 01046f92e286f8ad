"""The networks by name: what a plan must know of each, and how to build it.

Planning needs no torch. To add a network, add an entry to `ZOO` (docs/networks.md). The paper's
networks are torchvision's and timm's own. Each names its twin: an embedded network of the same
class. The twin stands for it where its weights, or the time to train it, are not at hand.
"""

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from fixres.jobs import JobError

if TYPE_CHECKING:
    import torch

    Build = Callable[[int], torch.nn.Module]


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean, std of the normalised input
# The normalisation of the networks that TensorFlow trained.
HALVES = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
NON_COMMERCIAL = "CC-BY-NC-4.0"


class Network(NamedTuple):
    """One network of the suite.

    Attributes
    ----------
    stride : total stride; crops are multiples of it (Appendix B).
    classifier : name of the last layer.
    last_batch_norm : names of the batch-norms before the global pooling (§4.2).
    cells : names of the last three cells or blocks (Table 1, "3 cells", "3 conv.").
    build : number of classes -> network with random weights.
    mean, std : normalisation of the input.
    native : resolution that its published weights were trained at, pixels. Of a twin: a quarter
        of it.
    parameters : millions, for 1000 classes (Table 2); None where the paper gives none.
    source : where its weights come from, as in `published.fetch`; None: no download is known.
    licence : of those weights.
    twin : the embedded network of the same class.
    extra_data : whether its weights saw more than ImageNet (Table 2, "Extra Training Data").
    revision : raised when the code changes what the network computes: its jobs run again.
    """

    title: str
    stride: int
    classifier: str
    last_batch_norm: tuple[str, ...]
    cells: tuple[str, ...]
    build: "Build"
    mean: tuple[float, float, float] = IMAGENET[0]
    std: tuple[float, float, float] = IMAGENET[1]
    native: int = 224
    parameters: float | None = None
    source: dict | None = None
    licence: str | None = None
    twin: str | None = None
    extra_data: bool = False
    revision: int = 0


# --- how to build ------------------------------------------------------------------------------


def _resnet10q(classes: int) -> "torch.nn.Module":
    from fixres.models.quarter import QuarterResNet

    return QuarterResNet(classes)


def _torchvision(name: str) -> "Build":
    def build(classes: int) -> "torch.nn.Module":
        from torchvision.models import get_model

        return get_model(name, weights=None, num_classes=classes)

    return build


def _timm(name: str, padded_as_at: int | None = None, **options: object) -> "Build":
    """A network of timm. With `padded_as_at`, it pads at every size as at that one, pixels."""

    def build(classes: int) -> "torch.nn.Module":
        import timm

        network = timm.create_model(name, num_classes=classes, **options)
        if padded_as_at:
            from fixres.models.padding import fix_padding

            fix_padding(network, padded_as_at)
        return network

    return build


def _resnext101(width: int) -> "Build":
    """ResNeXt-101 32×`width`d of Mahajan et al. (2018): ResNet-101 with 32 groups a block.

    timm has no name for the widest.
    """

    def build(classes: int) -> "torch.nn.Module":
        from timm.models.resnet import Bottleneck, ResNet

        return ResNet(Bottleneck, (3, 4, 23, 3), classes, cardinality=32, base_width=width)

    return build


def _twin(name: str, *arguments: object) -> "Build":
    """A network of fixres.models.twins."""

    def build(classes: int) -> "torch.nn.Module":
        from fixres.models import twins

        return getattr(twins, name)(classes, *arguments)

    return build


def _timm_weights(name: str) -> dict[str, str]:
    return {"timm": name}


# --- the paper's networks ----------------------------------------------------------------------

RESNET50 = Network(
    title="ResNet-50",
    stride=32,
    classifier="fc",
    last_batch_norm=("layer4.2.bn3",),
    cells=("layer4.0", "layer4.1", "layer4.2"),
    build=_torchvision("resnet50"),
    parameters=25.6,
    twin="resnet10q",
)
RESNET50_BILLION = RESNET50._replace(
    title="ResNet-50 Billion-scale", licence=NON_COMMERCIAL, extra_data=True
)


def _wsl(width: int, parameters: float, source: dict) -> Network:
    """A ResNeXt-101 pre-trained on 940 million images with hashtags (weakly supervised, "WSL")."""
    return RESNET50._replace(
        title=f"ResNeXt-101 32x{width}d",
        build=_resnext101(width),
        parameters=parameters,
        source=source,
        licence=NON_COMMERCIAL,
        twin=f"resnext14q_4x{width}d",
        extra_data=True,
    )


def _wsl_timm(width: int) -> dict[str, str]:
    # Not the older names ig_resnext101_…: timm maps all of those to the weights of 32x8d.
    return _timm_weights(f"resnext101_32x{width}d.fb_wsl_ig1b_ft_in1k")


# The file that the hub entry facebookresearch/WSL-Images:resnext101_32x48d_wsl loads. The digits
# in its name are the first of its SHA-256.
WSL_48 = {
    "url": "https://download.pytorch.org/models/ig_resnext101_32x48-3e41cc8a.pth",
    "sha256": "3e41cc8a",
}

# PNASNet's cells end in a concatenation of sums, so there is no single last batch-norm. These six
# end the separable branches of its last cell.
PNASNET_LAST = tuple(
    f"cell_11.comb_iter_{branch}.bn_sep_2"
    for branch in ("0_left", "1_left", "2_left", "2_right", "3_left", "4_left")
)
PNASNET = Network(
    title="PNASNet-5-Large",
    stride=32,
    classifier="last_linear",
    last_batch_norm=PNASNET_LAST,
    cells=("cell_9", "cell_10", "cell_11"),
    # As the authors ran it. timm's own has no dropout, and its padding changes with the size.
    build=_timm("pnasnet5large", padded_as_at=331, drop_rate=0.5),
    **HALVES,
    native=331,
    parameters=86.1,
    source=_timm_weights("pnasnet5large.tf_in1k"),
    licence="Apache-2.0",
    twin="pnasnetq",
    revision=1,
)
EFFICIENTNET = Network(
    title="EfficientNet-B7",
    stride=32,
    classifier="classifier",
    last_batch_norm=("bn2",),
    cells=("blocks.6.1", "blocks.6.2", "blocks.6.3"),
    build=_timm("tf_efficientnet_b7", drop_rate=0.5),
    native=600,
    parameters=66,
    source=_timm_weights("tf_efficientnet_b7.aa_in1k"),
    licence="Apache-2.0",
    twin="efficientnetq",
)
SENET = Network(
    title="SENet-154",
    stride=32,
    classifier="last_linear",
    last_batch_norm=("layer4.2.bn3",),
    cells=("layer4.0", "layer4.1", "layer4.2"),
    build=_timm("legacy_senet154"),
    source=_timm_weights("legacy_senet154.in1k"),
    licence="Apache-2.0",
    twin="senet14q",
)
INCEPTION = Network(
    title="Inception-ResNet-v2",
    stride=32,
    classifier="classif",
    last_batch_norm=("conv2d_7b.bn",),
    cells=("repeat_2.7", "repeat_2.8", "block8"),
    build=_timm("inception_resnet_v2"),
    **HALVES,
    native=299,
    source=_timm_weights("inception_resnet_v2.tf_in1k"),
    licence="Apache-2.0",
    twin="inceptionresnetq",
)

PAPER = {
    "resnet18": RESNET50._replace(
        title="ResNet-18",
        last_batch_norm=("layer4.1.bn2",),
        cells=("layer3.1", "layer4.0", "layer4.1"),
        build=_torchvision("resnet18"),
        parameters=None,
        source={"torchvision": "ResNet18_Weights.IMAGENET1K_V1"},
        licence="BSD-3-Clause",
    ),
    "resnet50": RESNET50._replace(source=_timm_weights("resnet50.tv_in1k"), licence="BSD-3-Clause"),
    "resnet50_cutmix": RESNET50._replace(title="ResNet-50 CutMix"),
    "resnet50_billion_224": RESNET50_BILLION._replace(
        source=_timm_weights("resnet50.fb_swsl_ig1b_ft_in1k")
    ),
    "resnet50_billion_160": RESNET50_BILLION._replace(
        title="ResNet-50 Billion-scale@160", native=160
    ),
    "resnet50d": RESNET50._replace(
        title="ResNet-50-D",
        build=_timm("resnet50d"),
        source=_timm_weights("resnet50d.gluon_in1k"),
        licence="Apache-2.0",
        twin="resnet14dq",
    ),
    "resnext101_32x8d_wsl": _wsl(8, 88, _wsl_timm(8)),
    "resnext101_32x16d_wsl": _wsl(16, 193, _wsl_timm(16)),
    "resnext101_32x32d_wsl": _wsl(32, 466, _wsl_timm(32)),
    "resnext101_32x48d_wsl": _wsl(48, 829, WSL_48),
    "pnasnet5large": PNASNET,
    "efficientnet_b7": EFFICIENTNET,
    "senet154": SENET,
    "inception_resnet_v2": INCEPTION,
}

# --- embedded twins ----------------------------------------------------------------------------

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

ZOO = PAPER | TWINS


# --- what a job asks for -----------------------------------------------------------------------


def entry_of(config: dict) -> Network:
    """The network of a job.

    Parameters
    ----------
    config : the job's resolved configuration. A network of one's own is described by its key
        `entry` (plan/own.py); of all others `network` is the name in the zoo.
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
    """The entry of a name; an entry itself, as of a network of one's own, stays."""
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
        place = f"ZOO['{name}'] (models/zoo.py)" if name else "own.network"
        way_out = "correct the entry; docs/networks.md, Adding a network"
        way_out = way_out if name else "correct them; docs/own.md"
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
    """The table of docs/networks.md: `python -m fixres.models.zoo` prints it."""
    lines = [
        "| name | network | parameters (paper) | stride | native | weights | licence | twin |",
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
