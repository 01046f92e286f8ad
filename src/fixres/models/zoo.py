"""The networks by name: what the plan must know of each (no torch needed), and how to build it.

To add one, add an entry to `ZOO`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean, std of the normalised input


class Network(NamedTuple):
    """One network of the suite."""

    title: str
    stride: int  # total stride: crops are multiples of it (Appendix B)
    classifier: str  # name of the last layer
    last_batch_norm: str  # name of the batch-norm before global pooling (§4.2)
    build: Callable[[int], "torch.nn.Module"]  # number of classes -> randomly initialised network
    mean: tuple[float, float, float] = IMAGENET[0]
    std: tuple[float, float, float] = IMAGENET[1]


def _resnet10q(classes: int) -> "torch.nn.Module":
    from fixres.models.quarter import QuarterResNet

    return QuarterResNet(classes)


def _torchvision(name: str) -> Callable[[int], "torch.nn.Module"]:
    def build(classes: int) -> "torch.nn.Module":
        from torchvision.models import get_model

        return get_model(name, weights=None, num_classes=classes)

    return build


ZOO = {
    "resnet10q": Network("quarter-scale ResNet-10", 8, "fc", "layer4.bn2", _resnet10q),
    "resnet18": Network("ResNet-18", 32, "fc", "layer4.1.bn2", _torchvision("resnet18")),
    "resnet50": Network("ResNet-50", 32, "fc", "layer4.2.bn3", _torchvision("resnet50")),
}


def build(name: str, classes: int, seed: int) -> "torch.nn.Module":
    """A network with random weights that depend on `seed` alone; channels_last."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ZOO[name].build(classes)
    return network.to(memory_format=torch.channels_last)
