"""Whole jobs on a GPU: Table 5, and a training that is interrupted while another waits.

    .venv/bin/python benchmarks/gpu_jobs.py            # on a machine with one CUDA device or more
    .venv/bin/python benchmarks/gpu_jobs.py --trial    # on any machine: the smoke scale, a minute

1. Table 5 at a reduced schedule (gpu_table5.yaml), as `snakemake results/table5.md` makes it.
2. Two concurrent trainings that need the same device. The first, which has it, is interrupted, so
   the second gets the device; then the first resumes from its checkpoint. Its weights are compared
   with the weights of the same training in Table 5, which was not interrupted.

All files are in --folder. What is finished stays there, and the same command continues.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import where_time_goes
from safetensors.torch import load_file
from tabulate import tabulate

from fixres import config, paper
from fixres.hardware import leases
from fixres.jobs import stopping

ROOT = Path(__file__).parent.parent
PRODUCT = ("Snakefile", "rules", "envs", "src", "config.yaml")
SCALE, TRIAL = "benchmarks/gpu_table5.yaml", "configs/smoke.yaml"
PATIENCE = 240  # seconds until a job's log must say what is waited for


def main() -> None:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--trial", action="store_true", help="the smoke scale, on any machine")
    p.add_argument("--folder", type=Path, default=ROOT / "results" / "benchmarks" / "gpu-jobs")
    args = p.parse_args()
    if not (args.trial or torch.cuda.is_available()):
        sys.exit("without a CUDA device only --trial: this measures GPUs")
    if not args.trial:  # one device for all jobs: the second training shall wait for it
        os.environ[leases.VISIBLE_DEVICES] = leases.available_devices()[0]
    scale = ROOT / (TRIAL if args.trial else SCALE)
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in PRODUCT:
        if not (args.folder / name).exists():
            (args.folder / name).symlink_to(ROOT / name)
    print(table5(args.folder, scale), flush=True)
    print("\n" + interrupted(args.folder, scale, waits=not args.trial))


# --- Table 5 --------------------------------------------------------------------------------------


def table5(folder: Path, scale: Path) -> str:
    """Make Table 5. Returns how long its jobs took, and the table."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "snakemake", "results/table5.md", "--cores", "all"]
    command += ["--configfile", str(scale), "--quiet", "rules"]
    done = subprocess.run(command, cwd=folder, env=environment(), check=False)
    if done.returncode:
        sys.exit(f"Table 5 failed; the logs are in {folder / 'results'}")
    seconds = time.perf_counter() - started
    jobs = where_time_goes.jobs(folder / "results")
    jobs["waited"] = [leases.seconds_waited(log) for log in jobs["log"]]
    jobs["worked"] = jobs["wall"] - jobs["waited"]
    stages = jobs.groupby("stage", sort=False)[["jobs", "worked", "waited", "cpu"]].sum()
    stages.loc["all"] = stages.sum()
    return "\n\n".join(
        [
            f"Table 5 in {seconds:.0f} s. Seconds, summed over jobs. Worked: all but the wait for "
            "the device; cpu: of processors.",
            tabulate(stages, headers="keys", floatfmt=".1f", tablefmt="github"),
            (folder / "results" / "table5.md").read_text(encoding="utf-8"),
        ]
    )


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "src")}


# --- an interruption, and two jobs for one device -------------------------------------------------


class Training:
    """A base training of Table 5, started by hand, with a separate result."""

    def __init__(self, folder: Path, name: str, run: str, resolved: Path, dataset: str):
        self.folder = folder / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.weights, self.log = self.folder / "weights.safetensors", self.folder / "train.log"
        data = folder / "results" / "data" / dataset / "manifest.npz"
        self.command = [sys.executable, "-m", "fixres", "train", "--config", resolved]
        self.command += ["--manifest", data, "--threads", "4", "--out", self.weights]
        self.command += ["--checkpoint-seconds", "0.3"]
        self.reference = folder / "results" / run / "weights.safetensors"

    def start(self) -> None:
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(self.command, stderr=log, env=environment())

    def wait_until(self, reached: Callable[["Training"], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not reached(self):
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{self.folder.name}: not {what}:\n{self.said()}")
            time.sleep(0.02)

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def has_checkpoint(self) -> bool:
        return any((self.folder / "checkpoints").glob("*"))

    def end(self, code: int) -> None:
        if self.process.wait() != code:
            sys.exit(f"exit code {self.process.returncode}:\n{self.said()}")

    def distance(self) -> float:
        """From the weights of the same training in Table 5: a share of these weights' norm."""
        mine, other = load_file(self.weights), load_file(self.reference)
        apart = sum((mine[k].double() - other[k].double()).square().sum() for k in other)
        return float((apart / sum(w.double().square().sum() for w in other.values())).sqrt())


def interrupted(folder: Path, scale: Path, waits: bool) -> str:
    """Interrupt a training while another waits for its device. Returns what came of it.

    Parameters
    ----------
    waits : whether the second training must wait. On a processor it does not.
    """
    plan = paper.plan_of(config.load(ROOT / "config.yaml", scale))
    k_train = sorted(plan.config.table5.k_train)[len(plan.config.table5.k_train) // 2]
    run = f"runs/{plan.config.dataset}/{plan.config.network}-k{k_train}"
    resolved = folder / "train.json"
    resolved.write_text(json.dumps(plan.resolved(run)), encoding="utf-8")
    first, second = (
        Training(folder, name, run, resolved, plan.config.dataset) for name in ("first", "second")
    )
    first.start()
    first.wait_until(lambda job: "device: " in job.said(), "on its device")
    second.start()
    if waits:
        second.wait_until(lambda job: "waiting for" in job.said(), "waiting for the device")
    first.wait_until(Training.has_checkpoint, "training")
    first.process.send_signal(signal.SIGTERM)
    first.end(stopping.AGAIN)
    second.end(0)
    first.start()
    first.end(0)
    if "resuming after step" not in first.said():
        sys.exit(f"the interrupted training started from the beginning:\n{first.said()}")
    distances = [
        ["interrupted, and resumed", first.distance()],
        ["not interrupted, run again", second.distance()],
    ]
    waited = f"The second training waited {leases.seconds_waited(second.log):.1f} s for the device."
    return "\n\n".join(
        [
            *([waited] if waits else []),
            "Distance from the same training in Table 5, as a share of its weights' norm:",
            tabulate(distances, ["training", "distance"], floatfmt=".2g", tablefmt="github"),
        ]
    )


if __name__ == "__main__":
    main()
