"""The stages as functions and as commands: resumption, caching, determinism, accuracy, files that are whole or refused."""

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import EVALUATE, FINETUNE, RECIPE, TRAIN, Bench, same
from fixres import jobs
from fixres.data import manifest, sampling
from fixres.jobs.device import ALONE, Device
from fixres.models import weights, zoo
from fixres.models.checkpoints import Checkpoints
from fixres.stages import evaluate, sgd, train
from shared import ENVIRONMENT, fixres

# --- training and interruption -----------------------------------------------------------------------------------------------


def test_a_trainer_killed_again_and_again_ends_with_the_same_bits(bench):
    """kill -9 at varying moments; the last run finishes and leaves no checkpoint."""
    longer, kills = TRAIN | {"recipe": TRAIN["recipe"] | {"epochs": 12}}, 0
    bench.run(longer, out="undisturbed.safetensors")
    for wait in (0.0, 0.1, 0.25):
        command = [
            sys.executable,
            "-m",
            "fixres",
            *map(str, bench.command(longer, "--checkpoint-seconds", 0)),
        ]
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
    assert not (bench.folder / "checkpoints").exists()


@pytest.mark.parametrize("option", [("--loader", "pillow"), ("--loader", "dali")])
def test_worker_threads_change_no_bit(bench, trained, option):
    if option[1] == "dali":
        pytest.importorskip("nvidia.dali")
    one = bench.run(TRAIN, *option) and bench.read()
    bench.run(TRAIN, *option, "--workers", 3)
    assert same(one, bench.read())


def test_both_loaders_train_to_the_same_network_within_noise(bench):
    """Crops differ by a grey level: after eight steps the networks are far closer to each other than to where they started."""
    pytest.importorskip("nvidia.dali")
    made, short = {}, TRAIN | {"recipe": TRAIN["recipe"] | {"epochs": 1}}
    for name in ("dali", "pillow"):
        bench.run(short, "--loader", name, "--precision", "fp32")
        made[name] = bench.read()
    start = zoo.build("resnet10q", 24, TRAIN["seed"]).state_dict()
    names = [name for name, t in start.items() if t.is_floating_point() and "running" not in name]

    def distance(a: dict, b: dict) -> float:
        return float(torch.cat([(a[n] - b[n]).flatten() for n in names]).norm())

    assert distance(made["dali"], made["pillow"]) < 0.25 * distance(made["dali"], start)


def test_a_checkpoint_of_another_configuration_is_never_resumed(bench, trained):
    other = TRAIN | {"seed": 1}
    checkpoints = Checkpoints(bench.folder / "checkpoints", "another key")
    checkpoints.save(7, {"model.x": torch.zeros(2)})
    assert "belongs to another configuration" in bench.run(TRAIN).stderr
    assert same(bench.read(), trained.read())
    bench.run(other)
    assert not same(bench.read(), trained.read())


@pytest.mark.parametrize("damage", ["cut", "byte", "empty"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, damage, capsys):
    checkpoints = Checkpoints(tmp_path, "key")
    for step in (1, 2, 3):
        checkpoints.save(step, {"model.x": torch.full((50,), float(step))})
    newest = sorted(tmp_path.iterdir())[-1]
    assert len(list(tmp_path.iterdir())) == 2
    data = bytearray(newest.read_bytes())
    if damage == "byte":
        data[-20] ^= 1
    newest.write_bytes(data[: {"cut": len(data) // 2, "byte": len(data), "empty": 0}[damage]])
    step, state = checkpoints.latest()
    assert step == 2
    assert state["model.x"][0] == 2
    assert newest.name in capsys.readouterr().err
    for file in tmp_path.iterdir():
        file.write_bytes(b"")
    assert checkpoints.latest() is None


def test_divergence_is_an_error_that_names_step_and_rate(bench):
    broken = TRAIN | {"recipe": TRAIN["recipe"] | {"lr": 1e30, "warmup": 0.0}}
    result = fixres(*bench.command(broken))
    assert result.returncode == 1
    assert "diverged" in result.stderr
    assert "lr 1e+30" in result.stderr
    assert not (bench.folder / "weights.safetensors").exists()


@given(
    schedule=st.sampled_from(["step", "cosine", "triangle"]),
    warmup=st.sampled_from([0.0, 0.1, 0.5]),
    epochs=st.integers(1, 130),
)
@settings(max_examples=60, deadline=None)
def test_learning_rates(schedule, warmup, epochs):
    recipe = {"lr": 0.2, "schedule": schedule, "lr_step": 30, "warmup": warmup, "epochs": epochs}
    rates = [sgd.learning_rate(recipe, step, 7) for step in range(7 * epochs)]
    assert all(0 < rate <= 0.2 + 1e-12 for rate in rates)
    start = round(warmup * (7 * epochs))
    assert rates[:start] == sorted(rates[:start])
    assert rates[start:] == sorted(rates[start:], reverse=True)
    if schedule == "step" and not warmup:
        reference = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
        scheduler = torch.optim.lr_scheduler.StepLR(reference, 30)
        for epoch in range(epochs):
            assert rates[7 * epoch] == pytest.approx(scheduler.get_last_lr()[0])
            reference.step()
            scheduler.step()


def test_the_loop_is_torchs_sgd(tmp_path):
    """fit() against torch.optim.SGD, with momentum, Nesterov and weight decay."""
    torch.manual_seed(0)
    ours = torch.nn.Linear(5, 3)
    theirs = torch.nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    batches = [(torch.randn(4, 5), torch.randint(3, (4,))) for _ in range(12)]
    recipe = RECIPE | {"epochs": 4, "batch_size": 4, "weight_decay": 0.1, "schedule": "cosine"}
    optimiser = torch.optim.SGD(
        theirs.parameters(), lr=1, momentum=0.9, nesterov=True, weight_decay=0.1
    )
    for step, (x, y) in enumerate(batches):
        optimiser.param_groups[0]["lr"] = sgd.learning_rate(recipe, step, 3)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(theirs(x), y).backward()
        optimiser.step()

    def stream(first):
        return (((x,), y) for x, y in batches[first:])

    cpu = Device(torch.device("cpu"), "fp32")
    sgd.fit(
        ours,
        ours,
        stream,
        recipe,
        3,
        Checkpoints(tmp_path, "k"),
        100,
        cpu,
        sgd.batching(recipe, ALONE, "base_training"),
    )
    torch.testing.assert_close(ours.weight, theirs.weight)


def test_cutmix_mixes_pixels_and_labels_in_one_proportion():
    """Each crop a constant of its own: every pixel tells whose it is, and the labels weigh what the pixels count."""
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


def test_soft_targets_are_smoothed_as_class_numbers_are():
    logits, labels = torch.randn(5, 4), torch.tensor([0, 3, 1, 1, 2])
    soft = torch.nn.functional.one_hot(labels, 4).float()
    losses = [
        torch.nn.functional.cross_entropy(logits, t, label_smoothing=0.1) for t in (labels, soft)
    ]
    torch.testing.assert_close(*losses)


def test_training_with_resize_and_random_crop(bench, trained):
    """Appendix D: another run than with the random resized crop, the same bits each time."""
    config = TRAIN | {"augmentation": {"name": "resize + random crop", "jitter": 0.3}}
    bench.run(config)
    first = bench.read()
    assert not same(first, trained.read())
    bench.run(config, "--workers", 2)
    assert same(first, bench.read())


def test_training_from_given_weights_takes_all_but_the_classifier(bench, trained):
    """At a rate too small to move a weight; the given network had other classes."""
    given = trained.read() | {"fc.weight": torch.ones(7, 128), "fc.bias": torch.ones(7)}
    weights.save(bench.folder / "given.safetensors", given)
    still = TRAIN["recipe"] | {"epochs": 1, "lr": 1e-30}
    log = bench.run(
        TRAIN | {"init": "runs/other", "recipe": still},
        "--init",
        bench.folder / "given.safetensors",
    ).stderr
    assert "from runs/other" in log
    fresh = zoo.build("resnet10q", 24, TRAIN["seed"]).state_dict()
    for name, tensor in bench.read().items():
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(tensor, (fresh if name.startswith("fc.") else given)[name]), name


def test_an_init_that_is_not_given_is_told(bench):
    for config, options in (
        (TRAIN | {"init": "runs/other"}, []),
        (TRAIN, ["--init", "x.safetensors"]),
    ):
        result = fixres(*bench.command(config, *options))
        assert result.returncode == 1
        assert "init" in result.stderr
        assert "both or neither" in result.stderr


# --- fine-tuning -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_cached_and_streamed_activations_give_the_same_bits(trained, bench, precision):
    start = ["--weights", trained.folder / "weights.safetensors", "--precision", precision]
    cached = bench.run(FINETUNE, *start)
    assert "computed once" in cached.stderr
    once = bench.read()
    streamed = bench.run(FINETUNE, *start, "--cache-mb", 0)
    assert "streamed" in streamed.stderr
    assert same(once, bench.read())


def test_a_finished_fine_tuning_that_was_lost_is_only_written_again(trained, bench):
    """Its evaluation was in the same submission and failed: Snakemake deletes the results of both."""
    command = (FINETUNE, "--weights", trained.folder / "weights.safetensors", "--keep-checkpoint")
    bench.run(*command)
    once = bench.read()
    (bench.folder / "weights.safetensors").unlink()
    steps = FINETUNE["recipe"]["epochs"] * (96 // FINETUNE["recipe"]["batch_size"])
    assert f"resuming after step {steps} " in bench.run(*command).stderr
    assert same(once, bench.read())
    assert len(list((bench.folder / "checkpoints").iterdir())) == 1


def test_fine_tuning_changes_the_last_layers_only(trained, bench):
    bench.run(FINETUNE, "--weights", trained.folder / "weights.safetensors")
    before, after = trained.read(), bench.read()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"fc.weight", "fc.bias"} | {
        f"layer4.bn2.{n}"
        for n in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    }


@pytest.mark.parametrize("name", ["train DA", "test DA2"])
def test_random_augmentations_are_streamed(trained, bench, name):
    config = FINETUNE | {"augmentation": {"name": name, "jitter": 0.05}}
    log = bench.run(config, "--weights", trained.folder / "weights.safetensors").stderr
    assert "computed once" not in log
    assert not same(bench.read(), trained.read())


def test_a_batch_larger_than_the_set_is_told_before_anything_runs(trained, bench):
    config = FINETUNE | {"recipe": FINETUNE["recipe"] | {"batch_size": 1000}}
    result = fixres(*bench.command(config, "--weights", trained.folder / "weights.safetensors"))
    assert result.returncode == 1
    for part in ("fine_tuning.batch_size", "1000", "96 images"):
        assert part in result.stderr


# --- evaluation --------------------------------------------------------------------------------------------------------------


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
    assert (
        json.loads((bench.folder / "metrics.json").read_text())["k_test"]["48"]
        == second["k_test"]["48"]
    )
    assert second["parameters"] == sum(
        p.numel() for p in zoo.build("resnet10q", 24, 0).parameters()
    )
    assert second["notes"] == []
    released = alone.run(
        EVALUATE | {"k_test": [48], "test_resize": "released"}, *start, out="metrics.json"
    )
    assert "predictions kept" not in released.stderr


def test_predictions_of_other_weights_or_damaged_ones_are_not_kept(trained, bench):
    start = ["--weights", trained.folder / "weights.safetensors"]
    bench.run(EVALUATE, *start, out="metrics.json")
    damaged = bench.folder / "predictions" / "k24.npz"
    data = bytearray(damaged.read_bytes())
    data[data.index(b"top.npy") + 300] ^= (
        255  # in the predictions; a byte of the archive's padding would not matter
    )
    damaged.write_bytes(data)
    result = bench.run(EVALUATE, *start, out="metrics.json")
    assert "predictions kept: k_test 32" in result.stderr
    assert "k24.npz is damaged" in result.stderr
    other = zoo.build("resnet10q", 24, 9)
    weights.save(bench.folder / "other.safetensors", other.state_dict())
    assert (
        "kept"
        not in bench.run(
            EVALUATE, "--weights", bench.folder / "other.safetensors", out="metrics.json"
        ).stderr
    )


def test_predictions_are_the_networks(trained, bench, tiny):
    """Top-5 of a plain torchvision loop over the validation images, fp32."""
    from PIL import Image
    from torchvision.transforms import v2

    start = [
        "--weights",
        trained.folder / "weights.safetensors",
        "--precision",
        "fp32",
        "--loader",
        "pillow",
    ]
    bench.run(EVALUATE | {"k_test": [32]}, *start, out="metrics.json")
    network = zoo.build("resnet10q", 24, 0).eval()
    weights.load_into(network, trained.folder / "weights.safetensors")
    transform = v2.Compose(
        [
            v2.Resize(36),
            v2.CenterCrop(32),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(*zoo.IMAGENET),
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
    """Against the mean of the softmax over ten single crops of a plain torchvision loop; beside k_test from one crop, kept, and shared."""
    from PIL import Image
    from torchvision.transforms import v2

    start = [
        "--weights",
        trained.folder / "weights.safetensors",
        "--precision",
        "fp32",
        "--loader",
        "pillow",
    ]
    bench.run(EVALUATE | {"k_test": [24]}, *start, out="metrics.json")
    wanted = EVALUATE | {"k_test": [24, 32], "ten_crops": [32]}
    assert "predictions kept: k_test 24" in bench.run(wanted, *start, out="metrics.json").stderr
    network = zoo.build("resnet10q", 24, 0).eval()
    weights.load_into(network, trained.folder / "weights.safetensors")
    finish = v2.Compose(
        [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(*zoo.IMAGENET)]
    )
    rows, crops = tiny.rows("val"), []
    for file in tiny.files(rows):
        with Image.open(file) as image:
            ten = v2.functional.ten_crop(v2.functional.resize(image.convert("RGB"), [36]), [32, 32])
        crops.append(torch.stack([finish(crop) for crop in ten]))
    with torch.no_grad():
        alone = [
            network(crop).softmax(1) for crop in torch.stack(crops, dim=1)
        ]  # one after another
    expected = torch.stack(alone).mean(0).topk(5).indices.numpy()
    archive = np.load(bench.folder / "predictions" / "k32_10crops.npz")
    assert (archive["top"] == expected).mean() > 0.98  # near-ties may swap
    assert not np.array_equal(
        archive["top"], np.load(bench.folder / "predictions" / "k32.npz")["top"]
    )
    metrics = json.loads((bench.folder / "metrics.json").read_text())["k_test"]
    assert set(metrics) == {"24", "32"}
    assert set(metrics["32"]) == set(metrics["24"]) | {
        "top1_10crops",
        "top1_10crops_std",
        "top5_10crops",
    }
    hits = archive["top"] == archive["label"][:, None]
    assert metrics["32"]["top1_10crops"] == pytest.approx(100 * hits[:, 0].mean())
    assert metrics["32"]["top5_10crops"] == pytest.approx(100 * hits.any(1).mean())

    assert (
        "kept: k_test 24, 32, 32 (10 crops)" in bench.run(wanted, *start, out="metrics.json").stderr
    )
    (bench.folder / "predictions" / "k32_10crops.npz").unlink()
    bench.run(wanted, *start, "--processes", 2, "--threads", 2, out="metrics.json")
    assert np.array_equal(
        np.load(bench.folder / "predictions" / "k32_10crops.npz")["top"], archive["top"]
    )


def test_accuracy_and_its_folds():
    """Leave-one-fold-out by hand; for equal folds the spread is that of the fold sums over 9."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 50, 1000)
    top = rng.integers(0, 50, (1000, 5))
    top[rng.random(1000) < 0.6, 0] = -1
    top[top[:, 0] == -1, 0] = labels[top[:, 0] == -1]
    m = evaluate.accuracy(top, labels, 10)
    hit = top[:, 0] == labels
    assert m["top1"] == pytest.approx(100 * hit.mean())
    assert m["top5"] == pytest.approx(100 * (top == labels[:, None]).any(axis=1).mean())
    # of the order of the binomial spread of one fold's sum: sqrt(p q n / 10) / (9 n / 10)
    assert m["top1_std"] == pytest.approx(
        100 * np.sqrt(hit.mean() * (1 - hit.mean()) * 100) / 900, rel=0.6
    )
    assert evaluate.accuracy(labels[:, None], labels, 10) == {
        "top1": 100.0,
        "top5": 100.0,
        "top1_std": 0.0,
    }


# --- files -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["missing", "cut", "byte", "shape", "extra"])
def test_weights_that_do_not_fit_are_refused_by_name(trained, bench, damage):
    file = bench.folder / "given.safetensors"
    tensors = trained.read()
    if damage == "shape":
        tensors["fc.weight"] = torch.zeros(3, 128)
    if damage == "extra":
        tensors["fc2.weight"] = tensors.pop("fc.weight")
    weights.save(file, tensors)
    data = bytearray(file.read_bytes())
    if damage == "byte":
        data[-9] ^= 4
    file.write_bytes(data[: len(data) // 3] if damage == "cut" else data)
    if damage == "missing":
        file.unlink()
    result = fixres(*bench.command(EVALUATE, "--weights", file, out="metrics.json"))
    assert result.returncode == 1
    assert str(file) in result.stderr
    assert "Traceback" not in result.stderr
    expected = {
        "missing": "no such weights",
        "cut": "damaged",
        "byte": "damaged",
        "shape": "expected (24, 128)",
        "extra": "missing fc.weight",
    }
    assert expected[damage] in result.stderr


def test_a_failed_write_leaves_what_was_there(tmp_path):
    file = tmp_path / "a.json"
    jobs.write_json(file, {"a": 1})

    def fail():
        with jobs.atomic(file) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert jobs.read_json(file) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_nothing_half_written_is_left(bench, trained, small_disk):
    """A 1.2 MB model does not fit: one message, no output; with room the same command succeeds."""
    config, out = bench.folder / "config.json", small_disk / "run" / "weights.safetensors"
    command = [*map(str, bench.command(TRAIN)), "--out", str(out), "--checkpoint-seconds", "1000"]
    result = fixres(*command)
    assert result.returncode == 1
    assert "No space left on device" in result.stderr
    assert "Traceback" not in result.stderr
    assert config.exists()
    assert [p for p in small_disk.rglob("*") if p.is_file()] == []
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    assert fixres(*command).returncode == 0
    assert same(weights.load(out)[0], trained.read())
