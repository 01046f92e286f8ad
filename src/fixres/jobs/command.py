"""The command line that all jobs share, and the configuration that a job reads."""

import argparse
import json
import os
from pathlib import Path

from fixres.jobs.digests import canonical, digest
from fixres.jobs.errors import REMAKE, JobError
from fixres.jobs.files import record_inputs

# The help texts of options that several stages share.
HELP = {
    "config": "the run's resolved configuration (config.json)",
    "ancestry-digest": "planned digests of the configuration and of the job's ancestors; a "
    "--config with another digest is an error (default: not checked)",
    "manifest": "the dataset's manifest (manifest.npz)",
    "weights": "weights to start from or to measure (safetensors)",
    "out": "where to write the result",
    "given": "the configuration files of the command, to be kept with the result",
    "threads": "processor threads to use (default: all)",
    # How images are loaded and the network computes.
    "loader": "auto: DALI on a GPU, Pillow on a processor",
    "workers": "decoding threads of each process (default: the process's share of --threads)",
    "precision": "auto: bf16 if the hardware supports it",
    "device": "auto, cpu, cuda or cuda:N (with several processes, each uses its own device)",
    "compile": "compile the network with torch.compile: takes minutes, then steps are faster",
    # How many devices, machines and processes share the job.
    "gpus": "GPUs that the job reserves, on all its machines (default: one, if any)",
    "nodes": "machines of a SLURM allocation that share --gpus evenly (default: 1)",
    "processes": "processes that share the threads (default: one per device)",
    # What a training writes, and what it keeps in memory.
    "checkpoint-seconds": "seconds between checkpoints (default: 60)",
    "tensorboard": "1: also write TensorBoard's event files, next to the result (default: 0)",
    "cuda-graphs": "1: on a GPU, record a step and replay it, which is faster; 0: launch its "
    "kernels one by one (default: 1)",
    "decoded-mb": "memory per machine for decoded images, shared by its processes; if all images "
    "fit, later epochs do not decode them again; not with DALI; 0: none are kept (default: 1000)",
}


def parser(stage: str, doc: str, *files: str, threads: bool = True) -> argparse.ArgumentParser:
    """The command line of a stage.

    Parameters
    ----------
    stage : name of the stage, as in `python -m fixres STAGE`.
    doc : docstring of the stage's module; the text of --help.
    files : keys of HELP. Each becomes a required option, in addition to --config.
    threads : whether to add a --threads option.
    """
    p = argparse.ArgumentParser(f"python -m fixres {stage}", description=doc)
    p.formatter_class = argparse.RawDescriptionHelpFormatter
    _add(p, "config", type=Path, required=True)
    _add(p, "ancestry-digest", default="")
    for name in files:
        _add(p, name, type=Path, required=True)
    if threads:
        _add(p, "threads", type=int, default=os.cpu_count())
    return p


def device_options(p: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the options of jobs that run a network. None changes a result beyond rounding."""
    _add(p, "loader", choices=["auto", "dali", "pillow"], default="auto")
    _add(p, "workers", type=int)
    _add(p, "precision", choices=["auto", "bf16", "fp32"], default="auto")
    _add(p, "device", default="auto")
    _add(p, "compile", action="store_true")
    _add(p, "gpus", type=int, default=0)
    _add(p, "nodes", type=int, default=1)
    _add(p, "processes", type=int)
    return p


def training_options(p: argparse.ArgumentParser) -> None:
    """Add the options of jobs that train. None changes a result."""
    _add(p, "checkpoint-seconds", type=float, default=60.0)
    _add(p, "tensorboard", type=int, choices=(0, 1), default=0)
    _add(p, "cuda-graphs", type=int, choices=(0, 1), default=1)
    _add(p, "decoded-mb", type=float, default=1000)


def _add(p: argparse.ArgumentParser, name: str, **how: object) -> None:
    p.add_argument(f"--{name}", help=HELP[name], **how)


def read_config(path: Path, stage: str, ancestry_digest: str = "") -> dict:
    """Read the resolved configuration of a job, the run's config.json.

    `ancestry_digest` is the configuration's planned digest, a dot, and the digest of all that the
    job depends on (`Job.ancestry_digest`). Only the first is compared here. If it is empty, any
    configuration is accepted. Raises JobError if the file cannot be read, belongs to another stage,
    or is not the planned configuration.
    """
    record_inputs(path)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise JobError(
            f"{path}: cannot be read ({error.strerror}). "
            "Snakemake writes this file, so run the job with Snakemake."
        ) from None
    except ValueError as error:
        raise JobError(f"{path}: not valid JSON ({error}). {REMAKE}") from None
    if config.get("stage") != stage:
        got = f"got '{config.get('stage')}', expected '{stage}'"
        raise JobError(f"{path}: configuration of another stage ({got}). Name another file.")
    if ancestry_digest and ancestry_digest.split(".")[0] != digest(canonical(config)):
        raise JobError(
            f"{path}: not what Snakemake planned (edited, damaged, or from another plan). {REMAKE}"
        )
    return config
