"""TODO."""

from collections.abc import Iterable
from pathlib import Path

# What each stage leaves in its folder: its log, and its result.
LEFT = {
    "pretrained": ("pretrained.log", "weights.safetensors"),
    "train": ("train.log", "weights.safetensors"),
    "match": ("match.log", "weights.safetensors"),
    "finetune": ("finetune.log", "weights.safetensors"),
    "time": ("time.log", "metrics.json"),
    "evaluate": ("log.txt", "metrics.json"),
}


def failed(jobs: Iterable[tuple[str, str]], results: Path) -> Path | None:
    """The log of a job that was tried and left no result.

    Parameters
    ----------
    jobs : (id, stage) of what a number needs.
    """
    for name, stage in jobs:
        if stage in LEFT:
            log, result = (results / name / file for file in LEFT[stage])
            if log.is_file() and not result.is_file():
                return log
    return None


def metrics_of(run: str) -> str:
    """The numbers of a run that pages show, below results/."""
    return f"{run}/metrics.json" if run.startswith("timing/") else f"{run}/evaluation/metrics.json"


def manifest_of(run: str) -> str:
    """The manifest of the images that a run sees: the dataset is the second part of its id."""
    return f"results/data/{run.split('/')[1]}/manifest.npz"
