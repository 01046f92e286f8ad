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
    with pytest.raises(
        ValueError, match=r"Net: no such layer \(got 'layer9', expected one of conv1"
    ):
        split(network, ["layer9"])
    network.spare = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="spare: never called"):
        split(network, ["spare"])


class Counts(nn.Module):
    """A network that reads more of its trunk than activations behind the cut."""

    def __init__(self, how: str = "size"):
        super().__init__()
        self.stem, self.bn = nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4)
        self.drop, self.still, self.fc = nn.Dropout(), nn.Dropout(), nn.Linear(4, 5)
        self.scale = nn.Parameter(torch.rand(2, 4, 1, 1))  # as many rows as a trial has images
        self.how = how

    def forward(self, x):
        n, shape = x.size(0), x.shape
        scale = self.still(self.scale.flatten(1)).view(2, 4, 1, 1)[:1]
        x = self.stem(x)
        side = shape[2] // 56
        y = self.bn(x) + x
        if self.how == "size":
            y = y.mean((2, 3)).view(n, -1)
        elif self.how == "shape":
            y = y.mean((2, 3)).view(shape[0], shape[1] + 1) * side
        elif self.how == "tensors":
            y = (y * scale + torch.arange(4, device=x.device).view(1, 4, 1, 1)).mean((2, 3))
        elif self.how == "batch":
            y = (y - x.mean()).mean((2, 3))
        return self.fc(self.drop(y))


@pytest.mark.parametrize("layers", [["fc"], ["bn", "fc"]])
@pytest.mark.parametrize("how", ["size", "shape", "tensors", "batch"])
def test_only_tensors_with_a_row_an_image_cross_the_cut(how, layers):
    """`n = x.size(0)` at the top, `x.view(n, -1)` at the end: a common idiom."""
    network, x = Counts(how).eval(), torch.randn(3, 3, 64, 64)
    parts = split(network, layers, 64)
    with torch.no_grad():
        activations = parts.trunk(x)
        assert all(isinstance(a, torch.Tensor) and len(a) == 3 for a in activations)
        assert all(a.shape[1] == 4 for a in activations)  # not the images, for their size alone
        assert torch.equal(parts.head(*activations), network(x))
        if how != "batch":  # two of the three images, as from a cache
            some = parts.head(*(a[1:] for a in activations))
            assert torch.equal(some, network(x[1:]))
    assert parts.dropouts == [network.drop]
