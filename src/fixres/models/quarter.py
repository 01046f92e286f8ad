"""The quarter-scale ResNet: ResNet-50 for crops a quarter as wide, on two processor cores.

Its total stride is 8 instead of 32. So the final activation map has the size of the paper's at a
quarter of the resolution: 64/32 = 16/8 = 2, 224/32 = 56/8 = 7, 448/32 = 112/8 = 14. The statistics
of §3.2 and the border effects of Appendix B keep their shape.

It has four stages of one basic block (He et al., 2016). ResNet-50 halves the resolution five times;
here the halvings of the max-pool and of the last stage are left out. The stem keeps its stride:
without it a training step takes two to three times as long (measured at 56 and 96 px).

It is written out here for two reasons: torchvision and timm have no ResNet of this stride, and to
import either takes over a second of processor time in each of 66 jobs.
"""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with a shortcut.

    The weights of the last batch-norm start at zero, so that the block starts as its shortcut.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )
        nn.init.zeros_(self.bn2.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class QuarterResNet(nn.Module):
    """(n, 3, K, K) -> (n, classes). The final map is K/8 × K/8, of 128 channels."""

    def __init__(self, classes: int, channels: tuple[int, int, int, int] = (16, 32, 64, 128)):
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels[0], 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.layer1 = BasicBlock(channels[0], channels[0], stride=1)
        self.layer2 = BasicBlock(channels[0], channels[1], stride=2)
        self.layer3 = BasicBlock(channels[1], channels[2], stride=2)
        self.layer4 = BasicBlock(channels[2], channels[3], stride=1)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels[3], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))
