"""Fix a network's padding to the padding at the size that the network was made for.

TensorFlow's "same" padding depends on the size of the input: at an even size, a layer of stride 2
pads one pixel less, and only on the right and at the bottom. timm computes it in every forward
pass. Ports to PyTorch fix it instead. PNASNet's port (Cadene's `pretrainedmodels`), which the
paper's authors ran, always pads like "same" at 331 pixels. The two are the same function only at
331 pixels and at sizes where every layer happens to pad equally (395).
"""

import timm
import torch
from timm.layers import Conv2dSame, get_same_padding, register_notrace_module
from timm.layers.pool2d_same import AvgPool2dSame, MaxPool2dSame
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812
from torch.nn.modules.module import register_module_forward_pre_hook

Pads = tuple[int, int, int, int]  # pixels to the left, right, top and bottom


@register_notrace_module  # a leaf of torch.fx, like timm's layers (models/split.py)
class PaddedConv2d(nn.Conv2d):
    """A convolution that first pads its input with zeros, by `pads`."""

    pads: Pads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(F.pad(x, self.pads))


@register_notrace_module
class PaddedMaxPool2d(nn.MaxPool2d):
    """A max-pool that first pads its input with minus infinity, by `pads`."""

    pads: Pads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(F.pad(x, self.pads, value=-torch.inf))


FIXED = {Conv2dSame: PaddedConv2d, MaxPool2dSame: PaddedMaxPool2d}


def padded(classes: int, name: str, as_at: int, **options: object) -> nn.Module:
    """A timm network that pads at every size as it does at `as_at` pixels."""
    return fix_padding(timm.create_model(name, num_classes=classes, **options), as_at)


def fix_padding(network: nn.Module, k: int) -> nn.Module:
    """Make each layer with "same" padding always pad as it does for images of k×k pixels.

    The network is changed in place; its parameters and their names stay. It then accepts only sizes
    at which its branches still match. For PNASNet these are the multiples of 32 and, for example,
    331.

    Raises
    ------
    ValueError : a layer with "same" padding is neither a convolution nor a max-pool.
    """
    layers = [m for m in network.modules() if isinstance(m, (*FIXED, AvgPool2dSame))]
    for layer in layers:
        if type(layer) not in FIXED:
            raise ValueError(
                f"{type(layer).__name__}: its padding cannot be fixed (expected a convolution or a "
                "max-pool). Take another network."
            )
    for layer, pads in _pads_at(network, layers, k).items():
        layer.__class__, layer.pads = FIXED[type(layer)], pads  # keeps parameters and mode
    return network


def _pads_at(network: nn.Module, layers: list[nn.Module], k: int) -> dict[nn.Module, Pads]:
    """How the layers pad for images of k×k pixels, from a pass on the meta device."""
    pads: dict[nn.Module, Pads] = {}

    def record(layer: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if layer in layers:
            pads[layer] = _same(layer, *inputs[0].shape[-2:])

    modes = [(module, module.training) for module in network.modules()]
    state = dict(network.named_parameters()) | dict(network.named_buffers())
    shapes = {name: tensor.to("meta") for name, tensor in state.items()}
    with torch.no_grad(), register_module_forward_pre_hook(record):
        functional_call(network.eval(), shapes, torch.empty(1, 3, k, k, device="meta"))
    for module, training in modes:
        module.training = training
    return pads


def _same(layer: nn.Module, height: int, width: int) -> Pads:
    """TensorFlow's "same" padding for an input of this size; an odd pixel goes right or below."""
    sides = zip((height, width), layer.kernel_size, layer.stride, layer.dilation, strict=True)
    high, wide = (get_same_padding(*side) for side in sides)
    return wide // 2, wide - wide // 2, high // 2, high - high // 2
