"""Newer starting weights than the paper's, each at the resolution that it was trained at.

ResNet-50s trained by two procedures that are newer than the paper, and the EfficientNets that the
paper's authors fixed in a later note (Touvron et al., 2020, arXiv:2003.08237).
"""

from math import ceil

from fixres.models.catalogue.network import HALVES, Network
from fixres.models.catalogue.papers import EFFICIENTNET, RESNET50

# name -> native resolution (pixels), millions of parameters, multiplier of the depth, dropout
# before the classifier
SIZES = {
    "b0": (224, 5.3, 1.0, 0.2),
    "b1": (240, 7.8, 1.1, 0.2),
    "b2": (260, 9.2, 1.1, 0.3),
    "b3": (300, 12, 1.2, 0.3),
    "b4": (380, 19, 1.4, 0.4),
    "b5": (456, 30, 1.6, 0.4),
    "b6": (528, 43, 1.8, 0.5),
    "b7": (600, 66, 2.0, 0.5),
    "b8": (672, 87.4, 2.2, 0.5),
    "l2": (800, 480, 5.3, 0.5),
}
# The last two stages of an EfficientNet have four blocks and one, times the multiplier.
STAGES = ((5, 4), (6, 1))


def _resnet50(title: str, native: int, source: dict, licence: str) -> Network:
    title = f"ResNet-50 {title}"
    return RESNET50._replace(title=title, native=native, source=source, licence=licence, twin=None)


def _timm_resnet50(tag: str, native: int) -> Network:
    """Trained by one of the procedures of Wightman, Touvron, Jégou (2021, arXiv:2110.00476)."""
    return _resnet50(tag.upper(), native, {"timm": f"resnet50.{tag}_in1k"}, "Apache-2.0")


def _last_blocks(depth: float) -> tuple[str, ...]:
    """The names of the last three blocks."""
    stages = [(stage, ceil(blocks * depth)) for stage, blocks in STAGES]
    return tuple(f"blocks.{s}.{i}" for s, blocks in stages for i in range(blocks))[-3:]


def _efficientnet(size: str) -> Network:
    native, parameters, depth, dropout = SIZES[size]
    return EFFICIENTNET._replace(
        title=f"EfficientNet-{size.upper()}",
        cells=_last_blocks(depth),
        constructor=f"timm:tf_efficientnet_{size}",
        options={"drop_rate": dropout},
        native=native,
        parameters=parameters,
        twin=None,
    )


EFFICIENTNETS = {size: _efficientnet(size) for size in SIZES}


def _advprop(size: str) -> Network:
    """Trained on ImageNet with adversarial examples (Xie et al., 2019, arXiv:1911.09665)."""
    entry = EFFICIENTNETS[size]
    source = {"timm": f"tf_efficientnet_{size}.ap_in1k"}
    return entry._replace(title=f"{entry.title} AdvProp", source=source, **HALVES)


def _noisy_student(size: str) -> Network:
    """Trained on 300 million further, unlabelled images (Xie et al., 2019, arXiv:1911.04252)."""
    entry = EFFICIENTNETS[size]
    source = {"timm": f"tf_efficientnet_{size}.ns_jft_in1k"}
    return entry._replace(title=f"{entry.title} Noisy Student", source=source, extra_data=True)


MODERN = {
    "resnet50_v2": _resnet50(
        "V2", 176, {"torchvision": "ResNet50_Weights.IMAGENET1K_V2"}, "BSD-3-Clause"
    ),
    "resnet50_a1": _timm_resnet50("a1", 224),
    "resnet50_a2": _timm_resnet50("a2", 224),
    "resnet50_a3": _timm_resnet50("a3", 160),
    **{f"efficientnet_{s}_advprop": _advprop(s) for s in SIZES if s != "l2"},
    **{f"efficientnet_{s}_noisy_student": _noisy_student(s) for s in SIZES if s != "b8"},
}
