"""What every job shares: its command line, its log, its progress, its threads, and files that are whole or absent.

A job publishes nothing once one of the files that it read has changed: `reading` remembers them, `atomic` looks again before a file takes
its place. So an evaluation whose model is trained anew meanwhile, or a forgotten job of a former configuration, cannot leave a result that
looks like one of today's.
"""

import argparse
import json
import os
from pathlib import Path

from fixres.jobs.digests import canonical, digest
from fixres.jobs.errors import JobError
from fixres.jobs.files import record_inputs


def parser(stage: str, doc: str, *inputs: str, threads: bool = True) -> argparse.ArgumentParser:
    """The command line of a stage: its docstring as help, the resolved configuration and the named files as options."""
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
        help="what Snakemake expects in it: a digest, compared with the file's (default: any)",
    )
    for name in inputs:
        p.add_argument(f"--{name}", type=Path, required=True, help=INPUT_HELP[name])
    if threads:
        p.add_argument(
            "--threads",
            type=int,
            default=os.cpu_count(),
            help="processor threads to use (default: all)",
        )
    return p


INPUT_HELP = {
    "manifest": "the dataset's manifest (manifest.npz)",
    "weights": "weights to start from or to measure (safetensors)",
    "out": "where the result goes",
}


def device_options(p: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Options of the jobs that run a network: none of them changes what is computed beyond rounding."""
    p.add_argument(
        "--loader",
        choices=["auto", "dali", "pillow"],
        default="auto",
        help="auto: DALI where installed",
    )
    p.add_argument(
        "--workers",
        type=int,
        help="threads that decode and cut images, of all processes (default: as --threads)",
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
        help="auto, cpu, cuda or cuda:N (of several processes each takes a device of its own)",
    )
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
        "--processes", type=int, help="they share the threads and workers (default: one a device)"
    )
    p.add_argument(
        "--compile",
        action="store_true",
        help="compile the network with torch.compile: minutes at first, then faster steps",
    )
    return p


def read_config(path: Path, stage: str, ancestry_digest: str = "") -> dict:
    """The resolved configuration of a job, checked to belong to `stage` and, where Snakemake says so, to be what it planned.

    Parameters
    ----------
    ancestry_digest : digest of the configuration, then a point and one of what the job depends on (`plan.Plan.ancestry_digest`); empty: any configuration.
    """
    record_inputs(path)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise JobError(
            f"{path}: cannot be read ({error.strerror}); Snakemake writes it: ask for the run's result there"
        ) from None
    except ValueError as error:
        raise JobError(
            f"{path}: not valid JSON ({error}); delete it and let Snakemake write it again"
        ) from None
    if config.get("stage") != stage:
        raise JobError(f"{path}: written for stage '{config.get('stage')}', expected '{stage}'")
    if ancestry_digest and ancestry_digest.split(".")[0] != digest(canonical(config)):
        raise JobError(
            f"{path}: not what Snakemake planned: edited, damaged, or of another time; delete it and let Snakemake write it again"
        )
    return config
