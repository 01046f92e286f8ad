"""The cut of networks that torch.fx cannot trace."""

import pytest
import timm
import torch
from torch import nn

from fixres.jobs import JobError
from fixres.models.split import split


class Untraceable(nn.Module):
    """Control flow that depends on the data, before its last norm."""

    def __init__(self, classes: int = 5):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU())
        self.more = nn.Conv2d(8, 8, 3, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(8, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        if x.mean() > -1e9:  # no tracer knows
            x = x + self.more(x)
        return self.fc(self.drop(self.bn(x).relu().mean((2, 3))))


class ReadsMore(Untraceable):
    """Behind the norm, it reads the stem's activations again."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        if x.mean() > -1e9:
            y = self.more(x)
        return self.fc((self.bn(y) + x).relu().mean((2, 3)))


def vit(classes: int = 5) -> nn.Module:
    return timm.create_model("test_vit", num_classes=classes, dynamic_img_size=True)


@pytest.mark.parametrize(
    ("build", "trainable", "k"),
    [
        (Untraceable, ["bn", "fc"], 24),
        (Untraceable, ["fc"], 31),
        (vit, ["norm", "head"], 96),
        (vit, ["head"], 160),
    ],
)
def test_trunk_and_head_are_the_network(build, trainable, k):
    torch.manual_seed(0)
    network = build().eval()
    parts = split(network, trainable, k)
    x = torch.randn(3, 3, k, k)
    with torch.no_grad():
        assert torch.equal(parts.head(*parts.trunk(x)), network(x))
        assert torch.equal(parts.head(*parts.trunk(x)), network(x))  # nothing stays behind


def test_gradients_reach_the_trainable_layers_alone():
    torch.manual_seed(0)
    network = Untraceable().eval().requires_grad_(False)
    parts = split(network, ["bn", "fc"], 24)
    for module in parts.trainable:
        module.requires_grad_(True)
    with torch.no_grad():
        activations = parts.trunk(torch.randn(4, 3, 24, 24))
    parts.head(*activations).sum().backward()
    assert {name for name, p in network.named_parameters() if p.grad is not None} == {
        "bn.weight",
        "bn.bias",
        "fc.weight",
        "fc.bias",
    }
    assert parts.dropouts == [network.drop]
    assert set(dict(parts.head.named_parameters())) == {
        f"trained.{i}.{kind}" for i in (0, 1) for kind in ("weight", "bias")
    }


def test_the_trunk_is_not_run_again_by_the_head():
    network, ran = Untraceable().eval(), []
    parts = split(network, ["bn", "fc"], 24)
    with torch.no_grad():
        activations = parts.trunk(torch.randn(2, 3, 24, 24))
        network.more.register_forward_pre_hook(lambda *_: ran.append("more"))
        network.stem[0].register_forward_pre_hook(lambda *_: ran.append("stem"))
        parts.head(*activations)
    assert "stem" not in ran


def test_a_head_that_reads_more_of_the_trunk_is_refused():
    with pytest.raises(JobError, match="ReadsMore: cannot be cut at bn, because later layers read"):
        split(ReadsMore().eval(), ["bn", "fc"], 24)


def test_without_a_size_the_tracers_error_stands():
    with pytest.raises(torch.fx.proxy.TraceError):
        split(Untraceable().eval(), ["fc"])


def test_a_layer_that_never_runs_is_an_error():
    network = Untraceable().eval()
    network.unused = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="unused: never called"):
        split(network, ["unused"], 24)
