"""The paper's networks: torchvision's and timm's own. Each names its embedded twin."""

from fixres.models.catalogue.network import HALVES, NON_COMMERCIAL, Network

RESNET50 = Network(
    title="ResNet-50",
    stride=32,
    classifier="fc",
    last_batch_norm=("layer4.2.bn3",),
    cells=("layer4.0", "layer4.1", "layer4.2"),
    constructor="torchvision:resnet50",
    parameters=25.6,
    twin="resnet10q",
)
RESNET50_BILLION = RESNET50._replace(
    title="ResNet-50 Billion-scale", licence=NON_COMMERCIAL, extra_data=True
)


def _wsl(width: int, parameters: float) -> Network:
    """A ResNeXt-101 pre-trained on 940 million images with hashtags (weakly supervised, "WSL")."""
    # Not the older names ig_resnext101_…: timm maps all of those to the weights of 32x8d.
    source = {"timm": f"resnext101_32x{width}d.fb_wsl_ig1b_ft_in1k"}
    return RESNET50._replace(
        title=f"ResNeXt-101 32x{width}d",
        constructor="timm:resnext101_32x8d",  # timm has no name for the widest
        options={"base_width": width},
        parameters=parameters,
        source=WSL_48 if width == 48 else source,
        licence=NON_COMMERCIAL,
        twin=f"resnext14q_4x{width}d",
        extra_data=True,
    )


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
    constructor="fixres:padding:padded",
    options={"name": "pnasnet5large", "as_at": 331, "drop_rate": 0.5},
    **HALVES,
    native=331,
    parameters=86.1,
    source={"timm": "pnasnet5large.tf_in1k"},
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
    constructor="timm:tf_efficientnet_b7",
    options={"drop_rate": 0.5},
    native=600,
    parameters=66,
    source={"timm": "tf_efficientnet_b7.aa_in1k"},
    licence="Apache-2.0",
    twin="efficientnetq",
)
SENET = Network(
    title="SENet-154",
    stride=32,
    classifier="last_linear",
    last_batch_norm=("layer4.2.bn3",),
    cells=("layer4.0", "layer4.1", "layer4.2"),
    constructor="timm:legacy_senet154",
    source={"timm": "legacy_senet154.in1k"},
    licence="Apache-2.0",
    twin="senet14q",
)
INCEPTION = Network(
    title="Inception-ResNet-v2",
    stride=32,
    classifier="classif",
    last_batch_norm=("conv2d_7b.bn",),
    cells=("repeat_2.7", "repeat_2.8", "block8"),
    constructor="timm:inception_resnet_v2",
    **HALVES,
    native=299,
    source={"timm": "inception_resnet_v2.tf_in1k"},
    licence="Apache-2.0",
    twin="inceptionresnetq",
)

PAPER = {
    "resnet18": RESNET50._replace(
        title="ResNet-18",
        last_batch_norm=("layer4.1.bn2",),
        cells=("layer3.1", "layer4.0", "layer4.1"),
        constructor="torchvision:resnet18",
        parameters=None,
        source={"torchvision": "ResNet18_Weights.IMAGENET1K_V1"},
        licence="BSD-3-Clause",
    ),
    "resnet50": RESNET50._replace(source={"timm": "resnet50.tv_in1k"}, licence="BSD-3-Clause"),
    "resnet50_cutmix": RESNET50._replace(title="ResNet-50 CutMix"),
    "resnet50_billion_224": RESNET50_BILLION._replace(
        source={"timm": "resnet50.fb_swsl_ig1b_ft_in1k"}
    ),
    "resnet50_billion_160": RESNET50_BILLION._replace(
        title="ResNet-50 Billion-scale@160", native=160
    ),
    "resnet50d": RESNET50._replace(
        title="ResNet-50-D",
        constructor="timm:resnet50d",
        source={"timm": "resnet50d.gluon_in1k"},
        licence="Apache-2.0",
        twin="resnet14dq",
    ),
    **{
        f"resnext101_32x{width}d_wsl": _wsl(width, parameters)
        for width, parameters in ((8, 88), (16, 193), (32, 466), (48, 829))
    },
    "pnasnet5large": PNASNET,
    "efficientnet_b7": EFFICIENTNET,
    "senet154": SENET,
    "inception_resnet_v2": INCEPTION,
}
