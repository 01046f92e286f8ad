"""Base training as a command: killed and resumed, bit for bit, both loaders, given weights."""

import signal
import subprocess
import sys
import time

import pytest
import torch

from bench import TRAIN, same
from fixres.artifacts import weights
from fixres.data import loader, pillow_loader, sampling
from fixres.hardware.ranks import ALONE
from fixres.jobs import JobError
from fixres.models import construct
from fixres.models.catalogue import zoo
from fixres.models.checkpoints import Checkpoints
from fixres.stages import sgd, train
from shared import ENVIRONMENT, fixres, without_speed


def test_a_trainer_killed_again_and_again_ends_with_the_same_bits(bench):
    """kill -9 at three moments. The last run finishes and leaves no checkpoint."""
    longer, kills = TRAIN | {"recipe": TRAIN["recipe"] | {"epochs": 12}}, 0
    bench.run(longer, out="undisturbed.safetensors")
    rows = without_speed((bench.folder / "log.csv").read_bytes())
    (bench.folder / "log.csv").unlink()
    for wait in (0.0, 0.1, 0.25):
        arguments = map(str, bench.command(longer, "--checkpoint-seconds", 0))
        command = [sys.executable, "-m", "fixres", *arguments]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
        deadline = time.monotonic() + 60
        before = sorted(p.name for p in (bench.folder / "checkpoints").glob("*"))
        while time.monotonic() < deadline and process.poll() is None:
            if sorted(p.name for p in (bench.folder / "checkpoints").glob("step*")) != before:
                time.sleep(wait)
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills == 3
    log = bench.run(longer, "--checkpoint-seconds", 0).stderr
    assert "resuming after step" in log
    assert same(bench.read(), bench.read("undisturbed.safetensors"))
    assert without_speed((bench.folder / "log.csv").read_bytes()) == rows
    assert not (bench.folder / "checkpoints").exists()


def test_a_checkpoint_of_another_configuration_is_never_resumed(bench, trained):
    other = TRAIN | {"seed": 1}
    checkpoints = Checkpoints(bench.folder / "checkpoints", "another key")
    checkpoints.save(7, {"model.x": torch.zeros(2)})
    assert "belongs to another configuration" in bench.run(TRAIN).stderr
    assert same(bench.read(), trained.read())
    bench.run(other)
    assert not same(bench.read(), trained.read())


def test_divergence_is_an_error_that_names_step_and_rate(bench):
    broken = TRAIN | {"recipe": TRAIN["recipe"] | {"lr": 1e30, "warmup": 0.0}}
    result = fixres(*bench.command(broken))
    assert result.returncode == 1
    assert "diverged" in result.stderr
    assert "lr 1e+30" in result.stderr
    assert not (bench.folder / "weights.safetensors").exists()


@pytest.mark.parametrize("option", [("--loader", "pillow"), ("--loader", "dali")])
def test_worker_threads_change_no_bit(bench, trained, option):
    if option[1] == "dali":
        pytest.importorskip("nvidia.dali")
    one = bench.run(TRAIN, *option) and bench.read()
    bench.run(TRAIN, *option, "--workers", 3)
    assert same(one, bench.read())


def test_both_loaders_train_to_the_same_network_within_noise(bench):
    """The crops of the loaders differ by about one grey level.

    After eight steps the two networks are far closer to each other than to their start.
    """
    pytest.importorskip("nvidia.dali")
    made, short = {}, TRAIN | {"recipe": TRAIN["recipe"] | {"epochs": 1}}
    for name in ("dali", "pillow"):
        bench.run(short, "--loader", name, "--precision", "fp32")
        made[name] = bench.read()
    start = construct.build("resnet10q", 24, TRAIN["seed"]).state_dict()
    names = [name for name, t in start.items() if t.is_floating_point() and "running" not in name]

    def distance(a: dict, b: dict) -> float:
        return float(torch.cat([(a[n] - b[n]).flatten() for n in names]).norm())

    assert distance(made["dali"], made["pillow"]) < 0.25 * distance(made["dali"], start)


def test_training_with_resize_and_random_crop(bench, trained):
    """Appendix D: other weights than with the random resized crop, and the same bits each time."""
    config = TRAIN | {"augmentation": {"name": "resize + random crop", "jitter": 0.3}}
    bench.run(config)
    first = bench.read()
    assert not same(first, trained.read())
    bench.run(config, "--workers", 2)
    assert same(first, bench.read())


def test_copies_in_several_micro_batches_are_decoded_once(tiny, monkeypatch):
    """A step is four images in three crops each, in three micro-batches of four crops.

    Spread: each micro-batch has all four images, and they are decoded for all three at once.
    Together: each micro-batch has two images and decodes them. The crops are the same.
    """
    decoded, decode = [], pillow_loader.decode
    monkeypatch.setattr(
        pillow_loader, "decode", lambda file, content: decoded.append(file) or decode(file, content)
    )

    def cut(repeats: str) -> tuple[list, dict]:
        """The images of each micro-batch, and the pixels of each crop of an epoch."""
        decoded.clear()
        recipe = TRAIN["recipe"] | {"epochs": 1, "micro_batch": 4, "repeats": repeats}
        batch = sgd.batching(recipe, ALONE, "base_training")
        wanted = train.requests(TRAIN | {"recipe": recipe}, tiny, 0, batch, ALONE)
        images, pixels = [], {}
        for (rocs, _), uint8 in train.dealt(loader.batches(tiny, wanted, "pillow"), batch.micro):
            images.append(rocs.image.tolist())
            for image, box, crop in zip(images[-1], rocs.box.tolist(), uint8, strict=True):
                pixels[image, *box] = crop.numpy().tobytes()
        return images, pixels

    images, spread = cut("spread")
    assert [len(set(batch)) for batch in images] == [4] * 8 * 3
    assert len(decoded) == 8 * 4
    images, together = cut("together")
    assert [len(set(batch)) for batch in images] == [2] * 8 * 3
    assert len(decoded) == 8 * 6
    assert together == spread
    assert len(spread) == 96


def test_cutmix_mixes_pixels_and_labels_in_one_proportion():
    """Every crop is filled with a number of its own, so each pixel tells which crop it is from.

    The weights of the labels are the shares of these pixels.
    """
    n, k, classes = 7, 16, 9
    x = torch.arange(1.0, n + 1).view(n, 1, 1, 1).expand(n, 3, k, k)
    labels = torch.tensor([4, 0, 8, 8, 1, 2, 0])
    for step in range(20):
        mix = sampling.cutmix(0, step, 1.0, k)
        (mixed,), targets = train.cutmix(x, labels, mix, classes)
        torch.testing.assert_close(targets.sum(1), torch.ones(n))
        expected = torch.zeros(n, classes)
        for i in range(n):
            owner = mixed[i, 0].flatten() - 1
            assert torch.equal(mixed[i, 0], mixed[i, 2])
            for image in owner.unique().long().tolist():
                assert image in (i, n - 1 - i)
                expected[i, labels[image]] += (owner == image).float().mean()
        torch.testing.assert_close(targets, expected)


def test_training_from_given_weights_takes_all_but_the_classifier(bench, trained):
    """The rate is too small to move a weight. The given network has other classes."""
    given = trained.read() | {"fc.weight": torch.ones(7, 128), "fc.bias": torch.ones(7)}
    weights.save(bench.folder / "given.safetensors", given)
    still = TRAIN["recipe"] | {"epochs": 1, "lr": 1e-30}
    config = TRAIN | {"init": "runs/other", "recipe": still}
    log = bench.run(config, "--init", bench.folder / "given.safetensors").stderr
    assert "from runs/other" in log
    fresh = construct.build("resnet10q", 24, TRAIN["seed"]).state_dict()
    for name, tensor in bench.read().items():
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(tensor, (fresh if name.startswith("fc.") else given)[name]), name


def test_an_init_that_is_not_given_is_told(bench):
    without_file = (TRAIN | {"init": "runs/other"}, [])
    without_name = (TRAIN, ["--init", "x.safetensors"])
    for config, options in (without_file, without_name):
        result = fixres(*bench.command(config, *options))
        assert result.returncode == 1
        assert "init" in result.stderr
        assert "both or neither" in result.stderr


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"samples_per_epoch": None, "batch_size": 128}, "found null: as many as there are images"),
        ({"samples_per_epoch": 11}, "found 11"),
    ],
)
def test_a_training_of_no_steps_leaves_no_weights(bench, changed, found):
    config = TRAIN | {"recipe": TRAIN["recipe"] | changed}
    result = fixres(*bench.command(config))
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    size = config["recipe"]["batch_size"]
    parts = ("runs/tiny/net", "samples_per_epoch", found, f"batch_size {size}", "lists 96 training")
    for part in (*parts, "manifest.npz", "smaller batch_size"):
        assert part in result.stderr
    assert not (bench.folder / "weights.safetensors").exists()


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"classifier": "fcc"}, "classifier (got 'fcc'; nearest: fc"),
        (
            {"last_batch_norm": ("layer4.bn3",)},
            "last_batch_norm (got 'layer4.bn3'; nearest: layer4.bn2, layer4.bn1",
        ),
        ({"cells": ("layer2", "layer3", "layer5")}, "cells (got 'layer5'; nearest: layer4"),
    ],
)
def test_a_wrong_layer_in_the_zoo_is_told_before_the_training(bench, monkeypatch, wrong, expected):
    monkeypatch.setitem(zoo.ZOO, "resnet10q", zoo.ZOO["resnet10q"]._replace(**wrong))
    monkeypatch.setattr(train.sgd, "fit", lambda *_: pytest.fail("the training has begun"))
    with pytest.raises(JobError) as caught:
        train.main([str(word) for word in bench.command(TRAIN)[1:]])
    message = str(caught.value)
    for part in (expected, "ZOO['resnet10q']", "quarter-scale ResNet-10", "docs/networks.md"):
        assert part in message
    assert message.count("nearest") == 1
