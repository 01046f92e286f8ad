"""Logits in float32: a network is measured with its classifier outside autocast.

bfloat16 has only eight significant bits, so with many classes, two often share the largest logit.
Which of them wins is not a property of the network. All other layers keep the job's precision.
"""

from collections.abc import Callable

import torch
from torch import nn


def compute_in_float32(network: nn.Module, *layers: str) -> None:
    """Make layers of a network, with one input each, compute in float32 even inside autocast.

    Only the `forward` of a layer is replaced; its type and its parameters stay. If the network
    computes in float32 anyway, no bit changes.
    """
    for layer in layers:
        module = network.get_submodule(layer)
        module.forward = _in_float32(module.forward)


def _in_float32(forward: Callable) -> Callable:
    def in_float32(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return forward(x.float())

    return in_float32
