"""TODO."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

    Build = Callable[[int], torch.nn.Module]


class Released(NamedTuple):
    """One row of the authors' released FixRes weights: what they published it to reach on ImageNet (README of facebookresearch/FixRes)."""

    title: str
    network: str
    k_test: int
    top1: float
    top5: float
    augmentation: str | None  # of the fine-tuning; None: not fine-tuned
    url: str


_AUTHORS = "https://dl.fbaipublicfiles.com/FixRes_data/FixRes_Pretrained_Models/"
# CC BY-NC 4.0. No checksums are published: they are given as files. Tuned with their own test transform (test_resize: released).
RELEASED = {
    "fixresnet50_baseline": Released(
        "ResNet-50 baseline",
        "resnet50",
        224,
        77.0,
        93.4,
        None,
        _AUTHORS + "ResNet_no_adaptation.pth",
    ),
    "fixresnet50": Released(
        "FixResNet-50", "resnet50", 384, 79.0, 94.6, "test DA", _AUTHORS + "ResNetFinetune.pth"
    ),
    "fixresnet50_v2": Released(
        "FixResNet-50 (*)", "resnet50", 384, 79.1, 94.6, "test DA2", _AUTHORS + "ResNet50_v2.pth"
    ),
    "fixresnet50_cutmix": Released(
        "FixResNet-50 CutMix",
        "resnet50_cutmix",
        320,
        79.7,
        94.9,
        "test DA",
        _AUTHORS + "ResNetCutMix.pth",
    ),
    "fixresnet50_cutmix_v2": Released(
        "FixResNet-50 CutMix (*)",
        "resnet50_cutmix",
        320,
        79.8,
        94.9,
        "test DA2",
        _AUTHORS + "ResNet50_CutMix_v2.pth",
    ),
    "fixpnasnet5": Released(
        "FixPNASNet-5", "pnasnet5large", 480, 83.7, 96.8, "test DA", _AUTHORS + "PNASNet.pth"
    ),
    "fixresnext101_32x48d": Released(
        "FixResNeXt-101 32x48d",
        "resnext101_32x48d_wsl",
        320,
        86.3,
        97.9,
        "test DA",
        _AUTHORS + "ResNeXt_101_32x48d.pth",
    ),
    "fixresnext101_32x48d_v2": Released(
        "FixResNeXt-101 32x48d (*)",
        "resnext101_32x48d_wsl",
        320,
        86.4,
        98.0,
        "test DA2",
        _AUTHORS + "ResNext101_32x48d_v2.pth",
    ),
}
