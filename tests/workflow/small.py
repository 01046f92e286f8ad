"""A small workflow: its configuration, its runs, and the jobs that make them."""

import copy

from fixres import config as settings

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


def finetunes(runs: list[str]) -> set[tuple[str, str]]:
    return {("finetune", f"{run}/weights.safetensors") for run in runs}


def evaluates(runs: list[str]) -> set[tuple[str, str]]:
    return {("evaluate", f"{run}/evaluation/metrics.json") for run in runs}


PAGE_JOBS = {("table", "table5.md"), ("figure", "figure5.svg")}


def merged(**changes: dict) -> dict:
    return settings.merge(copy.deepcopy(SMALL), changes)
