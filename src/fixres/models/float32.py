"""Logits in float32: a network is measured with its classifier outside autocast.

bfloat16 has eight significant bits, so that of many classes two often share the largest logit. Who
wins then is no property of the network. All other layers stay in the precision of the job.
"""

import torch
from torch import nn


def compute_in_float32(network: nn.Module, layer: str) -> None:
    """Make one layer of a network, which has one input, compute in float32 also inside autocast.

    The layer stays what it is: type, parameters and their names. Only its `forward` is replaced.
    Where the network computes in float32 anyway, no bit changes.
    """
    module = network.get_submodule(layer)
    forward = module.forward

    def in_float32(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return forward(x.float())

    module.forward = in_float32
