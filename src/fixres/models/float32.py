"""Logits in float32: a network is measured with its classifier outside autocast.

bfloat16 has eight significant bits, so that of many classes two often share the largest logit. Who
wins then is no property of the network. All other layers stay in the precision of the job.
"""

from collections.abc import Callable

import torch
from torch import nn


def compute_in_float32(network: nn.Module, *layers: str) -> None:
    """Make layers of a network, with one input each, compute in float32 also inside autocast.

    A layer stays what it is: type, parameters and their names. Only its `forward` is replaced.
    Where the network computes in float32 anyway, no bit changes.
    """
    for layer in layers:
        module = network.get_submodule(layer)
        module.forward = _in_float32(module.forward)


def _in_float32(forward: Callable) -> Callable:
    def in_float32(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return forward(x.float())

    return in_float32
