"""A small SLURM, the runs that are tried on it, and its jobs as seen from the node."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from shared import ENVIRONMENT, ROOT

SCRIPT = Path(__file__).with_name("cluster.sh")


# --- the runs -------------------------------------------------------------------------------------

BASE = "runs/set/resnet10q-k{}"
ADAPTED = f"{BASE.format(40)}/ft-k40-cls+bn-testda"
# Trainings of some seconds. A checkpoint after each step, so that a test can meet any training in
# the middle.
CONFIG = {
    "scale": "test",
    "dataset": "set",
    "datasets": {
        "set": {"rendered": {"train_images": 96, "val_images": 48, "shorter_side": [40, 60]}}
    },
    "table5": {"k_train": [16, 24, 32, 40], "k_train_adapted": [40], "k_test": [40]},
    "base_training": {
        "epochs": 20,
        "samples_per_epoch": 96,
        "batch_size": 24,
        "micro_batch": 12,
        "lr_per_256": 1.0,
    },
    "fine_tuning": {"epochs": 100, "batch_size": 24, "lr": 0.05},
    "hardware": {"checkpoint_seconds": 0.0, "device": "cpu"},
}
RUNS = [*(BASE.format(k) for k in (16, 24, 32, 40)), ADAPTED]
WEIGHTS = [f"results/{run}/weights.safetensors" for run in RUNS]
METRICS = f"results/{ADAPTED}/evaluation/metrics.json"
TARGETS = [*WEIGHTS, METRICS]
# Pages at the smoke scale that together need a job of every stage but `pretrained`, and images of
# two datasets. `all` then also has the claims, the numbers of the text, the summary and the report.
SMOKE_TABLES = ["table1", "table5", "section1", "memory", "appendixA.1"]
SMOKE_FIGURES = ["figure1", "figure3", "figure7"]
SMOKE = [*SMOKE_TABLES, *SMOKE_FIGURES]
ADAPTED_TOGETHER = 8  # so many matchings, fine-tunings or evaluations share a submission
SMOKE_PAGES = "smoke-pages.yaml"  # the configuration that has these pages only
SMOKE_CONFIGS = ["--configfile", "configs/smoke.yaml", SMOKE_PAGES]


# --- the cluster ----------------------------------------------------------------------------------


class Cluster:
    """SLURM's commands, and its log of jobs that have ended."""

    def __init__(self, folder: Path):
        self.folder = folder
        # SLURM's programs look each other up by these two variables. A job gets them too, since its
        # environment is the one that it was submitted with.
        self.env = ENVIRONMENT | {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        }

    def __call__(self, *command: object) -> str:
        """Run one of SLURM's commands and return its output."""
        result = subprocess.run(
            [*map(str, command)],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, f"{command}: {result.stderr}"
        return result.stdout

    def script(self, *arguments: str) -> tuple[int, str]:
        """Run cluster.sh; returns its exit code and output."""
        env = os.environ | {"FIXRES_SLURM": str(self.folder)}
        # Output goes to a file: a pipe would stay open as long as the daemons run.
        with open(self.folder / "script.log", "w+") as output:
            code = subprocess.run(
                [SCRIPT, *arguments], env=env, stdout=output, stderr=subprocess.STDOUT, check=False
            ).returncode
            output.seek(0)
            return code, output.read()

    def ended(self, folder: Path) -> list[dict[str, str]]:
        """SLURM's records of the jobs that a workflow in `folder` submitted and that have ended."""
        file = self.folder / "jobs.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        jobs = [dict(re.findall(r"(\w+)=(.*?) *(?=\w+=|$)", line)) for line in lines]
        return [job for job in jobs if job["WorkDir"] == str(folder)]

    def waiting(self) -> int:
        """Number of jobs that wait in the queue of partition gpu."""
        return len(self("squeue", "-h", "-p", "gpu", "-t", "PENDING", "-o", "%i").split())


# --- Snakemake ------------------------------------------------------------------------------------


def command(folder: Path, profile: Path, *arguments: object, source: Path = ROOT) -> list[str]:
    """The command that runs the Snakefile of `source` in `folder`."""
    base = [sys.executable, "-m", "snakemake", *arguments, "--snakefile", source / "Snakefile"]
    places = ["--directory", folder, "--workflow-profile", profile]
    return [str(part) for part in [*base, *places]]


def on_slurm(folder: Path, profile: Path, *arguments: object, source: Path = ROOT) -> list[str]:
    """The command for a run on SLURM.

    It asks about its jobs every second. On a cluster that others use, that would be impolite.
    """
    often = ("--slurm-init-seconds-before-status-checks", 1)
    return command(folder, profile, *arguments, *often, source=source)


@contextlib.contextmanager
def running(words: list[str], folder: Path, env: dict) -> Iterator[subprocess.Popen]:
    """Run Snakemake in the background. Its output goes to a file (`said`)."""
    with open(folder / "snakemake.log", "w") as log:
        process = subprocess.Popen(
            words, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def said(folder: Path) -> str:
    """The output of the Snakemake in a folder."""
    return (folder / "snakemake.log").read_text()


def wait_until(
    condition: Callable[[], object], process: subprocess.Popen, folder: Path, seconds: float = 120
) -> None:
    """Wait for a condition. Fails with the output of Snakemake if Snakemake ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, said(folder)
        assert time.monotonic() < deadline, said(folder)
        time.sleep(0.05)


# --- the jobs, seen from the node -----------------------------------------------------------------


class Job(NamedTuple):
    """A process that trains or fine-tunes."""

    pid: int
    run: str  # its folder below results/
    slurm: str  # number of the allocation
    gpus: str  # the devices that SLURM lets the process see


def jobs_in(folder: Path) -> list[Job]:
    """The trainings and fine-tunings that are running in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, KeyError):  # it may end at any moment
            words = (process / "cmdline").read_bytes().decode().split("\0")
            if words[1:3] != ["-m", "fixres"] or words[3] not in ("train", "finetune"):
                continue
            if os.readlink(process / "cwd") != str(folder):
                continue
            lines = (process / "environ").read_bytes().decode().split("\0")
            env = dict(line.split("=", 1) for line in lines if "=" in line)
            run = str(Path(words[words.index("--config") + 1]).parent.relative_to("results"))
            numbers = env["SLURM_JOB_ID"], env["CUDA_VISIBLE_DEVICES"]
            found.append(Job(int(process.name), run, *numbers))
    return found
