"""A custom network and images, through the whole workflow (docs/recommend.md)."""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import timm
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from fixres import config
from fixres.artifacts import choice, weights
from shared import ENVIRONMENT, ROOT, TEST_RESNET, Workflow, textured

ANSWER = "results/recommend/mine.md"
COLOURS = {"blue": (40, 60, 200), "green": (60, 180, 60), "red": (200, 60, 40)}
NETWORK = TEST_RESNET | {"native": 160}
MINE = {
    "scale": "custom",
    "resolution_divisor": 1,
    "twins": False,
    "dataset": "photos",
    "custom": {
        "name": "mine",
        "network": NETWORK,
        "train": True,
        "k_train": 64,
        "k_test": [64],
        "crop_pct": [0.95, 1.0],
        "batch": 4,
    },
    "base_training": {
        "epochs": 3,
        "samples_per_epoch": None,
        "batch_size": 12,
        "lr_per_256": 2.0,
        "schedule": "cosine",
        "repeated_augmentation": 1,
        "augmentation": {"jitter": 0.0},
    },
    "fine_tuning": {
        "images": None,
        "epochs": 2,
        "batch_size": 12,
        "lr": 0.05,
        "schedule": "cosine",
    },
    "hardware": {"precision": "fp32", "loader": "pillow"},
}
# timm alone, in a process without the suite: the share of images that it is right about.
TIMM = """
import sys, timm, torch
from pathlib import Path
from PIL import Image
folder, images = sys.argv[1:]
model = timm.create_model("local-dir:" + folder, pretrained=True).eval()
data = timm.data.resolve_model_data_config(model, use_test_size=True)
transform = timm.data.create_transform(**data, is_training=False)
names = model.pretrained_cfg["label_names"]
right = 0
files = sorted(Path(images).glob("*/*.png"))
with torch.no_grad():
    for file in files:
        logits = model(transform(Image.open(file).convert("RGB"))[None])
        right += names[logits.argmax()] == file.parent.name
print(right, len(files))
"""


def photographs(folder: Path) -> None:
    """Three classes of noisy images in other colours."""
    for part, images in (("train", 16), ("val", 20)):
        for label, (name, colour) in enumerate(COLOURS.items()):
            (folder / part / name).mkdir(parents=True)
            for i in range(images):
                size = (40 + 3 * (i % 7), 44 + 5 * (i % 5))
                seed = 100 * label + i + 1000 * (part == "val")  # others than for training
                noise = np.asarray(textured(*size, seed=seed), float)
                mixed = 0.7 * noise + 0.3 * np.array(colour)
                image = Image.fromarray(mixed.astype(np.uint8))
                image.save(folder / part / name / f"{i}.png")


def merged(**over) -> dict:
    return config.merge(copy.deepcopy(MINE), over)


def test_the_answer_from_end_to_end(tmp_path):
    """One test, for one run of the workflow: tests of a module may go to several processes."""
    photographs(tmp_path / "photos")
    MINE["datasets"] = {"photos": {"root": str(tmp_path / "photos")}}
    mine = Workflow(tmp_path)
    mine.write(MINE)
    mine.run(ANSWER)
    timm_alone_gives_the_accuracy_of_the_page_to_the_last_image(mine)
    the_page_shows_all_that_was_measured(mine)
    for over, expected in EDITS:
        an_edit_runs_what_it_must(mine, over, expected)
    assert "Nothing to be done" in mine.run("--dry-run").stdout  # without a target: the answer
    validation_images_alone_are_enough_to_measure(mine)
    mine.run("results/plan.md")
    assert "recommend/mine" in (mine.folder / "results/plan.md").read_text()


def chosen(workflow: Workflow, name: str = "mine") -> choice.Choice:
    return choice.read(workflow.folder / f"results/recommend/{name}/choice/choice.json")


def timm_alone_gives_the_accuracy_of_the_page_to_the_last_image(
    mine: Workflow, name: str = "mine"
) -> None:
    exported, answer = chosen(mine, name).exported, mine.folder / "results/recommend" / name
    command = [sys.executable, "-c", TIMM, str(answer / "fixed"), str(mine.folder / "photos/val")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    right, images = map(int, said.split())
    assert images == 60
    assert right == round(exported.top1 * images / 100)
    assert exported.top1 > 50  # it has learned: three classes
    data = json.loads((answer / "fixed/config.json").read_text())
    k = exported.k_test
    assert data["pretrained_cfg"]["test_input_size"] == [3, k, k]
    assert data["pretrained_cfg"]["test_crop_pct"] == exported.crop_pct
    assert f"{exported.top1:.2f}%" in answer.with_suffix(".md").read_text()


def the_page_shows_all_that_was_measured(mine: Workflow) -> None:
    points = pd.read_csv(mine.folder / "results/recommend/mine.csv")
    methods = ["as it is", "statistics", "classifier", "classifier + norm"]
    assert set(points["method"]) == set(methods)
    assert len(points) == 4 * 2
    assert (points[["low", "high"]].sub(points["top1"], axis=0).mul([-1, 1]) >= -1e-9).all().all()
    assert (points[["latency_ms", "images_per_second", "megabytes"]] > 0).all().all()
    page = (mine.folder / "results/recommend/mine.html").read_text()
    assert "<li>photos: 48 training and 60 validation images, listed on" in page
    assert "<svg" in page
    assert not re.findall(r'(?:src|href)="http', page)
    assert sum(chosen(mine).halves) == 60
    assert chosen(mine).recommended == chosen(mine).exported.alone


EDITS = [
    ({"custom": {"network": {"title": "Mine"}}}, {"answer": 1}),
    ({"custom": {"batch": 8}}, {"speed": 1, "choose": 1, "export": 1, "answer": 1}),
    (
        {"custom": {"k_test": [64, 96]}},
        {"evaluate": 4, "finetune": 2, "statistics": 1, "speed": 1}
        | {"choose": 1, "export": 1, "answer": 1},
    ),
    (
        {"fine_tuning": {"lr": 0.04}},
        {"evaluate": 2, "finetune": 2, "choose": 1, "export": 1, "answer": 1},
    ),
    ({"hardware": {"loader": "dali"}}, {}),
]


def an_edit_runs_what_it_must(mine: Workflow, over: dict, expected: dict) -> None:
    mine.write(merged(**over))
    rules = [rule for rule, _ in mine.planned(ANSWER)]
    mine.write(MINE)
    assert {rule: rules.count(rule) for rule in rules} == expected


def validation_images_alone_are_enough_to_measure(mine: Workflow) -> None:
    """The trained network is given with a list of labels: it is measured as it is."""
    start = next((mine.folder / "results/runs/photos").glob("mine-k64*/weights.safetensors"))
    network = NETWORK | {"weights": str(start), "native": 64, "outputs": len(COLOURS)}
    custom = {"name": "alone", "network": network, "train": False, "k_train": None}
    over = {"dataset": "val", "custom": custom | {"crop_pct": [0.95]}}
    root, labels = mine.folder / "photos/val", mine.folder / "labels.csv"
    lines = [f"{name}/{i}.png,{name}\n" for name in COLOURS for i in range(20)]
    labels.write_text("".join(["file,label\n", *reversed(lines)]))
    images = {"root": str(root), "labels": str(labels), "split": 1}
    mine.write(merged(**over, datasets={"val": images}))
    mine.run("results/recommend/alone.md")
    timm_alone_gives_the_accuracy_of_the_page_to_the_last_image(mine, "alone")
    [point] = pd.read_csv(mine.folder / "results/recommend/alone.csv").itertuples()
    assert (point.method, point.k_test) == ("as it is", 64)
    page = (mine.folder / "results/recommend/alone.md").read_text()
    assert "there are no training images" in page
    assert "60 validation images, and no training images" in page
    mine.write(MINE)


def test_a_training_starts_from_the_weights_that_are_given(tmp_path):
    """Its id ends in "-pretrained", as those of published weights do: `…-k64-from-pretrained`.

    With hardly any learning rate, what it leaves is what it started from, but for the classifier,
    which is fresh: the classes are others.
    """
    photographs(tmp_path / "photos")
    start = timm.create_model("test_resnet").state_dict()
    save_file(start, tmp_path / "start.safetensors")
    mine = Workflow(tmp_path)
    mine.write(
        merged(
            datasets={"photos": {"root": str(tmp_path / "photos")}},
            custom={"network": {"weights": str(tmp_path / "start.safetensors")}},
            base_training={"epochs": 1, "lr_per_256": 1e-9},
        )
    )
    run = "results/runs/photos/mine-k64-from-pretrained"
    jobs = mine.planned(f"{run}/weights.safetensors")
    assert {rule for rule, _ in jobs} == {"manifest", "pretrained", "train"}
    mine.run(f"{run}/weights.safetensors")
    trained, _ = weights.load(mine.folder / run / "weights.safetensors")
    kept = [name for name, _ in timm.create_model("test_resnet").named_parameters()]
    kept = [name for name in kept if not name.startswith("fc.")]
    assert kept
    for name in kept:
        torch.testing.assert_close(trained[name], start[name], rtol=0, atol=1e-6)
    assert trained["fc.weight"].shape[0] == len(COLOURS)
    log = (mine.folder / run / "train.log").read_text()
    assert "from runs/photos/mine-pretrained" in log


# --- the command -------------------------------------------------------------------------------


def test_the_command_writes_the_configuration_and_shows_the_plan(tmp_path):
    photographs(tmp_path / "photos")
    for file in ("Snakefile", "config.yaml"):
        (tmp_path / file).write_bytes((ROOT / file).read_bytes())
    photos = str(tmp_path / "photos")
    words = ["-m", "fixres", "recommend", "--network", "timm:test_resnet", "--weights", "none"]
    words += ["--images", photos, "--train", "--plan", "--k-test", "64", "96", "--name", "net"]

    def run(*more: str) -> subprocess.CompletedProcess:
        command = [sys.executable, *words, *more]
        return subprocess.run(
            command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
        )

    done = run()
    assert done.returncode == 0, done.stderr
    assert "classifier: fc; last normalisation: layer4.0.bn2" in done.stdout
    assert "48 training and 60 validation images, 3 classes" in done.stdout
    file = tmp_path / "configs/recommend-net.yaml"
    written = yaml.safe_load(file.read_text())
    assert written["custom"]["k_test"] == [64, 96]
    assert written["custom"]["network"]["last_norm"] == ["layer4.0.bn2"]
    # An epoch still fills a batch when on_bad: exclude has left out half of the 48 images.
    assert written["fine_tuning"]["batch_size"] == written["base_training"]["batch_size"] == 24
    config.load(ROOT / "config.yaml", file)  # it is valid
    written["fine_tuning"]["epochs"] = 3
    file.write_text(file.read_text().replace("epochs: 20", "epochs: 3"))
    again = run()  # the same question: an edit stays
    assert again.returncode == 0
    assert yaml.safe_load(file.read_text()) == written
    other = run("--budget", "30")
    assert other.returncode == 1
    assert "holds another configuration" in other.stderr
    off = run("--k-test", "70", "--name", "other")
    assert off.returncode == 0
    assert "note: k_test 70: no multiple of the network's stride, 32. Just above" in off.stdout
