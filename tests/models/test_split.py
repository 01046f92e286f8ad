"""The cut along the graph: in-place layers, nested layers, and layers that are not there."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from fixres.models import construct
from fixres.models.split import split


class InPlace(nn.Module):
    """A convolution whose output the trained part writes into, directly or behind a view."""

    def __init__(self, how: str):
        super().__init__()
        self.conv, self.scale, self.fc = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Linear(4, 2)
        self.relu, self.same = nn.ReLU(inplace=True), nn.Identity()
        self.how = how

    def forward(self, x):
        y = self.conv(x)
        if self.how == "layer":
            return self.fc((self.relu(y) + y).mean((2, 3)))
        z = self.scale(y)  # trained: the nodes behind it are head
        if self.how == "operator":
            y += z
        elif self.how == "method":
            y = y.add_(z)
        elif self.how == "function":
            y = F.relu(y, inplace=True) + z
        elif self.how == "behind a layer":
            y = self.relu(self.same(y)) + z
        elif self.how == "behind a view":
            y = y.flatten(2).mul_(2).view_as(y) + z
        return self.fc(y.mean((2, 3)))


@pytest.mark.parametrize("how", ["layer", "operator", "method"])
def test_in_place_layers_after_the_cut_leave_the_activations_alone(how):
    """The head gives the network's result twice from one cache, and the cache stays as it was."""
    network, x = InPlace(how).eval(), torch.randn(4, 3, 5, 5)
    parts = split(network, ["relu", "fc"] if how == "layer" else ["scale", "fc"])
    cache = parts.trunk(x)
    kept = [a.clone() for a in cache]
    with torch.no_grad():
        for _ in range(2):
            assert torch.equal(parts.head(*cache), network(x))
            assert all(torch.equal(a, b) for a, b in zip(cache, kept, strict=True))


@pytest.mark.parametrize("how", ["function", "behind a layer", "behind a view"])
def test_in_place_layers_of_the_trunk_that_would_spoil_the_cut_are_refused(how):
    """The trained layer reads the activation before the trunk overwrites it.

    The cache would hold the overwritten activation.
    """
    with pytest.raises(ValueError, match="writes in place into conv"):
        split(InPlace(how).eval(), ["scale", "fc"])


def test_a_layer_inside_another_is_listed_once():
    network = construct.build("resnet10q", 5, 0)
    parts = split(network, ["layer4.bn2", "layer4", "fc", "layer3.bn1", "fc"])
    assert parts.trainable == [network.layer4, network.fc, network.layer3.bn1]


def test_unknown_and_unreached_layers():
    network = construct.build("resnet10q", 5, 0)
    with pytest.raises(ValueError, match=r"'layer9' is not a layer of QuarterResNet; it has conv1"):
        split(network, ["layer9"])
    network.spare = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="spare: never called"):
        split(network, ["spare"])
