"""Stages run by hand in a folder with a manifest, and the recipes that they are run with."""

import json
import subprocess

import torch

from fixres.data import manifest
from fixres.models import weights
from shared import fixres

RECIPE = {
    "epochs": 3,
    "batch_size": 12,
    "micro_batch": 64,
    "lr": 0.05,
    "schedule": "triangle",
    "lr_step": 30,
    "warmup": 0.2,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 1e-4,
    "label_smoothing": 0.0,
}
TRAIN = {
    "stage": "train",
    "version": 1,
    "run": "runs/tiny/net",
    "seed": 0,
    "network": "resnet10q",
    "k_train": 32,
    "init": None,
    "recipe": RECIPE | {"cutmix": 0.0, "samples_per_epoch": 96, "repeated_augmentation": 3},
    "augmentation": {
        "name": "train DA",
        "area": [0.08, 1.0],
        "aspect": [0.75, 4 / 3],
        "jitter": 0.3,
    },
}
FINETUNE = {
    "stage": "finetune",
    "version": 1,
    "run": "runs/tiny/net/ft",
    "seed": 0,
    "network": "resnet10q",
    "k_test": 48,
    "layers": ["batch-norm", "classifier"],
    "recipe": RECIPE | {"batch_norm": "affine+statistics", "images": None},
    "augmentation": {"name": "test DA"},
}
EVALUATE = {
    "stage": "evaluate",
    "version": 1,
    "run": "runs/tiny/net",
    "seed": 0,
    "network": "resnet10q",
    "k_test": [24, 32],
    "test_resize": "paper",
    "folds": 10,
}


class Bench:
    """A folder with a manifest, in which stages are run by hand."""

    def __init__(self, folder, data: manifest.Manifest):
        self.folder = folder
        data.save(folder / "manifest.npz")

    def command(self, config: dict, *options: object, out: str = "weights.safetensors") -> list:
        (self.folder / "config.json").write_text(json.dumps(config))
        common = [
            "--config",
            self.folder / "config.json",
            "--manifest",
            self.folder / "manifest.npz",
            "--threads",
            1,
        ]
        return [config["stage"], *common, "--out", self.folder / out, *options]

    def run(
        self, config: dict, *options: object, out: str = "weights.safetensors"
    ) -> subprocess.CompletedProcess:
        result = fixres(*self.command(config, *options, out=out))
        assert result.returncode == 0, result.stderr
        return result

    def read(self, out: str = "weights.safetensors") -> dict[str, torch.Tensor]:
        return weights.load(self.folder / out)[0]


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
