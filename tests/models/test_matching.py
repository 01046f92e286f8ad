"""Distribution matching: fits against scipy's laws and numpy, its place in any network, and the stage from weights to accuracy."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import genextreme, ks_2samp
from torch import nn
from torch.nn import functional as F  # noqa: N812

from bench import EVALUATE, FINETUNE, TRAIN, Bench, same
from fixres.data import manifest, sampling
from fixres.data.rendered import twins
from fixres.jobs import JobError
from fixres.models import distributions, matching, weights, zoo
from fixres.models.split import freeze
from shared import SETTINGS, fixres

EMPTY = distributions.Moments(1, np.zeros(1), np.zeros(1))


def counted(x: np.ndarray) -> np.ndarray:
    return distributions.histogram(torch.from_numpy(x).float()).numpy()


# --- what is measured and fitted ---------------------------------------------------------------------------------------------


@given(
    mu=st.floats(0.05, 3),
    sigma=st.floats(0.02, 1),
    share=st.floats(0, 0.5),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_frechet_parameters_are_recovered_whatever_the_share_of_zeros(mu, sigma, share, seed):
    rng = np.random.default_rng(seed)
    x = genextreme.rvs(-distributions.XI, mu, sigma, size=40_000, random_state=rng)
    x[rng.random(len(x)) < share] = 0
    found = distributions.fit_frechet(distributions.Seen(EMPTY, counted(x)))
    assert found[0] == pytest.approx(mu, abs=0.03 * sigma)
    assert found[1] == pytest.approx(sigma, rel=0.03)


@given(mu=st.floats(-3, 3), sigma=st.floats(0.01, 5))
@settings(deadline=None)
def test_the_frechet_distribution_is_scipys(mu, sigma):
    x = np.linspace(mu - 5 * sigma, mu + 20 * sigma, 301)
    np.testing.assert_allclose(
        distributions.frechet(x, mu, sigma),
        genextreme.cdf(x, -distributions.XI, mu, sigma),
        atol=1e-12,
    )


def test_the_frechet_map_brings_one_law_to_the_other():
    """What is drawn from (μ0, σ0) and mapped follows (μ, σ), by a two-sample KS test."""
    reference, found = (np.array(0.4), np.array(0.2)), (np.array(0.9), np.array(0.5))
    scale, shift = distributions.affine(reference, found)
    draws = [
        genextreme.rvs(-distributions.XI, *law, size=20_000, random_state=i)
        for i, law in enumerate((reference, found))
    ]
    assert ks_2samp(draws[0], draws[1]).pvalue < 1e-6
    assert ks_2samp(draws[0], scale * draws[1] + shift).pvalue > 0.01


@given(
    seed=st.integers(0, 99),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    offset=st.floats(-1e4, 1e4),
)
@settings(max_examples=50, deadline=None)
def test_moments_of_a_stream_are_those_of_the_whole(seed, sizes, offset):
    """Channels of other means and spreads, far from zero, in batches of any size, against numpy."""
    x = np.random.default_rng(seed).normal(size=(sum(sizes), 3, 4, 4)) * [
        [[1.0]],
        [[0.1]],
        [[5.0]],
    ] + [[[offset]], [[1.0]], [[0.0]]]
    parts = [
        distributions.Moments.of(torch.from_numpy(part))
        for part in np.split(x, np.cumsum(sizes)[:-1])
    ]
    total = parts[0]
    for part in parts[1:]:
        total += part
    mean, std = distributions.fit_gaussian(distributions.Seen(total, np.zeros(1)))
    np.testing.assert_allclose(mean[:, 0, 0], x.mean((0, 2, 3)), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(std[:, 0, 0], x.std((0, 2, 3)), rtol=1e-6)


def test_gaussians_are_mapped_onto_their_reference_channel_by_channel():
    torch.manual_seed(0)
    mean, std = (
        torch.tensor([-1.0, 0.0, 4.0]).view(3, 1, 1),
        torch.tensor([0.1, 1.0, 3.0]).view(3, 1, 1),
    )
    mean0, std0 = (
        torch.tensor([2.0, -1.0, 4.0]).view(3, 1, 1),
        torch.tensor([1.0, 0.5, 0.0]).view(3, 1, 1),
    )  # the last channel is dead
    draws = [torch.randn(500, 3, 8, 8) * s + m for m, s in ((mean, std), (mean0, std0))]
    reference, found = (
        distributions.fit_gaussian(distributions.Seen(distributions.Moments.of(x), np.zeros(1)))
        for x in draws
    )
    np.testing.assert_allclose(reference[0], mean, atol=0.05)
    np.testing.assert_allclose(reference[1], std, rtol=0.02)
    scale, shift = (torch.from_numpy(a) for a in distributions.affine(reference, found))
    mapped = scale * draws[1] + shift
    torch.testing.assert_close(
        mapped.mean((0, 2, 3)), draws[0].double().mean((0, 2, 3)), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(
        mapped[:, :2].std((0, 2, 3)), draws[0][:, :2].double().std((0, 2, 3)), atol=0, rtol=1e-4
    )
    assert scale[2] == 1


@given(
    values=st.lists(
        st.floats(-(2.0**60), 2.0**60, width=32, allow_subnormal=False), min_size=1, max_size=60
    )
)
def test_every_float_has_its_bin(values):
    """Bins are in the order of their values, end less than 1/2048 above them, and zero is alone."""
    x = np.sort(np.array(values, np.float32))
    which = distributions.bins(torch.from_numpy(x)).numpy()
    edges = distributions.upper_edges(which)
    assert np.all(np.diff(which) >= 0)
    assert np.all(x < edges)
    assert np.all((edges - x)[x != 0] <= np.abs(x[x != 0]) / 2048)
    assert np.array_equal(which == distributions.ZERO, x == 0)
    assert distributions.histogram(torch.from_numpy(x)).sum() == len(x)


def test_kolmogorovs_distance_is_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.gamma(2, size=5000), rng.gamma(2.4, size=7000)
    assert distributions.kolmogorov(counted(a), counted(b)) == pytest.approx(
        ks_2samp(a, b).statistic, abs=1e-3
    )


# --- its place in a network --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", zoo.ZOO)
@pytest.mark.parametrize("model", matching.MODELS)
def test_every_network_keeps_its_layers_and_their_names(name, model):
    """On the meta device, at full size. Swish networks have no last ReLU, and say so."""
    network = zoo.outline(name, 5)
    names = set(network.state_dict())
    if "efficientnet" in name and model == "gaussian":
        with pytest.raises(
            JobError,
            match=r"EfficientNet has no ReLU before its global pooling, but SiLU; .* take 'frechet'",
        ):
            matching.insert(network, model)
        return
    matched = matching.insert(network, model)
    assert set(matched.state_dict()) == names | {"matching.scale", "matching.shift"}
    assert all(
        matched.get_submodule(layer)
        for layer in (
            zoo.ZOO[name].classifier,
            *zoo.ZOO[name].last_batch_norm,
            *zoo.ZOO[name].cells,
        )
    )
    assert matching.about(matched) == {"matching": model}
    assert matching.about(zoo.outline(name, 5)) == {}


REAL = [
    ("resnet10q", 32),
    ("resnet50", 64),
    ("resnet14dq", 32),
    ("senet14q", 32),
    ("inceptionresnetq", 48),
    ("pnasnetq", 32),
]


def seen_by_the_classifier(network: nn.Module, name: str, x: torch.Tensor) -> torch.Tensor:
    seen = []
    hook = network.get_submodule(zoo.ZOO[name].classifier).register_forward_hook(
        lambda _, inputs, output: seen.append(inputs[0])
    )
    with torch.no_grad():
        network(x)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize(("name", "k"), REAL)
def test_the_map_sits_between_the_last_relu_and_the_classifier(name, k):
    x = torch.randn(2, 3, k, k)
    plain = seen_by_the_classifier(zoo.build(name, 5, 1).eval(), name, x)
    for model in matching.MODELS:
        matched = matching.insert(zoo.build(name, 5, 1), model)
        assert torch.equal(seen_by_the_classifier(matched, name, x), plain)  # the identity
    # Fréchet: behind the pooling; zeros stay where they are.
    matched.matching.scale, matched.matching.shift = torch.tensor(2.0), torch.tensor(0.5)
    torch.testing.assert_close(
        seen_by_the_classifier(matched, name, x), torch.where(plain == 0, 0.0, 2 * plain + 0.5)
    )
    # Gaussian: before the ReLU. A map to constants shows the channels, and that the ReLU comes after.
    c = plain.shape[1]
    matched = matching.insert(
        zoo.build(name, 5, 1),
        "gaussian",
        torch.zeros(c, 1, 1),
        torch.linspace(-1, 1, c).view(c, 1, 1),
    )
    torch.testing.assert_close(
        seen_by_the_classifier(matched, name, x), torch.linspace(-1, 1, c).clamp(min=0).expand(2, c)
    )


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
    with pytest.raises(JobError, match="Small has no ReLU before its global pooling, but Tanh"):
        matching.insert(Small(nn.Tanh(), nn.AdaptiveAvgPool2d(1)), "gaussian")
    with pytest.raises(JobError, match="Small has no average pooling before its classifier"):
        matching.insert(Small(nn.ReLU(), nn.AdaptiveMaxPool2d(1)), "frechet")
    with pytest.raises(ValueError, match="expected gaussian or frechet"):
        matching.insert(Small(nn.ReLU(), nn.AdaptiveAvgPool2d(1)), "weibull")


@pytest.mark.parametrize("model", matching.MODELS)
@pytest.mark.parametrize(("name", "k"), [case for case in REAL if case[0] != "resnet50"])
@pytest.mark.parametrize(
    "layers", [["classifier"], ["batch-norm", "classifier"], ["cells", "batch-norm", "classifier"]]
)
def test_a_matched_network_is_cut_like_any_other(tmp_path, model, name, k, layers):
    """head(trunk(x)) is the matched network, also when read back from its file, and the map does not train."""
    torch.manual_seed(0)
    c = (
        1
        if model == "frechet"
        else zoo.build(name, 5, 0).get_submodule(zoo.ZOO[name].classifier).in_features
    )
    shape = () if model == "frechet" else (c, 1, 1)
    matched = matching.insert(
        zoo.build(name, 5, 0), model, torch.rand(shape) + 0.5, torch.randn(shape) / 4
    )
    weights.save(tmp_path / "w.safetensors", matched.state_dict(), matching.about(matched))
    again = matching.load(name, 5, 3, tmp_path / "w.safetensors")
    x = torch.randn(2, 3, k, k)
    parts, plain = (
        freeze(n, layers, zoo.ZOO[name], "affine+statistics")
        for n in (again, zoo.build(name, 5, 0))
    )
    assert len(parts.dropouts) == len(plain.dropouts)
    assert all(module.training for module in (*parts.modules, *parts.dropouts))
    for module in (*parts.modules, *parts.dropouts):
        module.eval()
    with torch.no_grad():
        expected = matched(x)
        assert torch.equal(again(x), expected)
        assert torch.equal(parts.head(*parts.trunk(x)), expected)
    assert not any("matching" in n for m in parts.modules for n, _ in m.named_buffers())


def test_a_network_without_matching_is_the_zoos(tmp_path):
    network = zoo.build("resnet10q", 5, 0)
    weights.save(tmp_path / "w.safetensors", network.state_dict())
    loaded = matching.load("resnet10q", 5, 1, tmp_path / "w.safetensors")
    assert type(loaded) is type(network)
    assert same(loaded.state_dict(), network.state_dict())


def test_a_file_that_lacks_its_map_is_told(tmp_path):
    weights.save(
        tmp_path / "w.safetensors",
        zoo.build("resnet10q", 5, 0).state_dict(),
        {"matching": "gaussian"},
    )
    with pytest.raises(JobError, match=r"missing matching\.scale; missing matching\.shift"):
        matching.load("resnet10q", 5, 1, tmp_path / "w.safetensors")


# --- the stage ---------------------------------------------------------------------------------------------------------------

MATCH = {
    "stage": "match",
    "version": 1,
    "run": "r",
    "seed": 0,
    "network": "resnet10q",
    "k_train": 32,
    "k_test": 16,
    "images": None,
}
FULL = ("--precision", "fp32")


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    """A network that has learnt its four classes."""
    folder = tmp_path_factory.mktemp("matching")
    few = {
        "train_images": 384,
        "silhouettes": ["bar", "cross"],
        "hues": ["red", "green"],
        "shorter_side": [64, 80],
    }
    twins.write("imagefolder", folder / "set", SETTINGS | few)
    made = Bench(folder, manifest.build(folder / "set"))
    recipe = TRAIN["recipe"] | {"epochs": 8, "samples_per_epoch": 384, "batch_size": 32, "lr": 0.1}
    made.run(TRAIN | {"recipe": recipe}, *FULL, out="base.safetensors")
    return made


def matched(bench: Bench, model: str, *options: object, **config: object) -> tuple[dict, str]:
    """matching.json and the folder of a match, made once."""
    folder = "-".join(map(str, (model, *config.values(), *options)))
    if not (bench.folder / folder).exists():
        start = ("--weights", bench.folder / "base.safetensors", *FULL)
        log = bench.run(
            MATCH | {"model": model, **config},
            *start,
            *options,
            out=f"{folder}/weights.safetensors",
        ).stderr
        assert "distance to k_train, kolmogorov" in log
    return json.loads((bench.folder / folder / "matching.json").read_text()), folder


def test_matching_brings_the_distributions_of_a_real_network_together(bench):
    gaussian, _ = matched(bench, "gaussian")
    before, after = (gaussian["distance"][when] for when in ("before", "after"))
    for moment in ("mean", "std"):
        assert before[moment] > 0.05
        assert after[moment] < before[moment] / 100
    frechet, _ = matched(bench, "frechet")
    before, after = (
        frechet["distance"][when]["kolmogorov without zeros"] for when in ("before", "after")
    )
    assert after < 0.7 * before
    # What is kept for figures: CDFs of the pooled activations; the Fréchet map leaves the zeros alone.
    pooled = frechet["pooled"]
    assert pooled["k_test"]["zeros"] == pooled["matched"]["zeros"] > pooled["k_train"]["zeros"]
    for curve in (pooled[name]["cdf"] for name in ("k_train", "k_test", "matched")):
        assert len(curve) == len(pooled["x"])
        assert curve == sorted(curve)
        assert 0.99 < curve[-1] <= 1
    assert frechet["parameters"]["k_test"]["mu"] * frechet["scale"] + frechet[
        "shift"
    ] == pytest.approx(frechet["parameters"]["k_train"]["mu"])


@pytest.mark.parametrize("model", matching.MODELS)
def test_the_same_resolution_needs_no_map(bench, model):
    said, folder = matched(bench, model, k_test=32)
    tensors = bench.read(f"{folder}/weights.safetensors")
    assert torch.equal(tensors["matching.scale"], torch.ones_like(tensors["matching.scale"]))
    assert torch.equal(tensors["matching.shift"], torch.zeros_like(tensors["matching.shift"]))
    assert set(said["distance"]["before"].values()) == {0.0}
    predictions = []
    for start, out in (
        ("base.safetensors", "plain"),
        (f"{folder}/weights.safetensors", f"{folder}/evaluated"),
    ):
        bench.run(EVALUATE, "--weights", bench.folder / start, *FULL, out=f"{out}/metrics.json")
        predictions.append(np.load(bench.folder / out / "predictions" / "k32.npz")["top"])
    assert np.array_equal(*predictions)


def test_the_statistics_are_those_of_a_plain_loop(bench):
    """Channel means before the last ReLU at k_test, by a hook on the layers themselves."""
    from PIL import Image
    from torchvision.transforms import v2

    said, _ = matched(bench, "gaussian", "--loader", "pillow", images=50)
    data = manifest.load(bench.folder / "manifest.npz")
    rows = sampling.random_subset(data.rows("train"), 50, 0)
    network = matching.load("resnet10q", 4, 0, bench.folder / "base.safetensors").eval()
    parts: dict[str, torch.Tensor] = {}
    for name in ("layer4.bn2", "layer4.shortcut"):
        network.get_submodule(name).register_forward_hook(
            lambda _m, _i, output, name=name: parts.__setitem__(name, output)
        )
    for k, wanted in ((32, "k_train"), (16, "k_test")):
        transform = v2.Compose(
            [
                v2.Resize(k * 256 // 224),
                v2.CenterCrop(k),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
            ]
        )
        x = torch.stack([transform(Image.open(file).convert("RGB")) for file in data.files(rows)])
        with torch.no_grad():
            network(v2.functional.normalize(x, *map(list, zoo.IMAGENET)))
        before = sum(parts.values())
        np.testing.assert_allclose(
            said["parameters"][wanted]["mu"], before.mean((0, 2, 3)), atol=0.01
        )
        np.testing.assert_allclose(
            said["parameters"][wanted]["sigma"], before.std((0, 2, 3)), atol=0.01
        )


@pytest.mark.parametrize("model", matching.MODELS)
def test_a_matched_network_is_evaluated_and_fine_tuned_and_stays_matched(bench, model):
    _, folder = matched(bench, model)
    start = bench.folder / folder / "weights.safetensors"
    bench.run(
        EVALUATE | {"k_test": [16]},
        "--weights",
        start,
        *FULL,
        out=f"{folder}/evaluation/metrics.json",
    )
    network = matching.load("resnet10q", 4, 0, start)
    metrics = json.loads((bench.folder / folder / "evaluation" / "metrics.json").read_text())
    assert metrics["parameters"] == sum(
        p.numel() for p in zoo.build("resnet10q", 4, 0).parameters()
    )
    plain = bench.folder / "plain16" / "metrics.json"
    bench.run(
        EVALUATE | {"k_test": [16]},
        "--weights",
        bench.folder / "base.safetensors",
        *FULL,
        out="plain16/metrics.json",
    )
    tops = [
        np.load(f / "predictions" / "k16.npz")["top"]
        for f in (plain.parent, bench.folder / folder / "evaluation")
    ]
    assert not np.array_equal(*tops)

    bench.run(
        FINETUNE | {"k_test": 16}, "--weights", start, *FULL, out=f"{folder}/ft/weights.safetensors"
    )
    tuned, meta = weights.load(bench.folder / folder / "ft" / "weights.safetensors")
    assert meta["matching"] == model
    before = network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], tuned[name])}
    batch_norm = {
        f"layer4.bn2.{n}"
        for n in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    }
    assert changed == {"fc.weight", "fc.bias"} | batch_norm
    bench.run(
        EVALUATE | {"k_test": [16]},
        "--weights",
        bench.folder / folder / "ft" / "weights.safetensors",
        out=f"{folder}/ft/metrics.json",
    )


def test_two_processes_fit_the_bits_of_one(bench):
    _, one = matched(bench, "gaussian")
    _, two = matched(bench, "gaussian", "--processes", 2, "--threads", 2)
    assert same(bench.read(f"{one}/weights.safetensors"), bench.read(f"{two}/weights.safetensors"))
    assert (bench.folder / one / "matching.json").read_text() == (
        bench.folder / two / "matching.json"
    ).read_text()


def test_matching_twice_is_told(bench):
    _, folder = matched(bench, "gaussian")
    start = ("--weights", bench.folder / folder / "weights.safetensors")
    result = fixres(
        *bench.command(MATCH | {"model": "frechet"}, *start, out="twice/weights.safetensors")
    )
    assert result.returncode == 1
    assert "matched already (gaussian)" in result.stderr
