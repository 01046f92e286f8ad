"""Embedded twins: the paper's larger networks at a quarter of their resolution, for crops of 32 to 120 px on two processor cores.

Each is put together from timm's own blocks, with fewer channels, one block a stage where the paper's has many, and a total stride
of 8 instead of 32 (as in quarter.py: the final map of a crop a quarter as wide has about the paper's size). What makes the class what
it is stays: grouped convolutions, squeeze-and-excitation, depthwise convolutions and swish, cells of five sums that read the two cells
before, scaled residuals of concatenated branches; the names of the layers; the last batch-norm; dropout before the classifier where the
full network has it.
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

CHANNELS = (
    8,
    16,
    32,
    64,
)  # of the 3×3 convolutions of a stage, before groups; a block has four times as many out


def _resnet(classes: int, **options: object) -> ResNet:
    """timm's ResNet of one bottleneck a stage and total stride 8: no max-pool, and a last stage that keeps its resolution."""
    network = ResNet(
        Bottleneck, (1, 1, 1, 1), classes, output_stride=16, channels=CHANNELS, **options
    )
    network.maxpool = nn.Identity()
    for (
        module
    ) in network.layer4.modules():  # which timm makes up for with dilation: not wanted here
        if isinstance(module, nn.Conv2d) and module.dilation == (2, 2):
            module.dilation, module.padding = (1, 1), (1, 1)
    return network


def resnet14dq(classes: int) -> ResNet:
    """ResNet-D (He et al., 2019, "Bag of tricks"): a stem of three 3×3 convolutions, average pooling in the shortcuts."""
    return _resnet(classes, stem_type="deep", stem_width=8, avg_down=True)


def resnext14q(classes: int, width: int) -> ResNet:
    """ResNeXt with 4 groups of the full network's `width`: 8, 16, 32 or 48."""
    return _resnet(classes, stem_width=8, cardinality=4, base_width=width)


class QuarterSENet(SENet):
    """SENet-154's blocks, a sixteenth as wide: three 3×3 convolutions in the stem, 3×3 shortcuts, 8 groups."""

    def __init__(self, classes: int):
        super().__init__(
            SEBottleneck,
            (1, 1, 1, 1),
            8,
            4,
            0.2,
            inplanes=16,
            downsample_kernel_size=3,
            downsample_padding=1,
        )
        stem = [
            ConvNormAct(3 if i == 0 else 16, 16, 3, stride=2 if i == 0 else 1) for i in range(3)
        ]
        self.layer0, self.pool0 = nn.Sequential(*stem), nn.Identity()
        for block in (self.layer1[0], self.layer2[0], self.layer3[0], self.layer4[0]):
            nn.init.zeros_(block.bn3.weight)  # a block starts as its shortcut, as in quarter.py
        self.num_features = self.inplanes
        self.reset_classifier(classes)

    def _make_layer(
        self,
        block: type,
        planes: int,
        blocks: int,
        *args: object,
        stride: int = 1,
        **options: object,
    ) -> nn.Sequential:
        return super()._make_layer(
            block, planes // 16, blocks, *args, stride=1 if planes == 512 else stride, **options
        )


def efficientnetq(classes: int) -> EfficientNet:
    """EfficientNet's mobile inverted bottlenecks with squeeze-and-excitation and swish; five stages of one block."""
    stages = ["ds_r1_k3_s1_e1_c8_se0.25", "ir_r1_k3_s2_e4_c16_se0.25", "ir_r1_k3_s2_e4_c24_se0.25"]
    stages += ["ir_r1_k3_s1_e4_c32_se0.25", "ir_r1_k3_s1_e4_c48_se0.25"]
    blocks = decode_arch_def([[stage] for stage in stages])
    options = {
        "act_layer": nn.SiLU,
        "pad_type": "same",
        "norm_layer": partial(nn.BatchNorm2d, eps=1e-3),
    }
    return EfficientNet(blocks, classes, num_features=192, stem_size=16, **options)


class QuarterPNASNet(nn.Module):
    """PNASNet's first stem cell and its last three cells, under their names; all depthwise convolutions 3×3.

    The full network's are 5×5 and 7×7 too; at a quarter of the resolution 3×3 sees as much, and on a processor the backward pass of the
    larger ones takes ten times as long.
    """

    def __init__(self, classes: int, channels: int = 8):
        super().__init__()
        c = channels
        cell = partial(Cell, pad_type="same")
        self.conv_0 = ConvNormAct(
            3, c, 3, stride=2, padding=0, apply_act=False, norm_kwargs={"eps": 1e-3}
        )
        self.cell_stem_0 = CellStem0(
            c, c, c, c, pad_type="same"
        )  # five times its width goes out, as of every cell
        self.cell_9 = cell(c, 2 * c, 5 * c, 2 * c, match_prev_layer_dims=True, is_reduction=True)
        self.cell_10 = cell(5 * c, 2 * c, 10 * c, 2 * c, match_prev_layer_dims=True)
        self.cell_11 = cell(10 * c, 2 * c, 10 * c, 2 * c)
        self.act = nn.ReLU()
        self.global_pool, self.head_drop, self.last_linear = create_classifier(
            10 * c, classes, drop_rate=0.5
        )
        for separable in [m for m in self.modules() if isinstance(m, SeparableConv2d)]:
            wide = separable.depthwise_conv2d
            options = {"stride": wide.stride[0], "padding": "same", "groups": wide.groups}
            separable.depthwise_conv2d = create_conv2d(
                wide.in_channels, wide.out_channels, 3, **options
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = self.conv_0(x)
        x = self.cell_stem_0(before)
        for cell in (self.cell_9, self.cell_10, self.cell_11):
            before, x = x, cell(before, x)
        return self.last_linear(self.head_drop(self.global_pool(self.act(x))))


class QuarterInceptionResNet(nn.Module):
    """Inception-ResNet-v2's blocks, an eighth as wide, one of each repeated kind; of its two max-pools in the stem the first."""

    def __init__(self, classes: int, divisor: int = 8):
        super().__init__()

        def conv(
            channels_in: int, channels_out: int, kernel_size: object, **options: object
        ) -> ConvNormAct:
            scaled = channels_in if channels_in == 3 else channels_in // divisor
            options = {
                "padding": 0,
                "norm_kwargs": {"eps": 1e-3},
                "act_kwargs": {"inplace": True},
            } | options
            return ConvNormAct(scaled, channels_out // divisor, kernel_size, **options)

        def residual(block: type, **options: object) -> nn.Module:
            made = block(conv_block=conv, **options)
            wide = made.conv2d
            made.conv2d = nn.Conv2d(wide.in_channels // divisor, wide.out_channels // divisor, 1)
            return made

        stem = (
            16 * divisor
        )  # as in quarter.py: an eighth of its 32 channels would be too few to see with
        self.conv2d_1a = conv(3, stem, kernel_size=3, stride=2)
        self.conv2d_2b = conv(stem, stem, kernel_size=3, padding=1)
        self.maxpool_3a = nn.MaxPool2d(3, stride=2)
        self.conv2d_4a = conv(stem, 192, kernel_size=3, stride=1)
        self.mixed_5b = Mixed_5b(conv_block=conv)
        self.repeat = nn.Sequential(residual(Block35, scale=0.17))
        self.mixed_6a = Mixed_6a(conv_block=conv)
        self.repeat_1 = nn.Sequential(residual(Block17, scale=0.10))
        self.mixed_7a = Mixed_7a(conv_block=conv)
        for (
            layer
        ) in self.mixed_7a.modules():  # the last stage keeps its resolution, as in quarter.py
            if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)) and layer.stride in (2, (2, 2)):
                layer.stride, layer.padding = 1, 1
        self.block8 = residual(Block8, no_relu=True)
        self.conv2d_7b = conv(2080, 1536, kernel_size=1)
        self.global_pool, self.head_drop, self.classif = create_classifier(
            1536 // divisor, classes, drop_rate=0.0
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.mixed_5b(self.conv2d_4a(self.maxpool_3a(self.conv2d_2b(self.conv2d_1a(x)))))
        x = self.repeat_1(self.mixed_6a(self.repeat(x)))
        x = self.conv2d_7b(self.block8(self.mixed_7a(x)))
        return self.classif(self.head_drop(self.global_pool(x)))
