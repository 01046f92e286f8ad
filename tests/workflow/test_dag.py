"""What an edit of config.yaml reruns: exactly these jobs. Asserted on dry runs over one finished, really executed workflow."""

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest
import yaml

from fixres import config as settings
from fixres.models import weights
from shared import PAGES, ROOT, Workflow, textured

SMALL = {
    "scale": "test",
    "dataset": "set",
    "datasets": {
        "set": {"rendered": {"train_images": 96, "val_images": 48, "shorter_side": [40, 60]}}
    },
    "table5": {"k_train": [16, 32], "k_train_adapted": [16], "k_test": [16, 32]},
    "base_training": {
        "epochs": 2,
        "samples_per_epoch": 96,
        "batch_size": 24,
        "lr_per_256": 1.0,
        "lr_step": 7,
    },
    "fine_tuning": {"epochs": 2, "batch_size": 24, "lr": 0.05, "weight_decay": 0.001},
    "hardware": {"checkpoint_seconds": 0.0},
}
BASES = ["runs/set/resnet10q-k16", "runs/set/resnet10q-k32"]
ADAPTED = [f"{BASES[0]}/ft-k{k}-cls+bn-testda" for k in (16, 32)]


def resolves(*jobs: str) -> set[tuple[str, str]]:
    return {("resolve", f"{job}/config.json") for job in jobs}


def finetunes(runs: list[str]) -> set[tuple[str, str]]:
    return {("finetune", f"{run}/weights.safetensors") for run in runs}


def evaluates(runs: list[str]) -> set[tuple[str, str]]:
    return {("evaluate", f"{run}/evaluation/metrics.json") for run in runs}


PAGE_JOBS = {("table", "table5.md"), ("figure", "figure5.svg")}


def merged(**changes: dict) -> dict:
    return settings.merge(copy.deepcopy(SMALL), changes)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workflow:
    """The small workflow, executed."""
    workflow = Workflow(tmp_path_factory.mktemp("finished"))
    workflow.write(SMALL)
    workflow.run(*PAGES)
    return workflow


@pytest.fixture
def done(finished, tmp_path) -> Workflow:
    """A copy of the executed workflow, to edit."""
    shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True)
    return Workflow(tmp_path / "copy")


def test_nothing_changed(done):
    assert done.planned() == set()


def test_a_test_resolution_added(done):
    done.write(merged(table5={"k_test": [16, 32, 48]}))
    new = f"{BASES[0]}/ft-k48-cls+bn-testda"
    changed = resolves(
        new,
        f"{new}/evaluation",
        *(f"{base}/evaluation" for base in BASES),
        "pages/table5",
        "pages/figure5",
    )
    assert done.planned() == changed | finetunes([new]) | evaluates([new, *BASES]) | PAGE_JOBS
    done.run(*PAGES)
    for base in BASES:  # and of those evaluations only the added resolution is computed
        log = (done.folder / f"results/{base}/evaluation/log.txt").read_text()
        assert "predictions kept: k_test 16, 32" in log
        assert "k_test 48 on 48 images" in log


def test_a_train_resolution_added(done):
    done.write(merged(table5={"k_train": [16, 32, 24]}))
    new = "runs/set/resnet10q-k24"
    changed = resolves(new, f"{new}/evaluation", "pages/table5", "pages/figure5")
    assert (
        done.planned()
        == changed | {("train", f"{new}/weights.safetensors")} | evaluates([new]) | PAGE_JOBS
    )


def test_the_fine_tuning_rate_changed(done):
    done.write(merged(fine_tuning={"lr": 0.06}))
    assert (
        done.planned() == resolves(*ADAPTED) | finetunes(ADAPTED) | evaluates(ADAPTED) | PAGE_JOBS
    )


def test_two_values_swapped_are_seen(done):
    done.write(merged(fine_tuning={"lr": 0.001, "weight_decay": 0.05}))
    assert (
        done.planned() == resolves(*ADAPTED) | finetunes(ADAPTED) | evaluates(ADAPTED) | PAGE_JOBS
    )
    done.write(merged(base_training={"epochs": 7, "lr_step": 2}))
    assert resolves(*BASES) <= done.planned()


def test_the_seed_changed(done):
    """New trainings; the same images, which have a seed of their own."""
    done.write(merged(seed=1))
    trains = {("train", f"{base}/weights.safetensors") for base in BASES}
    assert (
        done.planned()
        == resolves(*BASES, *ADAPTED)
        | trains
        | finetunes(ADAPTED)
        | evaluates([*BASES, *ADAPTED])
        | PAGE_JOBS
    )


def test_base_epochs_changed(done):
    done.write(merged(base_training={"epochs": 3}))
    trains = {("train", f"{base}/weights.safetensors") for base in BASES}
    assert (
        done.planned()
        == resolves(*BASES)
        | trains
        | finetunes(ADAPTED)
        | evaluates([*BASES, *ADAPTED])
        | PAGE_JOBS
    )


@pytest.mark.parametrize("days", [-400, 1])
def test_a_clock_that_was_wrong_hides_no_edit(done, days):
    """Results from the future or the past, an edit, and an interruption right after its first jobs: no date tells what is to be done."""
    wrong = time.time() + days * 86400
    for path in (done.folder / "results").rglob("*"):
        os.utime(path, (wrong, wrong))
    done.write(merged(base_training={"epochs": 3}))
    done.run(*(f"results/{base}/config.json" for base in BASES))
    trains = {("train", f"{base}/weights.safetensors") for base in BASES}
    assert done.planned() == trains | finetunes(ADAPTED) | evaluates([*BASES, *ADAPTED]) | PAGE_JOBS
    result = done.run(*(f"results/{base}/weights.safetensors" for base in BASES), check=days < 0)
    if days > 0:  # Snakemake refuses what is older than its input
        assert "has older modification time" in result.stdout
        return
    assert done.planned() == finetunes(ADAPTED) | evaluates([*BASES, *ADAPTED]) | PAGE_JOBS


def test_another_data_set_reruns_all_that_saw_it(done):
    done.write(merged(datasets={"set": {"rendered": {"r1_median": 0.3}}}))
    data = {("render", "data/set/rendered"), ("manifest", "data/set/manifest.npz")}
    trains = {("train", f"{base}/weights.safetensors") for base in BASES}
    changed = (
        resolves("data/set/render")
        | data
        | trains
        | finetunes(ADAPTED)
        | evaluates([*BASES, *ADAPTED])
    )
    assert done.planned() == changed | PAGE_JOBS


def test_hardware_comments_and_key_order_rerun_nothing(done):
    hardware = {
        "workers": 3,
        "train_threads": 2,
        "finetune_threads": 2,
        "loader": "pillow",
        "cache_gb": 0.001,
        "precision": "fp32",
    }
    done.write(merged(hardware=hardware))
    assert done.planned() == set()
    backwards = {
        key: dict(reversed(value.items())) if isinstance(value, dict) else value
        for key, value in reversed(SMALL.items())
    }
    done.write({}, text="# a comment\n" + yaml.safe_dump(backwards, sort_keys=False))
    assert done.planned() == set()


def test_a_caption_or_number_format_renders_its_page_alone(done):
    done.write(merged(pages={"captions": {"table5": "Another caption"}}))
    assert done.planned() == resolves("pages/table5") | {("table", "table5.md")}
    done.write(merged(pages={"decimals": 2}))
    assert done.planned() == resolves("pages/table5") | {("table", "table5.md")}
    done.write(merged(pages={"captions": {"figure5": "Another caption"}}))
    assert done.planned() == resolves("pages/figure5") | {("figure", "figure5.svg")}


def test_another_dataset_collides_nowhere_and_coming_back_renders_the_pages_alone(done):
    before = {p: p.stat().st_mtime_ns for p in (done.folder / "results").rglob("*") if p.is_file()}
    other = merged(
        dataset="other",
        base_training={"epochs": 1},
        table5={"k_test": [16]},
        fine_tuning={"epochs": 1},
    )
    other["datasets"] = {"other": SMALL["datasets"]["set"]}
    done.write(other)
    outputs = {path for _, path in done.planned()}
    assert {path.split("/")[0] for path in outputs if "set" in path} == set()
    done.run(*PAGES)
    page = (done.folder / "results/table5.md").read_text()
    pages = ("table5", "figure5", "pages/")
    touched = {p for p, time_ in before.items() if not p.exists() or p.stat().st_mtime_ns != time_}
    assert {
        p for p in touched if not str(p.relative_to(done.folder / "results")).startswith(pages)
    } == set()
    done.write(SMALL)
    assert done.planned() == resolves("pages/table5", "pages/figure5") | PAGE_JOBS
    done.run(*PAGES)
    assert (done.folder / "results/table5.md").read_text() != page
    assert done.planned() == set()


def test_rerunning_a_page_gives_the_same_bytes(done):
    names = ["table5.md", "table5.csv", "table5.html", "figure5.svg", "figure5.png"]
    before = {name: (done.folder / "results" / name).read_bytes() for name in names}
    done.run(*PAGES, "--forcerun", "table", "figure")
    assert before == {name: (done.folder / "results" / name).read_bytes() for name in names}


# --- interruption ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_an_interrupted_workflow_ends_with_the_same_bytes(finished, tmp_path, how):
    """Snakemake and its jobs stopped in the middle of training; the same command again (after --unlock where it was killed)."""
    workflow = Workflow(tmp_path)
    workflow.write(SMALL)
    process = subprocess.Popen(
        workflow.command(*PAGES),
        cwd=tmp_path,
        env=workflow.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # a shell's background jobs ignore it, and so would Snakemake
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("results/runs/set/*/checkpoints/step-*")):
        assert process.poll() is None, "finished before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, how)
    assert process.wait(60) != 0
    if how == signal.SIGKILL:
        workflow.run("--unlock")
    workflow.run(*PAGES)
    for path in ["table5.csv", *(f"{run}/weights.safetensors" for run in [*BASES, *ADAPTED])]:
        assert (tmp_path / "results" / path).read_bytes() == (
            finished.folder / "results" / path
        ).read_bytes(), path


# --- the paper's scale -------------------------------------------------------------------------------------------------------


@pytest.fixture
def imagenet(tmp_path) -> Workflow:
    """A folder in ImageFolder layout, and configs/imagenet.yaml pointed at it."""
    for split in ("train", "val"):
        for name in ("n01440764", "n01443537"):
            path = tmp_path / "ILSVRC 2012" / split / name
            path.mkdir(parents=True)
            textured(40, 50).save(path / f"{name}_1.JPEG", "JPEG")
    workflow = Workflow(tmp_path)
    shutil.copy(ROOT / "config.yaml", tmp_path)
    workflow.env |= {"IMAGENET": str(tmp_path / "ILSVRC 2012")}
    return workflow


def test_the_papers_scale_plans_completely_and_carries_its_protocol(imagenet):
    text = imagenet.run(
        "results/table5.md", "-n", "--configfile", ROOT / "configs/imagenet.yaml"
    ).stdout
    counts = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE)}
    assert counts == {
        "manifest": 1,
        "train": 5,
        "finetune": 28,
        "evaluate": 33,
        "resolve": 68,
        "table": 1,
        "total": 136,
    }
    runs = ["resnet50-k128", "resnet50-k224/ft-k384-cls+bn-testda", "resnet50-k224/evaluation"]
    files = [f"results/runs/imagenet/{run}/config.json" for run in runs]
    imagenet.run(*files, "--configfile", ROOT / "configs/imagenet.yaml")
    train, finetune, evaluate = (json.loads((imagenet.folder / file).read_text()) for file in files)
    assert train["recipe"] | {"seed": None} == {
        "batch_size": 512,
        "micro_batch": 64,
        "cutmix": 0.0,
        "epochs": 120,
        "label_smoothing": 0.0,
        "lr": 0.2,  # 0.1 · 512/256
        "lr_step": 30,
        "momentum": 0.9,
        "nesterov": False,
        "repeated_augmentation": 3,
        "samples_per_epoch": 5005 * 512,
        "schedule": "step",
        "seed": None,
        "warmup": 0.0,
        "weight_decay": 1e-4,
    }
    assert train["augmentation"] == {
        "area": [0.08, 1.0],
        "aspect": [0.75, 4 / 3],
        "jitter": 0.3,
        "name": "train DA",
    }
    assert (train["network"], train["k_train"]) == ("resnet50", 128)
    recipe = finetune["recipe"]
    assert (recipe["epochs"], recipe["lr"], recipe["batch_size"], recipe["lr_step"]) == (
        60,
        0.008,
        512,
        30,
    )
    assert recipe["batch_norm"] == "affine+statistics"
    assert (finetune["k_test"], finetune["layers"], finetune["augmentation"]) == (
        384,
        ["batch-norm", "classifier"],
        {"name": "test DA"},
    )
    assert evaluate["k_test"] == [
        64,
        128,
        224,
        256,
        288,
        320,
        352,
        384,
        448,
        480,
    ]  # of Table 5, §3.3 and Table 4: one evaluation


COUNTS = {
    "table1": {"manifest": 1, "pretrained": 2, "finetune": 15, "evaluate": 16},
    "table2": {"manifest": 1, "pretrained": 9, "train": 2, "finetune": 5, "evaluate": 15},
    "table3": {"manifest": 5, "pretrained": 2, "train": 5, "finetune": 5, "evaluate": 10},
}


@pytest.mark.parametrize("page", COUNTS)
def test_the_papers_other_tables_plan_completely(imagenet, page):
    """With the folders of the data there, every job of Tables 1 to 3 is planned; what nobody distributes is the only missing cell.

    Table 3 starts from published weights, so it needs no image of ImageNet.
    """
    for name in ("CARS", "CUB", "FLOWERS", "PETS", "BIRDSNAP"):
        imagenet.env[name] = str(imagenet.folder)
    text = imagenet.run(
        f"results/{page}.md", "-n", "--configfile", ROOT / "configs/imagenet.yaml"
    ).stdout
    counts = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE)}
    jobs = sum(COUNTS[page].values())
    assert counts == COUNTS[page] | {"resolve": jobs + 1, "table": 1, "total": 2 * jobs + 2}
    imagenet.run(
        f"results/pages/{page}/config.json", "--configfile", ROOT / "configs/imagenet.yaml"
    )
    content = json.loads((imagenet.folder / f"results/pages/{page}/config.json").read_text())
    reasons = {
        c["row"]: c["note"]
        for b in content["blocks"]
        for line in b["cells"]
        for c in line
        if c["source"] == "missing"
    }
    assert set(reasons) == ({"Our ResNet-50 Billion-scale@160"} if page == "table2" else set())
    assert all(
        "networks.resnet50_billion_160.weights.file" in reason for reason in reasons.values()
    )


def test_missing_cells_are_an_error_unless_asked_for(imagenet):
    """Table 3 without its datasets: which keys to give; with pages.allow_missing, a page that says so."""
    over = imagenet.folder / "strict.yaml"
    over.write_text("pages: {allow_missing: false}")
    files = ["--configfile", ROOT / "configs/imagenet.yaml"]
    result = imagenet.run("results/table3.md", "-n", *files, over, check=False)
    assert result.returncode != 0
    for part in (
        "datasets.cars.root is no folder: $CARS; is the variable set?",
        "datasets.pets.root",
        "pages.allow_missing",
    ):
        assert part in result.stdout
    assert "datasets.cars.root" not in imagenet.run("results/table5.md", "-n", *files, over).stdout
    imagenet.run("results/table3.md", *files)
    page = (imagenet.folder / "results/table3.md").read_text()
    assert "missing [1] (94.0)" in page
    assert "datasets.cars.root" in page


def test_two_protocols_stand_beside_each_other(imagenet):
    """imagenet-fast over imagenet: the same images, other runs."""
    fast = [ROOT / "configs/imagenet.yaml", ROOT / "configs/imagenet-fast.yaml"]
    text = imagenet.run("results/table5.md", "-n", "--configfile", *fast).stdout
    assert "results/data/imagenet/manifest.npz" in text
    assert "results/runs/imagenet/resnet50-k224-fast/weights.safetensors" in text
    assert "results/runs/imagenet/resnet50-k224/" not in text


def test_a_missing_dataset_is_told_before_anything_runs(imagenet):
    imagenet.env |= {"IMAGENET": "/nowhere"}
    result = imagenet.run(
        "results/table5.md", "-n", "--configfile", ROOT / "configs/imagenet.yaml", check=False
    )
    assert result.returncode != 0
    assert "datasets.imagenet.root is no folder: /nowhere" in result.stdout


# --- errors ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("base_training: {epoch: 3}", "did you mean 'epochs'?"),
        ("fine_tuning: {lr: 1e-3}", "without quotes"),
        ("table5: {k_test: [30]}", "take 24 or 32"),
        ("seed: 1\nseed: 2", "stands already in line 1"),
    ],
)
def test_a_bad_config_stops_snakemake_with_one_message(tmp_path, content, expected):
    workflow = Workflow(tmp_path)
    workflow.write({}, text=content)
    result = workflow.run("-n", check=False)
    assert result.returncode != 0
    assert expected in result.stdout
    assert "Traceback" not in result.stdout


def test_a_failed_job_keeps_what_is_finished(done):
    """A fine-tuning that cannot start: the base trainings stay, the error names the key, and mending it runs the rest alone."""
    done.write(merged(fine_tuning={"batch_size": 4000}))
    result = done.run(*PAGES, "--keep-going", check=False)
    assert result.returncode != 0
    assert "fine_tuning.batch_size" in result.stdout
    assert (done.folder / f"results/{BASES[0]}/weights.safetensors").exists()
    done.write(merged(fine_tuning={"batch_size": 12}))
    assert {rule for rule, _ in done.planned()} == {
        "resolve",
        "finetune",
        "evaluate",
        "table",
        "figure",
    }


def test_failed_cells_are_shown_only_when_asked_for(done):
    """pages.allow_failed: the page of what is there, with run and log of what failed; without it, the run is tried again."""
    done.write(merged(fine_tuning={"batch_size": 4000}))
    assert done.run(*PAGES, "--keep-going", check=False).returncode != 0
    done.write(merged(fine_tuning={"batch_size": 4000}, pages={"allow_failed": True}))
    assert done.planned("results/table5.md") == resolves("pages/table5") | {("table", "table5.md")}
    done.run("results/table5.md")
    page = (done.folder / "results/table5.md").read_text()
    assert page.count("missing [") == 2  # k_train 16, adapted at 16 and 32
    for k in (16, 32):
        run = f"runs/set/resnet10q-k16/ft-k{k}-cls+bn-testda"
        assert f"{run} failed; see results/{run}/finetune.log" in page
    done.write(merged(fine_tuning={"batch_size": 12}))
    assert ("table", "table5.md") in done.planned("results/table5.md")
    assert finetunes(ADAPTED) <= done.planned("results/table5.md")


def test_every_job_leaves_a_log_and_a_benchmark(finished):
    for run, name in [(BASES[0], "train"), (ADAPTED[0], "finetune")]:
        folder = finished.folder / "results" / run
        assert "images/s" in (folder / f"{name}.log").read_text()
        assert (folder / f"{name}.benchmark.tsv").read_text().startswith("s\t")
    assert (
        weights.load(finished.folder / "results" / BASES[0] / "weights.safetensors")[1]["run"]
        == BASES[0]
    )
