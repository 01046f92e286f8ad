"""Evaluation as a command: predictions, ten crops, accuracy, and what is not computed again."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench import EVALUATE, Bench
from fixres.artifacts import manifest, weights
from fixres.models import construct
from fixres.models.catalogue.network import IMAGENET
from fixres.stages import evaluate
from shared import fixres

PLAIN = ["--precision", "fp32", "--loader", "pillow"]  # as torchvision computes


def test_evaluation_keeps_what_it_knows(trained, bench):
    start = ["--weights", trained.folder / "weights.safetensors"]
    bench.run(EVALUATE, *start, out="metrics.json")
    first = json.loads((bench.folder / "metrics.json").read_text())
    assert set(first["k_test"]) == {"24", "32"}
    more = bench.run(EVALUATE | {"k_test": [24, 32, 48]}, *start, out="metrics.json")
    assert "predictions kept: k_test 24, 32" in more.stderr
    assert "k_test 48 on 48 images" in more.stderr
    second = json.loads((bench.folder / "metrics.json").read_text())
    assert {k: second["k_test"][k] for k in ("24", "32")} == first["k_test"]
    shutil.rmtree(bench.folder / "predictions")
    alone = Bench(bench.folder, manifest.load(bench.folder / "manifest.npz"))
    alone.run(EVALUATE | {"k_test": [48]}, *start, out="metrics.json")
    third = json.loads((bench.folder / "metrics.json").read_text())
    assert third["k_test"]["48"] == second["k_test"]["48"]
    parameters = construct.build("resnet10q", 24, 0).parameters()
    assert second["parameters"] == sum(p.numel() for p in parameters)
    assert second["notes"] == []


def test_a_network_is_also_measured_among_the_classes_that_have_images(trained, bench):
    """Masked, an image's class is the likeliest of those; among all, nothing changes."""
    start = ["--weights", trained.folder / "weights.safetensors", *PLAIN]
    config = EVALUATE | {"k_test": [32], "crop_pct": [0.875]}
    data = manifest.load(bench.folder / "manifest.npz")
    few = np.flatnonzero(data.label < 6)
    columns = {name: getattr(data, name)[few] for name in manifest.COLUMNS}
    replace(data, **columns).save(bench.folder / "manifest.npz")
    bench.run(config, *start, out="metrics.json")
    plain = json.loads((bench.folder / "metrics.json").read_text())["k_test"]["32"]
    bench.run(config | {"masked": True}, *start, out="metrics.json")
    both = json.loads((bench.folder / "metrics.json").read_text())["k_test"]["32"]
    assert {name: both[name] for name in plain} == plain
    names = ("k32@0.875", "k32@0.875_masked")
    found = (np.load(bench.folder / "predictions" / f"{name}.npz")["top"] for name in names)
    for among_all, masked in zip(*found, strict=True):
        assert (masked < 6).all()
        kept = [c for c in among_all.tolist() if c < 6]
        assert masked.tolist()[: len(kept)] == kept
    assert both["top1@0.875_masked"] >= both["top1@0.875"]


def test_no_fold_is_without_images(trained, bench):
    start = ["--weights", trained.folder / "weights.safetensors"]
    command = bench.command(EVALUATE | {"folds": 49}, *start, out="metrics.json")
    result = fixres(*command)
    assert result.returncode == 1
    expected = "got 49, expected at most the number of validation images, 48"
    assert expected in result.stderr


def test_each_test_transform_has_its_own_predictions(trained, bench):
    """Portraits are cut otherwise, so some predictions differ. Those of the other are kept."""
    start = ["--weights", trained.folder / "weights.safetensors", *PLAIN]
    bench.run(EVALUATE, *start, out="metrics.json")
    log = bench.run(EVALUATE | {"test_resize": "released"}, *start, out="metrics.json").stderr
    assert "predictions kept" not in log
    folders = ("predictions", "predictions_released")
    paper, released = (np.load(bench.folder / folder / "k32.npz")["top"] for folder in folders)
    assert not np.array_equal(paper, released)
    data = manifest.load(bench.folder / "manifest.npz")
    rows = data.rows("val")
    wide = data.width[rows] >= data.height[rows]
    assert np.array_equal(paper[wide], released[wide])
    log = bench.run(EVALUATE, *start, out="metrics.json").stderr
    assert "predictions kept: k_test 24, 32" in log


def test_predictions_of_other_weights_or_damaged_ones_are_not_kept(trained, bench):
    start = ["--weights", trained.folder / "weights.safetensors"]
    bench.run(EVALUATE, *start, out="metrics.json")
    damaged = bench.folder / "predictions" / "k24.npz"
    data = bytearray(damaged.read_bytes())
    # A byte of the predictions; a byte of the padding of the archive would not matter.
    data[data.index(b"top.npy") + 300] ^= 255
    damaged.write_bytes(data)
    result = bench.run(EVALUATE, *start, out="metrics.json")
    assert "predictions kept: k_test 32" in result.stderr
    assert "k24.npz is damaged" in result.stderr
    other = construct.build("resnet10q", 24, 9)
    weights.save(bench.folder / "other.safetensors", other.state_dict())
    start = ["--weights", bench.folder / "other.safetensors"]
    assert "kept" not in bench.run(EVALUATE, *start, out="metrics.json").stderr


def test_predictions_are_the_networks(trained, bench, tiny):
    """Against the top-5 of a plain torchvision loop over the validation images."""
    from PIL import Image
    from torchvision.transforms import v2

    start = ["--weights", trained.folder / "weights.safetensors", *PLAIN]
    bench.run(EVALUATE | {"k_test": [32]}, *start, out="metrics.json")
    network = construct.build("resnet10q", 24, 0).eval()
    weights.load_into(network, trained.folder / "weights.safetensors")
    transform = v2.Compose(
        [
            v2.Resize(36),
            v2.CenterCrop(32),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(*IMAGENET),
        ]
    )
    rows = tiny.rows("val")
    with torch.no_grad():
        x = torch.stack([transform(Image.open(file).convert("RGB")) for file in tiny.files(rows)])
        expected = network(x).topk(5).indices.numpy()
    archive = np.load(bench.folder / "predictions" / "k32.npz")
    assert (archive["top"] == expected).mean() > 0.98  # near-ties may swap
    assert np.array_equal(archive["label"], tiny.label[rows])
    metrics = json.loads((bench.folder / "metrics.json").read_text())["k_test"]["32"]
    assert metrics["top1"] == pytest.approx(100 * (archive["top"][:, 0] == archive["label"]).mean())


def test_ten_crops_are_averaged(trained, bench, tiny):
    """Against a plain torchvision loop: the mean of the softmax over ten single crops.

    Ten crops stand beside single crops in the result, are kept, and are shared by processes.
    """
    from PIL import Image
    from torchvision.transforms import v2

    start = ["--weights", trained.folder / "weights.safetensors", *PLAIN]
    bench.run(EVALUATE | {"k_test": [24]}, *start, out="metrics.json")
    wanted = EVALUATE | {"k_test": [24, 32], "ten_crops": [32]}
    assert "predictions kept: k_test 24" in bench.run(wanted, *start, out="metrics.json").stderr
    network = construct.build("resnet10q", 24, 0).eval()
    weights.load_into(network, trained.folder / "weights.safetensors")
    finish = v2.Compose(
        [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(*IMAGENET)]
    )
    rows, crops = tiny.rows("val"), []
    for file in tiny.files(rows):
        with Image.open(file) as image:
            ten = v2.functional.ten_crop(v2.functional.resize(image.convert("RGB"), [36]), [32, 32])
        crops.append(torch.stack([finish(crop) for crop in ten]))
    with torch.no_grad():  # one crop after another
        alone = [network(crop).softmax(1) for crop in torch.stack(crops, dim=1)]
    expected = torch.stack(alone).mean(0).topk(5).indices.numpy()
    archive = np.load(bench.folder / "predictions" / "k32_10crops.npz")
    assert (archive["top"] == expected).mean() > 0.98  # near-ties may swap
    single = np.load(bench.folder / "predictions" / "k32.npz")
    assert not np.array_equal(archive["top"], single["top"])
    metrics = json.loads((bench.folder / "metrics.json").read_text())["k_test"]
    assert set(metrics) == {"24", "32"}
    of_ten = {"top1_10crops", "top1_10crops_std", "top5_10crops"}
    assert set(metrics["32"]) == set(metrics["24"]) | of_ten
    hits = archive["top"] == archive["label"][:, None]
    assert metrics["32"]["top1_10crops"] == pytest.approx(100 * hits[:, 0].mean())
    assert metrics["32"]["top5_10crops"] == pytest.approx(100 * hits.any(1).mean())

    log = bench.run(wanted, *start, out="metrics.json").stderr
    assert "kept: k_test 24, 32, 32 (10 crops)" in log
    (bench.folder / "predictions" / "k32_10crops.npz").unlink()
    bench.run(wanted, *start, "--processes", 2, "--threads", 2, out="metrics.json")
    shared = np.load(bench.folder / "predictions" / "k32_10crops.npz")
    assert np.array_equal(shared["top"], archive["top"])


def test_accuracy_and_its_folds():
    """Against numbers computed by hand. For equal folds the spread is that of their sums over 9."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 50, 1000)
    top = rng.integers(0, 50, (1000, 5))
    top[rng.random(1000) < 0.6, 0] = -1
    top[top[:, 0] == -1, 0] = labels[top[:, 0] == -1]
    m = evaluate.accuracy(top, labels, 10)
    hit = top[:, 0] == labels
    assert m["top1"] == pytest.approx(100 * hit.mean())
    assert m["top5"] == pytest.approx(100 * (top == labels[:, None]).any(axis=1).mean())
    # About the binomial spread of the sum of one fold: sqrt(p q n / 10) / (9 n / 10).
    spread = 100 * np.sqrt(hit.mean() * (1 - hit.mean()) * 100) / 900
    assert m["top1_std"] == pytest.approx(spread, rel=0.6)
    perfect = {"top1": 100.0, "top5": 100.0, "top1_std": 0.0}
    assert evaluate.accuracy(labels[:, None], labels, 10) == perfect
