"""The paper's method: what `adapt_last_layers` freezes and trains, and on which crops."""

import numpy as np
import pytest
import torch
from torch import nn

from fixres.data.regions import Augmentation
from fixres.models import construct
from fixres.models.adapt import adapt_last_layers
from fixres.models.catalogue import zoo

CASES = [("resnet10q", 40), ("resnet18", 64), ("resnet50", 64)]


@pytest.mark.parametrize(("name", "k"), CASES)
@pytest.mark.parametrize("layers", [["classifier"], ["batch-norm", "classifier"]])
@pytest.mark.parametrize("bf16", [False, True])
def test_head_of_trunk_is_the_network(name, k, layers, bf16):
    network = construct.build(name, 7, seed=1)
    x = torch.randn(3, 3, k, k).contiguous(memory_format=torch.channels_last)
    for module in network.modules():  # statistics that are not the trivial 0 and 1
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    parts = adapt_last_layers(network, zoo.ZOO[name], layers, k)
    for module in parts.trained:
        module.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        assert torch.equal(parts.head(*parts.trunk(x)), network(x))


@pytest.mark.parametrize(("name", "k"), CASES)
def test_the_last_batch_norm_is_the_last(name, k):
    """The zoo's name is the batch-norm that runs last, and the classifier the last layer."""
    network, order = construct.build(name, 5, 0).eval(), []
    for path, module in network.named_modules():
        in_shortcut = "shortcut" in path or "downsample" in path
        if isinstance(module, (nn.BatchNorm2d, nn.Linear)) and not in_shortcut:
            module.register_forward_hook(lambda *_, path=path: order.append(path))
    network(torch.zeros(1, 3, k, k))
    assert order[-2:] == [*zoo.ZOO[name].last_batch_norm, zoo.ZOO[name].classifier]


def test_the_frontier_of_a_resnet():
    """Classifier: the pooled vector. Classifier + batch-norm: that layer's input and the residual.

    The two maps take 401 KB a bf16 image at 224 px.
    """
    network, entry = construct.build("resnet50", 5, 0), zoo.ZOO["resnet50"]
    x = torch.zeros(1, 3, 64, 64)
    pooled = adapt_last_layers(network, entry, ["classifier"], 64).trunk(x)
    assert [tuple(a.shape) for a in pooled] == [(1, 2048)]
    maps = adapt_last_layers(network, entry, ["batch-norm", "classifier"], 64).trunk(x)
    assert [tuple(a.shape) for a in maps] == [(1, 2048, 2, 2)] * 2


def test_the_quarter_scale_has_the_papers_maps():
    """64/32 = 16/8 = 2, 224/32 = 56/8 = 7, 448/32 = 112/8 = 14."""
    network, entry = construct.build("resnet10q", 5, 0).eval(), zoo.ZOO["resnet10q"]
    for k, side in [(16, 2), (56, 7), (112, 14)]:
        parts = adapt_last_layers(network, entry, ["batch-norm", "classifier"], k)
        assert parts.trunk(torch.zeros(1, 3, k, k))[0].shape[-2:] == (side, side)


# --- what trains -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch_norm", "moving"), [("affine+statistics", {"weight", "bias"}), ("statistics", set())]
)
def test_what_trains(batch_norm, moving):
    network, entry = construct.build("resnet10q", 5, 0), zoo.ZOO["resnet10q"]
    before = {name: t.clone() for name, t in network.state_dict().items()}
    parts = adapt_last_layers(network, entry, ["batch-norm", "classifier"], 32, batch_norm)
    parameters = [p for m in parts.trained for p in m.parameters() if p.requires_grad]
    for _ in range(2):
        with torch.no_grad():
            activations = parts.trunk(torch.randn(8, 3, 32, 32))
        grads = torch.autograd.grad(parts.head(*activations).square().sum(), parameters)
        with torch.no_grad():
            for p, g in zip(parameters, grads, strict=True):
                p -= 0.1 * g
    changed = {name for name, t in network.state_dict().items() if not torch.equal(t, before[name])}
    of_batch_norm = {"running_mean", "running_var", "num_batches_tracked"} | moving
    expected = {"fc.weight", "fc.bias"} | {f"layer4.bn2.{part}" for part in of_batch_norm}
    assert changed == expected
    training = [name for name, m in network.named_modules() if name and m.training]
    assert training == ["layer4.bn2", "fc"]


@pytest.mark.parametrize(("name", "inside"), [("resnet10q", True), ("efficientnetq", False)])
def test_statistics_alone_move_unless_the_batch_norm_is_part_of_a_trained_cell(name, inside):
    network, entry = construct.build(name, 5, 0), zoo.ZOO[name]
    adapt_last_layers(network, entry, ["cells", "batch-norm", "classifier"], 32, "statistics")
    [last] = entry.last_batch_norm
    assert network.get_submodule(last).training
    assert network.get_submodule(last).weight.requires_grad == inside
    adapt_last_layers(network, entry, ["classifier"], 32, "statistics")
    trained = {n.rpartition(".")[0] for n, p in network.named_parameters() if p.requires_grad}
    assert trained == {entry.classifier}


# --- on which crops ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("augmentation", "constant"), [("test DA", True), ("test DA2", False), ("train DA", False)]
)
def test_only_test_da_gives_the_same_crops_in_every_epoch(shapes, augmentation, constant):
    network, entry = construct.build("resnet10q", 5, 0), zoo.ZOO["resnet10q"]
    how = ("affine+statistics", Augmentation(augmentation))
    parts = adapt_last_layers(network, entry, ["classifier"], 48, *how)
    assert parts.constant_activations == constant
    crops = [parts.crops(shapes, shapes.rows("train"), 0, epoch) for epoch in (0, 1)]
    assert [c.k for c in crops] == [48, 48]
    assert np.array_equal(crops[0].rocs.box, crops[1].rocs.box) == constant
