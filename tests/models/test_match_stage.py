"""The stage `match`: from a network's weights to a matched network, and to its accuracy."""

import json

import numpy as np
import pytest
import torch

from bench import EVALUATE, FINETUNE, TRAIN, Bench, same
from fixres.artifacts import manifest, weights
from fixres.data import building, sampling
from fixres.data.rendered import twins
from fixres.models import construct, matching
from fixres.models.catalogue.network import IMAGENET
from shared import SETTINGS, fixres

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
    made = Bench(folder, building.build(folder / "set"))
    recipe = TRAIN["recipe"] | {"epochs": 8, "samples_per_epoch": 384, "batch_size": 32, "lr": 0.1}
    made.run(TRAIN | {"recipe": recipe, "seed": 1}, *FULL, out="base.safetensors")
    return made


def matched(bench: Bench, model: str, *options: object, **config: object) -> tuple[dict, str]:
    """matching.json and the folder of a match, made once."""
    folder = "-".join(map(str, (model, *config.values(), *options)))
    if not (bench.folder / folder).exists():
        job = MATCH | {"model": model, **config}
        start = ("--weights", bench.folder / "base.safetensors", *FULL)
        log = bench.run(job, *start, *options, out=f"{folder}/weights.safetensors").stderr
        assert "distance to k_train, kolmogorov" in log
    return json.loads((bench.folder / folder / "matching.json").read_text()), folder


# --- the fit -----------------------------------------------------------------------------------


def test_matching_brings_the_distributions_of_a_real_network_together(bench):
    gaussian, _ = matched(bench, "gaussian")
    before, after = (gaussian["distance"][when] for when in ("before", "after"))
    for moment in ("mean", "std"):
        assert before[moment] > 0.02
        assert after[moment] < before[moment] / 100
    frechet, _ = matched(bench, "frechet")
    before, after = (
        frechet["distance"][when]["kolmogorov without zeros"] for when in ("before", "after")
    )
    assert after < 0.7 * before

    # For the figures: CDFs of the pooled activations. The Fréchet map leaves the zeros alone.
    pooled = frechet["pooled"]
    assert pooled["k_test"]["zeros"] == pooled["matched"]["zeros"] > pooled["k_train"]["zeros"]
    for curve in (pooled[name]["cdf"] for name in ("k_train", "k_test", "matched")):
        assert len(curve) == len(pooled["x"])
        assert curve == sorted(curve)
        assert 0.99 < curve[-1] <= 1
    mapped = frechet["parameters"]["k_test"]["mu"] * frechet["scale"] + frechet["shift"]
    assert mapped == pytest.approx(frechet["parameters"]["k_train"]["mu"])


@pytest.mark.parametrize("model", matching.MODELS)
def test_the_same_resolution_needs_no_map(bench, model):
    said, folder = matched(bench, model, k_test=32)
    tensors = bench.read(f"{folder}/weights.safetensors")
    assert torch.equal(tensors["matching.scale"], torch.ones_like(tensors["matching.scale"]))
    assert torch.equal(tensors["matching.shift"], torch.zeros_like(tensors["matching.shift"]))
    assert set(said["distance"]["before"].values()) == {0.0}
    predictions = []
    places = (("base.safetensors", "plain"), (f"{folder}/weights.safetensors", f"{folder}/again"))
    for start, out in places:
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
    to_floats = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
    for k, wanted in ((32, "k_train"), (16, "k_test")):
        transform = v2.Compose([v2.Resize(k * 256 // 224), v2.CenterCrop(k), *to_floats])
        x = torch.stack([transform(Image.open(file).convert("RGB")) for file in data.files(rows)])
        with torch.no_grad():
            network(v2.functional.normalize(x, *map(list, IMAGENET)))
        before, found = sum(parts.values()), said["parameters"][wanted]
        np.testing.assert_allclose(found["mu"], before.mean((0, 2, 3)), atol=0.01)
        np.testing.assert_allclose(found["sigma"], before.std((0, 2, 3)), atol=0.01)


def test_the_test_transform_is_the_one_that_the_run_names(bench):
    """The released transform cuts portraits otherwise, so the activations are others."""
    paper, _ = matched(bench, "gaussian")
    said, _ = matched(bench, "gaussian", test_resize="paper")
    released, _ = matched(bench, "gaussian", test_resize="released")
    assert said == paper
    assert released["parameters"] != paper["parameters"]


def test_two_processes_fit_the_bits_of_one(bench):
    _, one = matched(bench, "gaussian")
    _, two = matched(bench, "gaussian", "--processes", 2, "--threads", 2)
    assert same(bench.read(f"{one}/weights.safetensors"), bench.read(f"{two}/weights.safetensors"))
    said = [(bench.folder / folder / "matching.json").read_text() for folder in (one, two)]
    assert said[0] == said[1]


# --- the matched network -----------------------------------------------------------------------


@pytest.mark.parametrize("model", matching.MODELS)
def test_a_matched_network_is_evaluated_and_fine_tuned_and_stays_matched(bench, model):
    _, name = matched(bench, model)
    folder, plain = bench.folder / name, bench.folder / "plain"
    start, base = folder / "weights.safetensors", bench.folder / "base.safetensors"
    network = matching.load("resnet10q", 4, 0, start)

    # Evaluated: the map changes the predictions, and is no parameter. At 8 px the network is far
    # from sure, so that a small change shows.
    at_16, at_both = EVALUATE | {"k_test": [16]}, EVALUATE | {"k_test": [8, 16]}
    bench.run(at_both, "--weights", start, *FULL, out=f"{name}/evaluation/metrics.json")
    metrics = json.loads((folder / "evaluation" / "metrics.json").read_text())
    parameters = construct.build("resnet10q", 4, 0).parameters()
    assert metrics["parameters"] == sum(p.numel() for p in parameters)
    bench.run(at_both, "--weights", base, *FULL, out="plain/metrics.json")
    files = (f / "predictions" / "k8.npz" for f in (plain, folder / "evaluation"))
    assert not np.array_equal(*(np.load(file)["top"] for file in files))

    # Fine-tuned: the last layers change, and nothing else; the map stays.
    job = FINETUNE | {"k_test": 16}
    bench.run(job, "--weights", start, *FULL, out=f"{name}/ft/weights.safetensors")
    tuned, meta = weights.load(folder / "ft" / "weights.safetensors")
    assert meta["matching"] == model
    before = network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], tuned[name])}
    batch_norm = {
        f"layer4.bn2.{n}"
        for n in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    }
    assert changed == {"fc.weight", "fc.bias"} | batch_norm
    tuned_file = folder / "ft" / "weights.safetensors"
    bench.run(at_16, "--weights", tuned_file, out=f"{name}/ft/metrics.json")


def test_matching_twice_is_told(bench):
    _, folder = matched(bench, "gaussian")
    start = ("--weights", bench.folder / folder / "weights.safetensors")
    job = MATCH | {"model": "frechet"}
    result = fixres(*bench.command(job, *start, out="twice/weights.safetensors"))
    assert result.returncode == 1
    assert "matched already (gaussian)" in result.stderr
