"""From the archives of a dataset to a fine-tuned accuracy: every job in turn, for six sources.

The archives are twins: images that the suite rendered, in the official layout of the dataset.
"""

import json

import numpy as np
import pytest

from fixres.artifacts import manifest
from fixres.config import Pinhole
from fixres.data.rendered import twins
from fixres.stages import evaluate, finetune, train
from fixres.stages import manifest as list_images

SOURCES = ["imagenet", "cars", "cub", "flowers", "pets", "birdsnap"]
IMAGES = Pinhole(
    train_images=96,
    val_images=48,
    silhouettes=["triangle"],
    shorter_side=[40, 60],
    r1_median=0.4,
    r1_largest=0.6,
)
RECIPE = {
    "batch_size": 16,
    "micro_batch": 64,
    "schedule": "triangle",
    "lr_step": 30,
    "warmup": 0.2,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 1e-4,
    "label_smoothing": 0.0,
}
TRAIN = {
    "epochs": 10,
    "lr": 0.1,
    "samples_per_epoch": None,
    "repeated_augmentation": 1,
    "cutmix": 0.0,
}
FINETUNE = {"epochs": 4, "lr": 0.05, "images": None, "batch_norm": "affine+statistics"}
TRAIN_DA = {"name": "train DA", "area": [0.3, 1.0], "aspect": [0.75, 4 / 3], "jitter": 0.0}
NETWORK = {"network": "resnet10q", "seed": 0}


def run(stage, folder, name: str, content: dict, *options: object) -> None:
    """One job in this process, with its configuration from `content`."""
    config = folder / name / "config.json"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps({"version": 1, "run": name, **content}))
    stage.main([str(part) for part in ["--config", config, "--threads", 1, *options]])


@pytest.mark.parametrize("source", SOURCES)
def test_from_archives_to_a_fine_tuned_accuracy(tmp_path, source):
    """The four classes are hues: a network that saw the right labels tells most of them."""
    given, data = tmp_path / "Données officielles", tmp_path / "data" / "manifest.npz"
    twins.write(source, given, IMAGES.model_dump())
    before = {p: p.stat().st_mtime_ns for p in given.rglob("*")}
    listing = {"stage": "manifest", "source": source, "on_bad": "stop", "checksums": "listed"}
    run(list_images, tmp_path, "manifest", listing, "--root", given, "--out", data)
    assert {p: p.stat().st_mtime_ns for p in given.rglob("*")} == before

    images = ["--manifest", data]
    base, adapted = (tmp_path / name / "weights.safetensors" for name in ("base", "adapted"))
    training = {
        "stage": "train",
        "k_train": 24,
        "recipe": RECIPE | TRAIN,
        "augmentation": TRAIN_DA,
        "init": None,
    }
    run(train, tmp_path, "base", NETWORK | training, *images, "--out", base)
    tuning = {
        "stage": "finetune",
        "k_test": 32,
        "recipe": RECIPE | FINETUNE,
        "augmentation": {"name": "test DA"},
    }
    layers = {"layers": ["batch-norm", "classifier"]}
    start = ["--weights", base]
    run(finetune, tmp_path, "adapted", NETWORK | tuning | layers, *images, *start, "--out", adapted)
    measuring = {
        "stage": "evaluate",
        "network": "resnet10q",
        "k_test": [32],
        "folds": 4,
        "test_resize": "paper",
    }
    metrics = tmp_path / "evaluation" / "metrics.json"
    start = ["--weights", adapted]
    run(evaluate, tmp_path, "evaluation", measuring, *images, *start, "--out", metrics)

    read, measured = manifest.load(data), json.loads(metrics.read_text())
    assert measured["images"] == len(read.rows("val"))
    # The twin of Birdsnap lacks a class, as the copies of Birdsnap do.
    assert len(np.unique(read.label)) == (3 if source == "birdsnap" else 4)
    assert any("rendered by this suite" in note for note in measured["notes"])
    assert measured["k_test"]["32"]["top1"] > 70
