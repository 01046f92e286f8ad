"""The paper's scale, planned completely and not run: its jobs, its protocol, what is missing."""

import json
import re
import shutil

import pytest

from fixres import config, paper
from shared import ROOT, Workflow, configs, textured


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
    text = imagenet.dry_run("results/table5.md", "--configfile", ROOT / "configs/imagenet.yaml")
    counts = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE)}
    assert counts == {
        "manifest": 1,
        "train": 5,
        "finetune": 28,
        "evaluate": 33,
        "table": 1,
        "total": 68,
    }
    runs = ["resnet50-k128", "resnet50-k224/ft-k384-cls+bn-testda", "resnet50-k224/evaluation"]
    train, finetune, evaluate = (
        json.loads(imagenet.resolved(f"runs/imagenet/{run}", ROOT / "configs/imagenet.yaml"))
        for run in runs
    )
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
        "repeats": "spread",
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
    "modern": {"manifest": 1, "pretrained": 22, "finetune": 42, "evaluate": 64},
    "table1": {"manifest": 1, "pretrained": 2, "finetune": 15, "evaluate": 16},
    "table2": {"manifest": 1, "pretrained": 9, "train": 2, "finetune": 5, "evaluate": 15},
    "table3": {
        "manifest": 5,
        "pretrained": 2,
        "train": 5,
        "finetune": 5,
        "evaluate": 10,
        "sizes": 5,
    },
}


@pytest.mark.parametrize("page", COUNTS)
def test_the_papers_other_tables_plan_completely(imagenet, page):
    """With the folders of the data there, every job of Tables 1 to 3 is planned.

    The one cell whose weights nobody distributes is the only missing one.
    Table 3 starts from published weights, so it needs no image of ImageNet.
    """
    for name in ("CARS", "CUB", "FLOWERS", "PETS", "BIRDSNAP"):
        imagenet.env[name] = str(imagenet.folder)
    text = imagenet.dry_run(f"results/{page}.md", "--configfile", ROOT / "configs/imagenet.yaml")
    counts = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE)}
    jobs = sum(COUNTS[page].values())
    assert counts == COUNTS[page] | {"table": 1, "total": jobs + 1}
    content = json.loads(imagenet.resolved(f"pages/{page}", ROOT / "configs/imagenet.yaml"))
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
    """Table 3 without its datasets names the keys to give.

    With pages.allow_missing there is a page, which says what is missing.
    """
    over = imagenet.folder / "strict.yaml"
    over.write_text("pages: {allow_missing: false}")
    files = ["--configfile", ROOT / "configs/imagenet.yaml"]
    result = imagenet.run("results/table3.md", "-n", *files, over, check=False)
    assert result.returncode != 0
    for part in (
        "datasets.cars.root: not a folder (got $CARS; check that the variable is set)",
        "datasets.pets.root",
        "pages.allow_missing",
    ):
        assert part in result.stdout
    assert "datasets.cars.root" not in imagenet.dry_run("results/table5.md", *files, over)
    imagenet.run("results/table3.md", *files)
    page = (imagenet.folder / "results/table3.md").read_text()
    assert "missing [1] (94.0)" in page
    assert "datasets.cars.root" in page


def test_two_protocols_stand_beside_each_other(imagenet):
    """imagenet-fast over imagenet: the same images, other runs."""
    fast = [ROOT / "configs/imagenet.yaml", ROOT / "configs/imagenet-fast.yaml"]
    text = imagenet.dry_run("results/table5.md", "--configfile", *fast)
    assert "results/data/imagenet/manifest.npz" in text
    assert "results/runs/imagenet/resnet50-k224-fast/weights.safetensors" in text
    assert "results/runs/imagenet/resnet50-k224/" not in text


@pytest.mark.parametrize("form", ["{flag} {file}", "{flag}={file}"])
@pytest.mark.parametrize("flag", ["--configfile", "--configfiles"])
def test_two_flags_for_files_are_an_error(imagenet, flag, form):
    """Snakemake keeps the last alone: embedded networks would be planned as imagenet-fast."""
    files = [str(ROOT / "configs" / name) for name in ("imagenet.yaml", "imagenet-fast.yaml")]
    words = " ".join(form.format(flag=flag, file=file) for file in files).split(" ")
    result = imagenet.run("results/table5.md", "-n", *words, check=False)
    assert result.returncode != 0
    assert f"with all values: --configfile {' '.join(files)}" in result.stdout
    assert "Traceback" not in result.stdout


def test_a_missing_dataset_is_told_before_anything_runs(imagenet):
    imagenet.env |= {"IMAGENET": "/nowhere"}
    result = imagenet.run(
        "results/table5.md", "-n", "--configfile", ROOT / "configs/imagenet.yaml", check=False
    )
    assert result.returncode != 0
    assert "datasets.imagenet.root: not a folder (got /nowhere" in result.stdout


RELEASE = {  # run -> epochs, rate, images of a batch, and of them on one device
    "resnet50-k224-release/ft-k384-cls+bnstats-testda": (56, 0.008, 512, 64),
    "resnet50-k224-release/ft-k384-cls+bnstats-testda2": (31, 0.008, 512, 64),
    "resnet50_cutmix-pretrained/ft-k320-cls+bnstats-testda2": (11, 0.008, 512, 64),
    "resnext101_32x48d_wsl-pretrained/ft-k320-cls+bnstats-testda": (1, 0.004, 256, 8),
    "resnext101_32x48d_wsl-pretrained/ft-k320-cls+bnstats-testda2": (11, 0.0004, 256, 8),
    # What the release does not say, or says as §5 does.
    "resnet50_cutmix-pretrained/ft-k320-cls+bnstats-testda": (60, 0.008, 512, 64),
    "resnet50_billion_224-pretrained/ft-k320-cls+bnstats-testda2": (60, 0.008, 512, 64),
    "pnasnet5large-pretrained/ft-k480-cls+bnstats+cells-testda": (1, 0.0008, 512, 64),
}
PAPER = {  # §5
    "resnet50-k224/ft-k384-cls+bn-testda": (60, 0.008, 512, 64),
    "resnet50-k224/ft-k384-cls+bn-testda2": (60, 0.008, 512, 64),
    "resnext101_32x48d_wsl-pretrained/ft-k320-cls+bn-testda2": (60, 0.0008, 256, 32),
}


def schedules(*over, env, monkeypatch):
    """run -> (epochs, rate, batch, micro-batch) of every fine-tuning; and all jobs."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    plan = paper.plan_of(config.load(ROOT / "config.yaml", ROOT / "configs/imagenet.yaml", *over))
    keys = ("epochs", "lr", "batch_size", "micro_batch")
    return {
        job.removeprefix("runs/imagenet/"): tuple(content["recipe"][key] for key in keys)
        for job, content in configs(plan).items()
        if content["stage"] == "finetune"
    }, configs(plan)


def test_the_schedules_of_the_release(imagenet, monkeypatch):
    """Laid over imagenet.yaml, with CutMix's starting weights given by hand."""
    given = imagenet.folder / "cutmix.yaml"
    (imagenet.folder / "model_best.pth.tar").touch()
    file = imagenet.folder / "model_best.pth.tar"
    given.write_text(f'networks: {{resnet50_cutmix: {{weights: {{file: "{file}"}}}}}}')
    env = {"IMAGENET": imagenet.env["IMAGENET"]}
    over = ROOT / "configs/imagenet-release.yaml"
    found, jobs = schedules(over, given, env=env, monkeypatch=monkeypatch)
    assert {run: found[f"{run}_released-release"] for run in RELEASE} == RELEASE
    assert all(run.endswith("-release") for run in found)
    assert jobs["runs/imagenet/resnet50-k224-release"]["recipe"]["lr"] == pytest.approx(0.16)
    assert jobs["runs/imagenet/resnet50_cutmix-pretrained"]["source"]["file"] == str(file)


def test_what_section_5_says_stays_in_the_papers_configuration(imagenet, monkeypatch):
    env = {"IMAGENET": imagenet.env["IMAGENET"]}
    found, _ = schedules(env=env, monkeypatch=monkeypatch)
    assert {run: found[run] for run in PAPER} == PAPER
    files = [ROOT / "configs/imagenet.yaml", ROOT / "configs/imagenet-release.yaml"]
    text = imagenet.dry_run("results/table8.md", "--configfile", *files)
    assert "resnet50-k224-release/ft-k384-cls+bnstats-testda2_released-release" in text
