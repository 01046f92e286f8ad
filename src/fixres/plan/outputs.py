"""Where the results of a job lie, told from its id alone.

A job's id is its folder below results/. `plan/runs.py` lists the forms that an id takes.
"""

from collections.abc import Iterable
from pathlib import Path

from fixres.jobs import failures

# For each stage: the log that it leaves in its folder.
LOGS = {
    "pretrained": "pretrained.log",
    "train": "train.log",
    "match": "match.log",
    "finetune": "finetune.log",
    "time": "time.log",
    "evaluate": "log.txt",
}


def failed(jobs: Iterable[tuple[str, str]], results: Path) -> Path | None:
    """The log of the first job that left the mark of a failure; None: there is no such job.

    Nothing else is a failure: not a job that was interrupted, not a result that was deleted.

    Parameters
    ----------
    jobs : (id, stage) of every job that a number needs.
    results : the folder of all results.
    """
    for name, stage in jobs:
        if stage in LOGS and (results / name / failures.NAME).is_file():
            return results / name / LOGS[stage]
    return None


def metrics_of(run: str) -> str:
    """The file with the numbers of a run, below results/."""
    return f"{run}/metrics.json" if run.startswith("timing/") else f"{run}/evaluation/metrics.json"


def hits_of(run: str) -> str:
    """The file that says which images a run was right about, below results/."""
    return f"{run}/evaluation/hits.npz"


def manifest_of(run: str) -> str:
    """The manifest of the images that a run sees. The second part of the id names the dataset."""
    return f"results/data/{run.split('/')[1]}/manifest.npz"


def parent_of(run: str) -> str:
    """The run that an adapted run was made of."""
    return run.rsplit("/", 1)[0]


def parent_weights(run: str) -> str:
    """The weights that a run is adapted from, or that an evaluation measures."""
    return f"results/{parent_of(run)}/weights.safetensors"
