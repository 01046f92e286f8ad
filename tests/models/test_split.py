"""The cut along the graph: head(trunk(x)) is the network, and the frozen part stays frozen."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from fixres.models import zoo
from fixres.models.split import freeze, split

CASES = [("resnet10q", 40), ("resnet18", 64), ("resnet50", 64)]


@pytest.mark.parametrize(("name", "k"), CASES)
@pytest.mark.parametrize("layers", [["classifier"], ["batch-norm", "classifier"]])
@pytest.mark.parametrize("bf16", [False, True])
def test_head_of_trunk_is_the_network(name, k, layers, bf16):
    network = zoo.build(name, 7, seed=1)
    x = torch.randn(3, 3, k, k).contiguous(memory_format=torch.channels_last)
    for module in network.modules():  # statistics that are not the trivial 0 and 1
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    parts = freeze(network, layers, zoo.ZOO[name], "affine+statistics")
    for module in parts.modules:
        module.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        assert torch.equal(parts.head(*parts.trunk(x)), network(x))


@pytest.mark.parametrize(("name", "k"), CASES)
def test_the_last_batch_norm_is_the_last(name, k):
    """The zoo's name is the batch-norm that runs last, and the classifier the last layer."""
    network, order = zoo.build(name, 5, 0).eval(), []
    for path, module in network.named_modules():
        if (
            isinstance(module, (nn.BatchNorm2d, nn.Linear))
            and "shortcut" not in path
            and "downsample" not in path
        ):
            module.register_forward_hook(lambda *_, path=path: order.append(path))
    network(torch.zeros(1, 3, k, k))
    assert order[-2:] == [*zoo.ZOO[name].last_batch_norm, zoo.ZOO[name].classifier]


def test_the_frontier_of_a_resnet():
    """Classifier: the pooled vector. Classifier + batch-norm: that layer's input and the residual (401 KB a bf16 image at 224)."""
    network = zoo.build("resnet50", 5, 0)
    x = torch.zeros(1, 3, 64, 64)
    pooled = freeze(network, ["classifier"], zoo.ZOO["resnet50"], "affine+statistics").trunk(x)
    assert [tuple(a.shape) for a in pooled] == [(1, 2048)]
    maps = freeze(
        network, ["batch-norm", "classifier"], zoo.ZOO["resnet50"], "affine+statistics"
    ).trunk(x)
    assert [tuple(a.shape) for a in maps] == [(1, 2048, 2, 2)] * 2


@pytest.mark.parametrize(
    ("batch_norm", "moving"), [("affine+statistics", {"weight", "bias"}), ("statistics", set())]
)
def test_what_trains(batch_norm, moving):
    network = zoo.build("resnet10q", 5, 0)
    before = {name: t.clone() for name, t in network.state_dict().items()}
    parts = freeze(network, ["batch-norm", "classifier"], zoo.ZOO["resnet10q"], batch_norm)
    parameters = [p for m in parts.modules for p in m.parameters() if p.requires_grad]
    for _ in range(2):
        with torch.no_grad():
            activations = parts.trunk(torch.randn(8, 3, 32, 32))
        grads = torch.autograd.grad(parts.head(*activations).square().sum(), parameters)
        with torch.no_grad():
            for p, g in zip(parameters, grads, strict=True):
                p -= 0.1 * g
    changed = {name for name, t in network.state_dict().items() if not torch.equal(t, before[name])}
    statistics = {"running_mean", "running_var", "num_batches_tracked"}
    assert changed == {"fc.weight", "fc.bias"} | {
        f"layer4.bn2.{part}" for part in statistics | moving
    }
    assert [name for name, m in network.named_modules() if name and m.training] == [
        "layer4.bn2",
        "fc",
    ]


class InPlace(nn.Module):
    """A convolution whose output the trained part writes into, directly or behind a view."""

    def __init__(self, how: str):
        super().__init__()
        self.conv, self.relu, self.same, self.fc = (
            nn.Conv2d(3, 4, 1),
            nn.ReLU(inplace=True),
            nn.Identity(),
            nn.Linear(4, 2),
        )
        self.scale, self.how = nn.Conv2d(4, 4, 1), how

    def forward(self, x):
        y = self.conv(x)
        if self.how == "layer":
            return self.fc((self.relu(y) + y).mean((2, 3)))
        z = self.scale(y)  # trained: what follows is head
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
    """The trained layer reads the activation before the trunk overwrites it: cached, it would be the overwritten one."""
    with pytest.raises(ValueError, match="writes in place into conv"):
        split(InPlace(how).eval(), ["scale", "fc"])


def test_a_layer_inside_another_is_listed_once():
    network = zoo.build("resnet10q", 5, 0)
    parts = split(network, ["layer4.bn2", "layer4", "fc", "layer3.bn1", "fc"])
    assert parts.modules == [network.layer4, network.fc, network.layer3.bn1]


@pytest.mark.parametrize(("name", "inside"), [("resnet10q", True), ("efficientnetq", False)])
def test_statistics_alone_move_unless_the_batch_norm_is_part_of_a_trained_cell(name, inside):
    network, entry = zoo.build(name, 5, 0), zoo.ZOO[name]
    freeze(network, ["cells", "batch-norm", "classifier"], entry, "statistics")
    [last] = entry.last_batch_norm
    assert network.get_submodule(last).training
    assert network.get_submodule(last).weight.requires_grad == inside
    freeze(network, ["classifier"], entry, "statistics")
    assert {n.rpartition(".")[0] for n, p in network.named_parameters() if p.requires_grad} == {
        entry.classifier
    }


def test_unknown_and_unreached_layers():
    network = zoo.build("resnet10q", 5, 0)
    with pytest.raises(ValueError, match=r"'layer9' is not a layer of QuarterResNet; it has conv1"):
        split(network, ["layer9"])
    network.spare = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="spare: never called"):
        split(network, ["spare"])


def test_the_quarter_scale_has_the_papers_maps():
    """64/32 = 16/8 = 2, 224/32 = 56/8 = 7, 448/32 = 112/8 = 14."""
    network = zoo.build("resnet10q", 5, 0).eval()
    parts = freeze(network, ["batch-norm", "classifier"], zoo.ZOO["resnet10q"], "affine+statistics")
    for k, side in [(16, 2), (56, 7), (112, 14)]:
        assert parts.trunk(torch.zeros(1, 3, k, k))[0].shape[-2:] == (side, side)


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(5)
    a = zoo.build("resnet10q", 5, 1).state_dict()
    torch.manual_seed(6)
    state = torch.get_rng_state()
    b = zoo.build("resnet10q", 5, 1).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a[n], b[n]) for n in a)
    assert not torch.equal(zoo.build("resnet10q", 5, 2).conv1.weight, a["conv1.weight"])
