"""A network that is watched: what comes before its last ReLU, and behind its pooling."""

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from fixres.jobs import JobError
from fixres.models import construct, matching
from fixres.models.catalogue import zoo


class Small(nn.Module):
    """Convolution, an activation, the pooling and a classifier."""

    def __init__(self, *layers: nn.Module, pooling: type[nn.Module] = nn.AdaptiveAvgPool2d):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=False)
        self.layers = nn.Sequential(*layers)
        self.pool = pooling(1)
        self.fc = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.pool(self.layers(self.conv(x))).flatten(1))


X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("relu", [nn.ReLU(), nn.ReLU(inplace=True), BatchNormAct2d(4)])
def test_before_the_relu_and_behind_the_pooling(relu):
    """Also where the ReLU overwrites its input, or belongs to a batch-norm (which divides here)."""
    network = Small(relu, nn.Dropout())
    before = network.conv(X).detach()
    if isinstance(relu, BatchNormAct2d):
        relu.running_var.fill_(4.0)
        before = before / (4.0 + relu.eps) ** 0.5
    watched, has_relu = matching.watch(network)
    seen, pooled = watched(X)
    assert has_relu
    torch.testing.assert_close(seen, before)
    assert (seen < 0).any()
    torch.testing.assert_close(pooled.flatten(1), before.clamp(min=0).mean((2, 3)))


def test_without_a_relu_what_is_pooled_is_seen():
    network = Small(nn.SiLU())
    expected = nn.functional.silu(network.conv(X)).detach()
    watched, has_relu = matching.watch(network)
    seen, pooled = watched(X)
    assert not has_relu
    torch.testing.assert_close(seen, expected)
    torch.testing.assert_close(pooled.flatten(1), expected.mean((2, 3)))


def test_without_a_pooling_it_is_told():
    with pytest.raises(JobError, match="activations: Small has no average pooling"):
        matching.watch(Small(nn.ReLU(), pooling=nn.AdaptiveMaxPool2d))


@pytest.mark.parametrize("model", matching.MODELS)
def test_a_matched_network_is_seen_behind_its_map(model):
    plain, _ = matching.watch(Small(nn.ReLU()))
    network = Small(nn.ReLU())
    network.conv.load_state_dict(plain.conv.state_dict())
    scale, shift = torch.tensor(2.0), torch.tensor(0.5)
    watched, _ = matching.watch(matching.insert(network, model, scale, shift))
    (before, pooled), (seen, behind) = plain(X), watched(X)
    if model == "gaussian":
        torch.testing.assert_close(seen, 2 * before + 0.5)
        expected = (2 * before + 0.5).clamp(min=0).mean((2, 3), keepdim=True)
    else:
        torch.testing.assert_close(seen, before)
        expected = torch.where(pooled == 0, 0.0, 2 * pooled + 0.5)
    torch.testing.assert_close(behind, expected)


@pytest.mark.parametrize("name", ["resnet10q", "senet14q", "inceptionresnetq", "efficientnetq"])
def test_the_networks_of_the_zoo_are_watched(name):
    network = construct.build(name, 5, 0).eval()
    classifier = network.get_submodule(zoo.ZOO[name].classifier)
    read = []
    classifier.register_forward_hook(lambda _m, inputs, _o: read.append(inputs[0]))
    x = torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        network(x)
        watched, has_relu = matching.watch(network)
        seen, pooled = watched(x)
    assert has_relu == (name != "efficientnetq")
    torch.testing.assert_close(pooled.flatten(1), read[0], rtol=1e-4, atol=1e-5)
    passed = seen.clamp(min=0) if has_relu else seen
    torch.testing.assert_close(passed.mean((2, 3)), pooled.flatten(1), rtol=1e-4, atol=1e-5)
