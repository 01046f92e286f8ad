"""Run stages by hand in a folder with a manifest, with the recipes that the tests use."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from fixres.artifacts import manifest, weights
from shared import ENVIRONMENT, ONE_THREAD, fixres, in_fork

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
# A thread for each process: on a CPU, the number of threads shapes the last bits.
TWO_PROCESSES = ("--processes", 2, "--threads", 2)


class Bench:
    """A folder with a manifest, in which stages are run by hand."""

    def __init__(self, folder, data: manifest.Manifest):
        self.folder = folder
        data.save(folder / "manifest.npz")

    def command(self, config: dict, *options: object, out: str = "weights.safetensors") -> list:
        """Write config.json; the words of its job, behind `python -m fixres`."""
        file = self.folder / "config.json"
        file.write_text(json.dumps(config))
        inputs = ["--config", file, "--manifest", self.folder / "manifest.npz"]
        return [config["stage"], *inputs, "--threads", 1, "--out", self.folder / out, *options]

    def run(
        self, config: dict, *options: object, out: str = "weights.safetensors"
    ) -> subprocess.CompletedProcess:
        """Run a job; it must succeed."""
        words = self.command(config, *options, out=out)
        if "--processes" in options or "--threads" in options:  # its libraries are loaded for these
            result = fixres(*words)
        else:
            env = ENVIRONMENT | ONE_THREAD
            result = in_fork("fixres", *words, folder=Path.cwd(), env=env)
        assert result.returncode == 0, result.stderr
        return result

    def start(self, config: dict, *options: object, **popen: object) -> subprocess.Popen:
        """Start a job and return while it runs."""
        command = [sys.executable, "-m", "fixres", *map(str, self.command(config, *options))]
        # A launcher that is killed leaves temporary files: they go with the test's folder.
        env = ENVIRONMENT | {"TMPDIR": str(self.folder)}
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, **popen)

    def checkpoints(self) -> set[int]:
        """The steps whose checkpoints exist."""
        files = (self.folder / "checkpoints").glob("step-*")
        return {int(file.stem.removeprefix("step-")) for file in files}

    def read(self, out: str = "weights.safetensors") -> dict[str, torch.Tensor]:
        return weights.load(self.folder / out)[0]


def wait_for(condition: Callable[[], object], process: subprocess.Popen) -> None:
    """Wait until the condition holds while the process runs; at most three minutes."""
    deadline = time.monotonic() + 180
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def same(a: dict, b: dict) -> bool:
    """Whether two sets of named tensors are equal, bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
