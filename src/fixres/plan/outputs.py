"""Where the results of a job lie, told from its id alone.

A job's id is its folder below results/. `plan/runs.py` lists the forms that an id takes.
"""

from collections.abc import Iterable
from pathlib import Path

# For each stage: the log and the result that it leaves in its folder.
LOG_AND_RESULT = {
    "pretrained": ("pretrained.log", "weights.safetensors"),
    "train": ("train.log", "weights.safetensors"),
    "match": ("match.log", "weights.safetensors"),
    "finetune": ("finetune.log", "weights.safetensors"),
    "time": ("time.log", "metrics.json"),
    "evaluate": ("log.txt", "metrics.json"),
}


def failed(jobs: Iterable[tuple[str, str]], results: Path) -> Path | None:
    """The log of the first job that was tried and left no result; None: there is no such job.

    Parameters
    ----------
    jobs : (id, stage) of every job that a number needs.
    results : the folder of all results.
    """
    for name, stage in jobs:
        if stage in LOG_AND_RESULT:
            log, result = (results / name / file for file in LOG_AND_RESULT[stage])
            if log.is_file() and not result.is_file():
                return log
    return None


def metrics_of(run: str) -> str:
    """The file with the numbers of a run, below results/."""
    return f"{run}/metrics.json" if run.startswith("timing/") else f"{run}/evaluation/metrics.json"


def manifest_of(run: str) -> str:
    """The manifest of the images that a run sees. The second part of the id names the dataset."""
    return f"results/data/{run.split('/')[1]}/manifest.npz"


def parent_of(run: str) -> str:
    """The run that an adapted run was made of."""
    return run.rsplit("/", 1)[0]


def parent_weights(run: str) -> str:
    """The weights that a run is adapted from, or that an evaluation measures."""
    return f"results/{parent_of(run)}/weights.safetensors"
