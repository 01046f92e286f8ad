"""The stage `activations` against a plain computation on the same crops."""

import json

import numpy as np
import pytest
import torch

from bench import Bench
from fixres.artifacts import manifest, per_image, weights
from fixres.data import regions, requests
from fixres.hardware.device import open_device
from fixres.hardware.ranks import ALONE
from fixres.models import construct, pooled
from fixres.models.catalogue.network import IMAGENET

JOB = {
    "stage": "activations",
    "version": 1,
    "run": "runs/tiny/net/activations",
    "network": "resnet10q",
    "k_train": 32,
    "k_test": [16, 32],
    "test_resize": "paper",
    "bound": None,
    "share": 10.0,
}
OPTIONS = ("--precision", "fp32", "--loader", "pillow")


@pytest.fixture(scope="module")
def bench(tmp_path_factory, tiny) -> Bench:
    """Networks of random weights. Some channels of one are zero in many images."""
    made = Bench(tmp_path_factory.mktemp("activations"), tiny)
    for name in ("resnet10q", "efficientnetq"):
        network = construct.build(name, len(tiny.classes), 0)
        if name == "resnet10q":
            torch.manual_seed(0)
            for norm in (network.layer4.bn2, network.layer4.shortcut[1]):
                torch.nn.init.normal_(norm.weight)
                torch.nn.init.normal_(norm.bias, -1.0)
        weights.save(made.folder / f"{name}.safetensors", network.state_dict(), {})
    return made


def measured(bench: Bench, *options: object, **config: object) -> tuple[dict, dict, str]:
    """metrics.json, samples.npz by name, and the log of a job."""
    job, folder = JOB | config, "-".join(map(str, (*options, *config.values(), "out")))
    start = bench.folder / f"{job['network']}.safetensors"
    log = bench.run(job, "--weights", start, *OPTIONS, *options, out=f"{folder}/metrics.json")
    metrics = json.loads((bench.folder / folder / "metrics.json").read_text())
    found = per_image.load(bench.folder / folder / "samples.npz", metrics["samples"])
    return metrics, found.values, log.stderr


@pytest.fixture(scope="module")
def done(bench):
    return measured(bench)


@pytest.fixture(scope="module")
def plain(bench) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """k_test -> activations before the last ReLU (n, c, h, w) and pooled (n, c), by hooks."""
    data = manifest.load(bench.folder / "manifest.npz")
    device = open_device("cpu", "fp32", 1, ALONE, False)
    reader = requests.CropReader(data, data.rows("val"), *IMAGENET, device, "pillow", 1, ALONE)
    network = construct.build("resnet10q", len(data.classes), 0)
    network.load_state_dict(weights.load(bench.folder / "resnet10q.safetensors")[0])
    parts: dict[str, torch.Tensor] = {}
    for name in ("layer4.bn2", "layer4.shortcut", "avgpool"):
        network.get_submodule(name).register_forward_hook(
            lambda _m, _i, output, name=name: parts.__setitem__(name, output)
        )
    seen = {}
    [batch] = list(reader.batches(slice(0, 48), regions.Augmentation("test DA"), [16, 32]))
    for k, x in zip((16, 32), batch, strict=True):
        with torch.no_grad():
            network.eval()(x)
        before = parts["layer4.bn2"] + parts["layer4.shortcut"]
        seen[k] = before.numpy(), parts["avgpool"].flatten(1).numpy()
    return seen


def test_shares_and_moments_are_numpys(done, plain):
    metrics, samples, _ = done
    for k, (before, behind) in plain.items():
        found = metrics["k_test"][str(k)]
        assert found["map"] == before.shape[-1] == k // 8
        by_image = {
            "zeros": 100 * (behind == 0).mean(1),
            "above": 100 * (behind > metrics["bound"]).mean(1),
            "negative": 100 * (before < 0).mean((1, 2, 3)),
        }
        assert by_image["zeros"].mean() > 1
        for name, values in by_image.items():
            np.testing.assert_allclose(samples[f"{name} {k}"], values, atol=1e-4)
            assert found[name] == pytest.approx(values.mean(), abs=1e-4)
        mean, variance = (f(before.astype(float), axis=(0, 2, 3)) for f in (np.mean, np.var))
        np.testing.assert_allclose(found["channel_means"], mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found["channel_variances"], variance, rtol=1e-4, atol=1e-6)
        assert found["channel_mean"] == pytest.approx(np.abs(mean).mean(), rel=1e-4)
        assert found["channel_variance"] == pytest.approx(variance.mean(), rel=1e-4)
        for name in ("channel_mean", "channel_variance", "free_xi"):
            assert samples[f"{name} {k}"].mean(dtype=float) == pytest.approx(found[name])
            assert samples[f"{name} {k}"].std() > 0


def test_the_bound_is_the_one_that_as_many_exceed_at_k_train(done):
    metrics, _, _ = done
    assert metrics["k_test"]["32"]["above"] == pytest.approx(JOB["share"], abs=0.1)


def test_histograms_are_numpys(done, plain):
    metrics, samples, _ = done
    edges = [-np.inf, *np.float32(metrics["edges"]), np.inf]
    for k, (_, behind) in plain.items():
        counts = [np.histogram(image, edges)[0] for image in behind]
        assert np.abs(samples[f"pooled {k}"].astype(int) - counts).sum() <= 4  # at an edge
        assert samples[f"pooled {k}"].dtype == np.uint16
        found = metrics["k_test"][str(k)]
        np.testing.assert_allclose(found["pooled"], samples[f"pooled {k}"].mean(0))
        assert 100 * found["pooled"][pooled.ZERO] / behind.shape[1] == pytest.approx(found["zeros"])
    half = samples["half 32"].any(axis=1)
    assert half.sum() == 24
    assert np.array_equal(samples["half 32"][half], samples["pooled 32"][half])
    assert "half 16" not in samples


def test_two_processes_measure_what_one_does(done, bench):
    """With 48 images, one of them has no batch at all."""
    again = measured(bench, "--processes", 2, "--threads", 2)
    assert again[0] == done[0]


def test_both_loaders_show_the_network_the_same(done, bench):
    """DALI and Pillow differ by a grey level at most, so activations differ a little."""
    pytest.importorskip("nvidia.dali")
    metrics, samples, _ = measured(bench, "--loader", "dali")
    for k, pillows in done[0]["k_test"].items():
        found = metrics["k_test"][k]
        for name in ("zeros", "above", "negative"):
            assert found[name] == pytest.approx(pillows[name], abs=0.3)
        for name in ("channel_mean", "channel_variance", "mu", "sigma"):
            assert found[name] == pytest.approx(pillows[name], rel=0.02)
        one, other = (x[f"pooled {k}"].sum(0, dtype=float).cumsum() for x in (samples, done[1]))
        assert np.abs(one - other).max() / one[-1] < 0.01


def test_the_paper_has_a_bound_and_a_run_its_transform(done, bench):
    metrics, _, _ = measured(bench, bound=2.0, test_resize="released", k_train=None)
    assert metrics["bound"] == 2.0
    assert metrics["k_test"]["32"]["pooled"] != done[0]["k_test"]["32"]["pooled"]
    assert "half" not in metrics["k_test"]["32"]


def test_a_network_without_a_relu_says_what_it_lacks(bench):
    metrics, samples, log = measured(bench, network="efficientnetq", k_train=None, k_test=[32])
    found = metrics["k_test"]["32"]
    lacks = ("negative", "channel_mean", "channel_variance", "above")
    assert [found[name] for name in lacks] == [None] * 4
    assert not any(name.startswith(lacks) for name in samples)
    assert metrics["notes"] == [
        "no ReLU before the pooling: no negative, channel_mean, channel_variance"
    ]
    assert metrics["notes"][0] in log
    assert found["zeros"] < 1
    assert sum(found["pooled"][: pooled.ZERO]) > 0  # SiLU goes below 0
