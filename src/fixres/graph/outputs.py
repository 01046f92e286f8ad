"""Where the results of a job lie, told from its id alone.

A job's id is its folder below results/. `graph/runs.py` lists the forms that an id takes.
"""

from fixres.graph.pages import Measurement

# For each stage: the log that it leaves in its folder.
LOGS = {
    "pretrained": "pretrained.log",
    "train": "train.log",
    "match": "match.log",
    "finetune": "finetune.log",
    "time": "time.log",
    "memory": "memory.log",
    "speed": "speed.log",
    "statistics": "statistics.log",
    "evaluate": "log.txt",
    "activations": "log.txt",
    "sizes": "sizes.log",
    "crops": "crops.log",
}
# Jobs that measure something else than accuracy, by the first or the last part of their ids.
TIMES = ("timing", "memory", "speed")  # they leave metrics.json
SWEEPS = ("sweep",)  # they leave metrics.json and hits.npz, as an evaluation does
SAMPLES = ("sizes", "activations")  # they leave metrics.json and samples.npz


# Stages whose job has a folder of its own, in which `stage` need not stand in the file's name.
ALONE = ("evaluate", "activations", "render", "manifest")


def benchmark_of(job: str, stage: str) -> str:
    """The file in which Snakemake leaves the time of a job, below results/."""
    return f"{job}/benchmark.tsv" if stage in ALONE else f"{job}/{stage}.benchmark.tsv"


def log_of(job: str, stage: str) -> str:
    """The log of a job, below results/; "": its stage leaves no mark when it fails."""
    return f"{job}/{LOGS[stage]}" if stage in LOGS else ""


def measures(run: str) -> bool:
    """Whether a job is itself a measurement. What a run is worth is measured by its evaluation."""
    return any(part in (*TIMES, *SWEEPS, *SAMPLES) for part in _ends(run))


def metrics_of(run: str) -> str:
    """The file with the numbers of a run, below results/."""
    return f"{run}/metrics.json" if measures(run) else f"{run}/evaluation/metrics.json"


def per_image_of(run: str) -> str:
    """The file with what a run's measurement found on each image, below results/; "": none.

    An evaluation leaves its hits: which images the run was right about.
    """
    if not measures(run):
        return f"{run}/evaluation/hits.npz"
    if any(part in SWEEPS for part in _ends(run)):
        return f"{run}/hits.npz"
    return f"{run}/samples.npz" if any(part in SAMPLES for part in _ends(run)) else ""


def measurement_of(run: str) -> Measurement:
    """What a cell reads of a run."""
    return Measurement(run, metrics_of(run), per_image_of(run))


def _ends(run: str) -> tuple[str, str]:
    """The first and the last part of an id."""
    parts = run.split("/")
    return parts[0], parts[-1]


def manifest_of(run: str) -> str:
    """The manifest of the images that a run sees. The second part of the id names the dataset."""
    return f"results/data/{run.split('/')[1]}/manifest.npz"


def parent_of(run: str) -> str:
    """The run that an adapted run was made of."""
    return run.rsplit("/", 1)[0]


def parent_weights(run: str) -> str:
    """The weights that a run is adapted from, or that an evaluation measures."""
    return f"results/{parent_of(run)}/weights.safetensors"
