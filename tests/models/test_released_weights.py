"""The weights that the paper's authors released: the names in their files are the networks' own."""

import pytest
import torch

from fixres.models import construct, published
from fixres.models.catalogue import released

BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def conv(name: str) -> set[str]:
    return {f"{name}.weight"}


def bn(name: str) -> set[str]:
    return {f"{name}.{part}" for part in BATCH_NORM}


def conv_bn(name: str) -> set[str]:
    return conv(f"{name}.conv") | bn(f"{name}.bn")


def separable(name: str) -> set[str]:
    halves = [f"{name}.separable_{i}.{part}" for i in (1, 2) for part in ("depthwise", "pointwise")]
    convs = {f"{half}_conv2d.weight" for half in halves}
    return convs | bn(f"{name}.bn_sep_1") | bn(f"{name}.bn_sep_2")


# The cells of PNASNet that differ from the others.
STEM, REDUCE = {"cell_stem_0"}, {"cell_stem_1", "cell_4", "cell_8"}
MATCH = {"cell_stem_1", "cell_0", "cell_5", "cell_9"}


def pnasnet_cell(cell: str) -> set[str]:
    names = conv_bn(f"{cell}.conv_1x1")
    for branch in ("0_left", "1_left", "2_left", "2_right", "3_left", "4_left"):
        names |= separable(f"{cell}.comb_iter_{branch}")
    if cell in STEM:
        names |= conv_bn(f"{cell}.comb_iter_0_right")
    elif cell in MATCH:
        previous = f"{cell}.conv_prev_1x1"
        names |= conv(f"{previous}.path_1.conv") | conv(f"{previous}.path_2.conv")
        names |= bn(f"{previous}.final_path_bn")
    else:
        names |= conv_bn(f"{cell}.conv_prev_1x1")
    if cell in STEM | REDUCE:
        names |= conv_bn(f"{cell}.comb_iter_4_right")
    return names


def cadene_pnasnet() -> set[str]:
    """The names of the parameters of the authors' PNASNet (Cadene's port).

    They are written down from the layers that its definition lists.
    """
    names = {"last_linear.weight", "last_linear.bias"} | conv_bn("conv_0")
    for cell in ["cell_stem_0", "cell_stem_1", *(f"cell_{i}" for i in range(12))]:
        names |= pnasnet_cell(cell)
    return names


def resnet_names(blocks: tuple[int, ...]) -> set[str]:
    """The names of the parameters of the authors' ResNets (torchvision's of 2019)."""
    names = {"fc.weight", "fc.bias"} | conv("conv1") | bn("bn1")
    for stage, n in enumerate(blocks, 1):
        for block in (f"layer{stage}.{i}" for i in range(n)):
            for i in (1, 2, 3):
                names |= conv(f"{block}.conv{i}") | bn(f"{block}.bn{i}")
        names |= conv(f"layer{stage}.0.downsample.0") | bn(f"layer{stage}.0.downsample.1")
    return names


@pytest.mark.parametrize(
    ("network", "names"),
    [
        ("pnasnet5large", cadene_pnasnet()),
        ("resnet50", resnet_names((3, 4, 6, 3))),
        ("resnet50_cutmix", resnet_names((3, 4, 6, 3))),
        ("resnext101_32x48d_wsl", resnet_names((3, 4, 23, 3))),
    ],
)
def test_the_authors_released_weights_fit(network, names):
    """A state made of the authors' names alone, in the form of their files.

    The form: `module.` before every name, under `model`, beside the optimiser.
    """
    outline = construct.outline(network, 1000)
    shapes = {name: t.shape for name, t in outline.state_dict().items()}
    assert names == set(shapes)
    made = {f"module.{name}": torch.ones(()).expand(shapes[name]) for name in sorted(names)}
    tensors = published.unwrapped({"epoch": 1, "model": made, "optimizer": {}}, "released.pth")
    tensors = published.without_prefix(tensors, outline, "released.pth")
    assert {name: t.shape for name, t in tensors.items()} == shapes
    assert {row.network for row in released.RELEASED.values()} >= {network}
