"""The map of distribution matching: its place in any network, and in the files of weights."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from bench import same
from fixres.artifacts import weights
from fixres.jobs import JobError
from fixres.models import construct, matching
from fixres.models.adapt import adapt_last_layers
from fixres.models.catalogue import zoo

# Networks to run, and the side of their crops in pixels.
REAL = [
    ("resnet10q", 32),
    ("resnet50", 64),
    ("resnet14dq", 32),
    ("senet14q", 32),
    ("inceptionresnetq", 48),
    ("pnasnetq", 32),
]


@pytest.mark.parametrize("name", [*zoo.PAPER, *zoo.TWINS])
@pytest.mark.parametrize("model", matching.MODELS)
def test_every_network_keeps_its_layers_and_their_names(name, model):
    """On the meta device, at full size. Swish networks have no last ReLU, and say so."""
    network, entry = construct.outline(name, 5), zoo.ZOO[name]
    names = set(network.state_dict())
    if "efficientnet" in name and model == "gaussian":
        message = r"EfficientNet has no ReLU .*got SiLU, .* Use 'frechet'"
        with pytest.raises(JobError, match=message):
            matching.insert(network, model)
        return
    matched = matching.insert(network, model)
    assert set(matched.state_dict()) == names | {"matching.scale", "matching.shift"}
    layers = (entry.classifier, *entry.last_batch_norm, *entry.cells)
    assert all(matched.get_submodule(layer) for layer in layers)
    assert matching.about(matched) == {"matching": model}
    assert matching.about(construct.outline(name, 5)) == {}


# --- where the map is --------------------------------------------------------------------------


def seen_by_the_classifier(network: nn.Module, name: str, x: torch.Tensor) -> torch.Tensor:
    """The input of the classifier in a forward pass of x."""
    seen = []
    classifier = network.get_submodule(zoo.ZOO[name].classifier)
    hook = classifier.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
    with torch.no_grad():
        network(x)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize(("name", "k"), REAL)
def test_the_map_sits_between_the_last_relu_and_the_classifier(name, k):
    x = torch.randn(2, 3, k, k)
    plain = seen_by_the_classifier(construct.build(name, 5, 1).eval(), name, x)
    for model in matching.MODELS:
        matched = matching.insert(construct.build(name, 5, 1), model)
        assert torch.equal(seen_by_the_classifier(matched, name, x), plain)  # the identity

    # Fréchet: behind the pooling; zeros stay where they are.
    matched.matching.scale, matched.matching.shift = torch.tensor(2.0), torch.tensor(0.5)
    expected = torch.where(plain == 0, 0.0, 2 * plain + 0.5)
    torch.testing.assert_close(seen_by_the_classifier(matched, name, x), expected)

    # Gaussian: before the ReLU. A map to constants shows the channels, and the ReLU after it.
    c = plain.shape[1]
    constants = torch.linspace(-1, 1, c)
    affine = (torch.zeros(c, 1, 1), constants.view(c, 1, 1))
    matched = matching.insert(construct.build(name, 5, 1), "gaussian", *affine)
    expected = constants.clamp(min=0).expand(2, c)
    torch.testing.assert_close(seen_by_the_classifier(matched, name, x), expected)


class Small(nn.Module):
    """One of many ways to write ReLU and pooling."""

    def __init__(self, relu, pooling):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 6, 3), nn.Linear(6, 4)
        self.relu, self.pooling = relu, pooling

    def forward(self, x):
        return self.fc(self.pooling(self.relu(self.relu(self.conv(x)) - 0.1)).flatten(1))


WAYS = {
    "module": (lambda: nn.ReLU(), lambda: nn.AdaptiveAvgPool2d(1)),
    "in place": (lambda: nn.ReLU(inplace=True), lambda: nn.AvgPool2d(6)),
    "function": (lambda: F.relu, lambda: lambda x: F.adaptive_avg_pool2d(x, 1)),
    "method": (lambda: lambda x: x.relu(), lambda: lambda x: x.mean((2, 3))),
    "method in place": (lambda: lambda x: x.relu_(), lambda: lambda x: torch.mean(x, (2, 3))),
    "function in place": (
        lambda: lambda x: F.relu(x, inplace=True),
        lambda: lambda x: F.avg_pool2d(x, 6),
    ),
    "through dropout": (
        lambda: nn.Sequential(nn.ReLU(), nn.Dropout()),
        lambda: nn.AdaptiveAvgPool2d(1),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_any_way_to_write_the_last_relu(way):
    torch.manual_seed(0)
    network, x = Small(*(make() for make in WAYS[way])), torch.randn(5, 3, 8, 8)
    scale, shift = torch.rand(6, 1, 1) + 0.5, torch.randn(6, 1, 1)
    with torch.no_grad():
        pooled = (scale * (network.conv(x).relu() - 0.1) + shift).relu().mean((2, 3))
        expected = network.fc(pooled)
        torch.testing.assert_close(matching.insert(network, "gaussian", scale, shift)(x), expected)


def test_networks_without_the_place_are_told():
    with pytest.raises(JobError, match=r"Small has no ReLU before its global pooling \(got Tanh"):
        matching.insert(Small(nn.Tanh(), nn.AdaptiveAvgPool2d(1)), "gaussian")
    with pytest.raises(JobError, match="Small has no average pooling before its classifier"):
        matching.insert(Small(nn.ReLU(), nn.AdaptiveMaxPool2d(1)), "frechet")
    with pytest.raises(ValueError, match=r"unknown model \(got .*, expected gaussian or frechet\)"):
        matching.insert(Small(nn.ReLU(), nn.AdaptiveAvgPool2d(1)), "weibull")


# --- the map, the cut and the files ------------------------------------------------------------


@pytest.mark.parametrize("model", matching.MODELS)
@pytest.mark.parametrize(("name", "k"), [case for case in REAL if case[0] != "resnet50"])
@pytest.mark.parametrize(
    "layers", [["classifier"], ["batch-norm", "classifier"], ["cells", "batch-norm", "classifier"]]
)
def test_a_matched_network_is_cut_like_any_other(tmp_path, model, name, k, layers):
    """head(trunk(x)) is the matched network, also read back from its file; no map trains."""
    torch.manual_seed(0)
    entry, shape = zoo.ZOO[name], ()
    if model == "gaussian":
        shape = (construct.build(name, 5, 0).get_submodule(entry.classifier).in_features, 1, 1)
    scale, shift = torch.rand(shape) + 0.5, torch.randn(shape) / 4
    matched = matching.insert(construct.build(name, 5, 0), model, scale, shift)
    weights.save(tmp_path / "w.safetensors", matched.state_dict(), matching.about(matched))
    again = matching.load(name, 5, 3, tmp_path / "w.safetensors")
    x = torch.randn(2, 3, k, k)
    parts = adapt_last_layers(again, entry, layers, k)
    plain = adapt_last_layers(construct.build(name, 5, 0), entry, layers, k)
    assert len(parts.dropouts) == len(plain.dropouts)
    assert all(module.training for module in (*parts.trained, *parts.dropouts))
    for module in (*parts.trained, *parts.dropouts):
        module.eval()
    with torch.no_grad():
        expected = matched(x)
        assert torch.equal(again(x), expected)
        assert torch.equal(parts.head(*parts.trunk(x)), expected)
    assert not any("matching" in n for m in parts.trained for n, _ in m.named_buffers())


def test_a_network_without_matching_is_the_zoos(tmp_path):
    network = construct.build("resnet10q", 5, 0)
    weights.save(tmp_path / "w.safetensors", network.state_dict())
    loaded = matching.load("resnet10q", 5, 1, tmp_path / "w.safetensors")
    assert type(loaded) is type(network)
    assert same(loaded.state_dict(), network.state_dict())


def test_a_file_that_lacks_its_map_is_told(tmp_path):
    state = construct.build("resnet10q", 5, 0).state_dict()
    weights.save(tmp_path / "w.safetensors", state, {"matching": "gaussian"})
    with pytest.raises(JobError, match=r"missing matching\.scale; missing matching\.shift"):
        matching.load("resnet10q", 5, 1, tmp_path / "w.safetensors")
