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
    file: str

    @property
    def url(self) -> str:
        return ADDRESS + self.file


ADDRESS = "https://dl.fbaipublicfiles.com/FixRes_data/FixRes_Pretrained_Models/"
R50, CUTMIX, PNASNET, WSL = "resnet50", "resnet50_cutmix", "pnasnet5large", "resnext101_32x48d_wsl"
DA, DA2 = "test DA", "test DA2"
# Each row is wrapped alike, so that the columns can be compared.
# fmt: off
RELEASED = {
    "fixresnet50_baseline":
        Released("ResNet-50 baseline", R50, 224, None, "ResNet_no_adaptation.pth"),
    "fixresnet50":
        Released("FixResNet-50", R50, 384, DA, "ResNetFinetune.pth"),
    "fixresnet50_v2":
        Released("FixResNet-50 (*)", R50, 384, DA2, "ResNet50_v2.pth"),
    "fixresnet50_cutmix":
        Released("FixResNet-50 CutMix", CUTMIX, 320, DA, "ResNetCutMix.pth"),
    "fixresnet50_cutmix_v2":
        Released("FixResNet-50 CutMix (*)", CUTMIX, 320, DA2, "ResNet50_CutMix_v2.pth"),
    "fixpnasnet5":
        Released("FixPNASNet-5", PNASNET, 480, DA, "PNASNet.pth"),
    "fixresnext101_32x48d":
        Released("FixResNeXt-101 32x48d", WSL, 320, DA, "ResNeXt_101_32x48d.pth"),
    "fixresnext101_32x48d_v2":
        Released("FixResNeXt-101 32x48d (*)", WSL, 320, DA2, "ResNext101_32x48d_v2.pth"),
}
# fmt: on
