"""Embedded twins: the paper's larger networks at a quarter of their resolution.

They are made for crops of 32 to 120 px on two processor cores. Each is built from timm's blocks,
with three changes: fewer channels, one block per stage where the full network has many, and a total
stride of 8 instead of 32 (as in quarter.py: the final map of a crop a quarter as wide has about the
paper's size).

Their numbers of parameters are ordered like the full networks' (docs/networks.md): 0.31 million for
ResNet-50's 25.6 million, 1.4 million for the 829 million of ResNeXt-101 32x48d. Most parameters are
in the last stages, where the small maps make them cheap.

The features of the class stay: grouped convolutions; squeeze-and-excitation; depthwise convolutions
and swish; cells of five sums that read the two cells before; scaled residuals of concatenated
branches. So do the names of the layers, the last batch-norm, and the dropout before the classifier.
"""

from functools import partial

import torch
from timm.layers import ConvNormAct, create_classifier, create_conv2d
from timm.models._efficientnet_builder import decode_arch_def
from timm.models.efficientnet import EfficientNet
from timm.models.inception_resnet_v2 import Block8, Block17, Block35, Mixed_5b, Mixed_6a, Mixed_7a
from timm.models.pnasnet import Cell, CellStem0, SeparableConv2d
from timm.models.resnet import Bottleneck, ResNet
from timm.models.senet import SEBottleneck, SENet
from torch import nn

# --- ResNet-D, ResNeXt, SENet -------------------------------------------------------------------


def resnet(classes: int, channels: tuple[int, int, int, int], **options: object) -> ResNet:
    """timm's ResNet, with its options, one bottleneck per stage and total stride 8.

    It has no max-pool, and its last stage keeps the resolution.

    Parameters
    ----------
    channels : of the 3×3 convolutions of each stage, before groups. A block outputs four times as
        many.
    """
    options |= {"output_stride": 16, "channels": channels, "stem_width": 8}
    network = ResNet(Bottleneck, (1, 1, 1, 1), classes, **options)
    network.maxpool = nn.Identity()
    # timm replaces the stride of the last stage by dilation, which is not wanted here.
    for module in network.layer4.modules():
        if isinstance(module, nn.Conv2d) and module.dilation == (2, 2):
            module.dilation, module.padding = (1, 1), (1, 1)
    return network


class QuarterSENet(SENet):
    """SENet-154's blocks, about a tenth as wide.

    The stem has three 3×3 convolutions, the shortcuts are 3×3, and there are 8 groups.
    """

    def __init__(self, classes: int):
        shortcuts = {"downsample_kernel_size": 3, "downsample_padding": 1}
        super().__init__(SEBottleneck, (1, 1, 1, 1), 8, 4, 0.2, inplanes=16, **shortcuts)
        stem = [ConvNormAct(3, 16, 3, stride=2), ConvNormAct(16, 16, 3), ConvNormAct(16, 16, 3)]
        self.layer0, self.pool0 = nn.Sequential(*stem), nn.Identity()
        for block in (self.layer1[0], self.layer2[0], self.layer3[0], self.layer4[0]):
            nn.init.zeros_(block.bn3.weight)  # a block starts as its shortcut, as in quarter.py
        self.num_features = self.inplanes
        self.reset_classifier(classes)

    def _make_layer(self, block: type, planes: int, *args: object, **options: object) -> nn.Module:
        """As timm's, but narrower. The last stage (512 planes) keeps the resolution."""
        options |= {"stride": 1} if planes == 512 else {}
        narrow = {64: 8, 128: 16, 256: 32, 512: 48}[planes]
        return super()._make_layer(block, narrow, *args, **options)


# --- EfficientNet -------------------------------------------------------------------------------


def efficientnetq(classes: int) -> EfficientNet:
    """EfficientNet's mobile inverted bottlenecks, in five stages of one block."""
    stages = ["ds_r1_k3_s1_e1_c8_se0.25", "ir_r1_k3_s2_e4_c16_se0.25", "ir_r1_k3_s2_e4_c32_se0.25"]
    stages += ["ir_r1_k3_s1_e4_c112_se0.25", "ir_r1_k3_s1_e4_c224_se0.25"]
    blocks = decode_arch_def([[stage] for stage in stages])
    norm = partial(nn.BatchNorm2d, eps=1e-3)
    options = {"act_layer": nn.SiLU, "pad_type": "same", "norm_layer": norm}
    return EfficientNet(blocks, classes, num_features=512, stem_size=16, **options)


# --- PNASNet ------------------------------------------------------------------------------------


class QuarterPNASNet(nn.Module):
    """PNASNet's first stem cell and its last three cells, under their names.

    All depthwise convolutions are 3×3. The full network has 5×5 and 7×7 too. At a quarter of the
    resolution 3×3 sees as much, and on a processor the backward pass of the larger ones takes ten
    times as long.
    """

    def __init__(self, classes: int):
        super().__init__()
        c = 8
        cell = partial(Cell, pad_type="same")
        stem = {"stride": 2, "padding": 0, "apply_act": False, "norm_kwargs": {"eps": 1e-3}}
        self.conv_0 = ConvNormAct(3, c, 3, **stem)
        # A cell outputs five times its width.
        self.cell_stem_0 = CellStem0(c, c, c, c, pad_type="same")
        self.cell_9 = cell(c, 32, 5 * c, 32, match_prev_layer_dims=True, is_reduction=True)
        self.cell_10 = cell(5 * c, 80, 5 * 32, 80, match_prev_layer_dims=True)
        self.cell_11 = cell(5 * 32, 112, 5 * 80, 112)
        self.act = nn.ReLU()
        end = create_classifier(5 * 112, classes, drop_rate=0.5)
        self.global_pool, self.head_drop, self.last_linear = end
        for separable in [m for m in self.modules() if isinstance(m, SeparableConv2d)]:
            wide = separable.depthwise_conv2d
            options = {"stride": wide.stride[0], "padding": "same", "groups": wide.groups}
            sizes = (wide.in_channels, wide.out_channels, 3)
            separable.depthwise_conv2d = create_conv2d(*sizes, **options)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = self.conv_0(x)
        x = self.cell_stem_0(before)
        for cell in (self.cell_9, self.cell_10, self.cell_11):
            before, x = x, cell(before, x)
        return self.last_linear(self.head_drop(self.global_pool(self.act(x))))


# --- Inception-ResNet ---------------------------------------------------------------------------

DIVISOR = 8  # of the full network's channels


class QuarterInceptionResNet(nn.Module):
    """Inception-ResNet-v2's blocks, an eighth as wide.

    Each repeated block occurs once, except the last, which is cheap and occurs four times. The stem
    has only the first of the two max-pools.
    """

    def __init__(self, classes: int):
        super().__init__()
        conv, residual = _narrow_conv, _narrow_residual
        stem = 16 * DIVISOR  # 16 channels, as in quarter.py: an eighth of its 32 is too few
        self.conv2d_1a = conv(3, stem, kernel_size=3, stride=2)
        self.conv2d_2b = conv(stem, stem, kernel_size=3, padding=1)
        self.maxpool_3a = nn.MaxPool2d(3, stride=2)
        self.conv2d_4a = conv(stem, 192, kernel_size=3, stride=1)
        self.mixed_5b = Mixed_5b(conv_block=conv)
        self.repeat = nn.Sequential(residual(Block35, scale=0.17))
        self.mixed_6a = Mixed_6a(conv_block=conv)
        self.repeat_1 = nn.Sequential(residual(Block17, scale=0.10))
        self.mixed_7a = Mixed_7a(conv_block=conv)
        # The last stage keeps its resolution, as in quarter.py.
        for layer in self.mixed_7a.modules():
            if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)) and layer.stride in (2, (2, 2)):
                layer.stride, layer.padding = 1, 1
        self.repeat_2 = nn.Sequential(*(residual(Block8, scale=0.20) for _ in range(3)))
        self.block8 = residual(Block8, no_relu=True)
        self.conv2d_7b = conv(2080, 2048, kernel_size=1)
        end = create_classifier(2048 // DIVISOR, classes, drop_rate=0.0)
        self.global_pool, self.head_drop, self.classif = end
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.mixed_5b(self.conv2d_4a(self.maxpool_3a(self.conv2d_2b(self.conv2d_1a(x)))))
        x = self.repeat_1(self.mixed_6a(self.repeat(x)))
        x = self.conv2d_7b(self.block8(self.repeat_2(self.mixed_7a(x))))
        return self.classif(self.head_drop(self.global_pool(x)))


def _narrow_conv(channels_in: int, channels_out: int, **options: object) -> ConvNormAct:
    """A convolution with fewer channels; the 3 of the image stay."""
    scaled = channels_in if channels_in == 3 else channels_in // DIVISOR
    usual = {"padding": 0, "norm_kwargs": {"eps": 1e-3}, "act_kwargs": {"inplace": True}}
    return ConvNormAct(scaled, channels_out // DIVISOR, **(usual | options))


def _narrow_residual(block: type, **options: object) -> nn.Module:
    """A residual block with fewer channels."""
    made = block(conv_block=_narrow_conv, **options)
    wide = made.conv2d
    made.conv2d = nn.Conv2d(wide.in_channels // DIVISOR, wide.out_channels // DIVISOR, 1)
    return made
