"""The command line that all jobs share, and the configuration that a job reads."""

import argparse
import json
import os
from pathlib import Path

from fixres.jobs.digests import canonical, digest
from fixres.jobs.errors import JobError
from fixres.jobs.files import record_inputs

FILE_HELP = {
    "manifest": "the dataset's manifest (manifest.npz)",
    "weights": "weights to start from or to measure (safetensors)",
    "out": "where the result goes",
}


def parser(stage: str, doc: str, *files: str, threads: bool = True) -> argparse.ArgumentParser:
    """The command line of a stage.

    Parameters
    ----------
    stage : name of the stage, as in `python -m fixres STAGE`.
    doc : docstring of the stage's module. It becomes the text of --help.
    files : keys of FILE_HELP. Each becomes a required option, besides --config.
    threads : whether there is a --threads option.
    """
    p = argparse.ArgumentParser(
        prog=f"python -m fixres {stage}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "--config", type=Path, required=True, help="the run's resolved configuration (config.json)"
    )
    p.add_argument(
        "--ancestry-digest",
        default="",
        help="digests of the configuration and of the job's ancestors, as Snakemake planned them; "
        "a --config with another digest is an error (default: not checked)",
    )
    for name in files:
        p.add_argument(f"--{name}", type=Path, required=True, help=FILE_HELP[name])
    if threads:
        p.add_argument(
            "--threads",
            type=int,
            default=os.cpu_count(),
            help="processor threads to use (default: all)",
        )
    return p


def device_options(p: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the options of the jobs that run a network. None changes a result beyond rounding."""
    # How images are loaded and the network computes.
    p.add_argument(
        "--loader",
        choices=["auto", "dali", "pillow"],
        default="auto",
        help="auto: DALI beside a GPU, Pillow on a processor",
    )
    p.add_argument(
        "--workers",
        type=int,
        help="threads of each process that decode and cut images (default: its share of --threads)",
    )
    p.add_argument(
        "--precision",
        choices=["auto", "bf16", "fp32"],
        default="auto",
        help="auto: bf16 where the hardware has it",
    )
    p.add_argument(
        "--device",
        default="auto",
        help="auto, cpu, cuda or cuda:N (each of several processes takes a device of its own)",
    )
    p.add_argument(
        "--compile",
        action="store_true",
        help="compile the network with torch.compile: minutes at first, then faster steps",
    )
    # How many devices, machines and processes share the job.
    p.add_argument(
        "--gpus",
        type=int,
        default=0,
        help="devices that the job holds for itself, on all its machines (default: one, if any)",
    )
    p.add_argument(
        "--nodes",
        type=int,
        default=1,
        help="machines of a SLURM allocation that share --gpus evenly (default: 1)",
    )
    p.add_argument(
        "--processes",
        type=int,
        help="processes that share the threads (default: one for each device)",
    )
    return p


def training_options(p: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the options of the jobs that train. None changes a result."""
    p.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=60.0,
        help="save the state this often (default: 60)",
    )
    p.add_argument(
        "--tensorboard",
        type=int,
        choices=(0, 1),
        default=0,
        help="1: also write TensorBoard's event files, beside the result (default: 0)",
    )
    p.add_argument(
        "--cuda-graphs",
        type=int,
        choices=(0, 1),
        default=1,
        help="1: on a GPU, record a step and replay it, which is faster; 0: start its kernels one "
        "by one (default: 1)",
    )
    p.add_argument(
        "--decoded-mb",
        type=float,
        default=1000,
        help="memory of a machine for decoded images, which its processes share: where all fit, "
        "later epochs do not decode them again; not with DALI; 0: none are kept (default: 1000)",
    )
    return p


def read_config(path: Path, stage: str, ancestry_digest: str = "") -> dict:
    """Read the resolved configuration of a job.

    Parameters
    ----------
    path : the run's config.json.
    stage : the stage that the configuration must belong to.
    ancestry_digest : the digest that Snakemake planned for the configuration, a dot, and the
        digest of all that the job depends on (`plan.Plan.ancestry_digest`). Only the first is
        compared here. Empty: any configuration is accepted.

    Raises
    ------
    JobError : the file cannot be read, belongs to another stage, or is not the planned one.
    """
    record_inputs(path)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise JobError(
            f"{path}: cannot be read ({error.strerror}); "
            "Snakemake writes it: ask for the run's result there"
        ) from None
    except ValueError as error:
        raise JobError(
            f"{path}: not valid JSON ({error}); delete it and let Snakemake write it again"
        ) from None
    if config.get("stage") != stage:
        raise JobError(f"{path}: written for stage '{config.get('stage')}', expected '{stage}'")
    if ancestry_digest and ancestry_digest.split(".")[0] != digest(canonical(config)):
        raise JobError(
            f"{path}: not what Snakemake planned: edited, damaged, or of another time; "
            "delete it and let Snakemake write it again"
        )
    return config
