"""The FixRes weights that the paper's authors released.

Source: README of facebookresearch/FixRes. The licence is CC BY-NC 4.0. No checksums are published,
so the files are given by hand (configuration: released.files). The weights are tuned with the
authors' own test transform (test_resize: released). The accuracy that the authors published is in
paper/reference/released.csv.
"""

from typing import NamedTuple


class Released(NamedTuple):
    """One row of the authors' table."""

    title: str  # (*): fine-tuned with test DA2
    network: str  # its name in the zoo
    k_test: int  # pixels
    augmentation: str | None  # of the fine-tuning; None: not fine-tuned
    file: str  # without its suffix, .pth

    @property
    def url(self) -> str:
        return f"{ADDRESS}{self.file}.pth"


ADDRESS = "https://dl.fbaipublicfiles.com/FixRes_data/FixRes_Pretrained_Models/"
R50, CUTMIX, PNASNET, WSL = "resnet50", "resnet50_cutmix", "pnasnet5large", "resnext101_32x48d_wsl"
DA, DA2 = "test DA", "test DA2"
ROWS = (
    ("fixresnet50_baseline", "ResNet-50 baseline", R50, 224, None, "ResNet_no_adaptation"),
    ("fixresnet50", "FixResNet-50", R50, 384, DA, "ResNetFinetune"),
    ("fixresnet50_v2", "FixResNet-50 (*)", R50, 384, DA2, "ResNet50_v2"),
    ("fixresnet50_cutmix", "FixResNet-50 CutMix", CUTMIX, 320, DA, "ResNetCutMix"),
    ("fixresnet50_cutmix_v2", "FixResNet-50 CutMix (*)", CUTMIX, 320, DA2, "ResNet50_CutMix_v2"),
    ("fixpnasnet5", "FixPNASNet-5", PNASNET, 480, DA, "PNASNet"),
    ("fixresnext101_32x48d", "FixResNeXt-101 32x48d", WSL, 320, DA, "ResNeXt_101_32x48d"),
    ("fixresnext101_32x48d_v2", "FixResNeXt-101 32x48d (*)", WSL, 320, DA2, "ResNext101_32x48d_v2"),
)
RELEASED = {name: Released(*row) for name, *row in ROWS}
