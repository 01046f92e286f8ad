"""Helpers for the tests of several rooms: images, settings, jobs run as a user runs them."""

import argparse
import atexit
import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import filelock
import numpy as np
import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).parent.parent
# For the processes of jobs: the package of this repository, and one thread for each job.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}


def textured(height: int, width: int, seed: int = 0) -> Image.Image:
    """A smooth image with some detail: to a resampling filter, it is like a photograph."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.BICUBIC), float)
    noise = rng.normal(0, 12, (height, width, 3))
    return Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8))


SETTINGS = {  # of a rendered set
    "seed": 3,
    "train_images": 96,
    "val_images": 48,
    "silhouettes": ["bar", "triangle", "hexagon", "cross", "star5", "star7"],
    "hues": ["red", "green", "blue", "yellow"],
    "mislabelled": 0.0,
    "shorter_side": [40, 60],
    "r1_median": 0.4,
    "r1_sigma": 0.3,
    "r1_largest": 0.6,
    "off_centre": 0.05,
    "jpeg_quality": 90,
}


def fixres(
    *arguments: object, timeout: float = 120, env: dict | None = None
) -> subprocess.CompletedProcess:
    """Run `python -m fixres …` as its own process."""
    command = [sys.executable, "-m", "fixres", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=timeout,
        env=ENVIRONMENT | (env or {}),
        check=False,
    )


# A job with one thread. Its libraries read these variables when they are loaded.
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}


@functools.cache
def forks(program: str) -> subprocess.Popen:
    """The process of forks.py. It ends with the process of the tests."""
    words, pipe = [sys.executable, ROOT / "tests/forks.py", program], subprocess.PIPE
    env = ENVIRONMENT | ONE_THREAD
    process = subprocess.Popen(words, stdin=pipe, stdout=pipe, env=env, text=True, bufsize=1)
    atexit.register(process.communicate)  # closes its input and waits for its end
    return process


def in_fork(
    program: str, *words: object, folder: Path, env: dict, joined: bool = False
) -> subprocess.CompletedProcess:
    """Run `snakemake …` or `fixres …`, to its end, in a fork of a process that has it loaded.

    That takes a fifth of the time of a start. With `joined`, stdout also has what stderr has.
    Not from several threads at once.
    """
    words = [str(word) for word in words]
    asked = {"words": words, "folder": str(folder), "env": env, "joined": joined}
    process = forks(program)
    process.stdin.write(json.dumps(asked) + "\n")
    return subprocess.CompletedProcess(words, *json.loads(process.stdout.readline()))


def without_speed(log: bytes) -> bytes:
    """A log.csv without its last column, images a second: all that is the same every time."""
    return b"\n".join(line.rpartition(b",")[0] for line in log.splitlines())


def children(process: int) -> list[int]:
    """Process ids of a process's children, in the order of their start. On Linux only."""
    with open(f"/proc/{process}/task/{process}/children") as f:
        return [int(p) for p in f.read().split()]


def alive(process: int) -> bool:
    """Whether a process runs. A zombie does not. On Linux only."""
    try:
        with open(f"/proc/{process}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def machine_options(**changed: object) -> argparse.Namespace:
    """A job's options about the machine: its command line's defaults, but on the CPU."""
    options = {"gpus": 0, "nodes": 1, "processes": None, "threads": 1, "workers": None}
    return argparse.Namespace(**options | {"device": "cpu"} | changed)


# What a configuration says of a custom network.
NETWORK = {
    "source": "timm:resnet18",
    "stride": 32,
    "classifier": "fc",
    "last_norm": ["layer4.1.bn2"],
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "native": 224,
    "crop_pct": 0.875,
}
TEST_RESNET = NETWORK | {
    "source": "timm:test_resnet",
    "weights": "none",
    "last_norm": ["layer4.0.bn2"],
    "native": 64,
    "crop_pct": 0.95,
}


class Harmful:
    """An object that runs code when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("harm was done"),)


PAGES = ["results/table5.md", "results/figure5.svg"]


def made_once(
    tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]
) -> Path:
    """A folder that `make` fills: once for all workers of pytest-xdist.

    The other workers wait for the first. Tests must not change what is in it.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # the folder of the whole run
    folder, done = base / name, base / f"{name} is made"
    with filelock.FileLock(base / f"{name}.lock"):
        if not done.exists():
            folder.mkdir()  # if an earlier attempt failed, this one fails here
            make(folder)
            done.touch()
    return folder


class Workflow:
    """A folder with its own config.yaml, for runs of this repository's Snakefile."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.env = ENVIRONMENT | {"XDG_CACHE_HOME": str(folder / ".cache")}

    def write(self, config: dict, text: str | None = None) -> None:
        (self.folder / "config.yaml").write_text(text or yaml.safe_dump(config, sort_keys=False))

    def words(self, *arguments: object) -> list[str]:
        """The words behind `snakemake`."""
        options = {
            "--snakefile": ROOT / "Snakefile",
            "--directory": self.folder,
            "--cores": 2,
            "--workflow-profile": ROOT / "profiles/default",
        }
        words = [word for option in options.items() for word in option]
        return [str(word) for word in (*words, *arguments)]

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "snakemake", *self.words(*arguments)]

    def run(self, *arguments: object, check: bool = True) -> subprocess.CompletedProcess:
        result = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        assert result.returncode == 0 or not check, result.stdout
        return result

    def by_hand(self, *words: str) -> None:
        """Run a stage in the folder as a person would."""
        result = subprocess.run(
            [sys.executable, "-m", "fixres", *words],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr

    def dry_run(self, *arguments: object) -> str:
        """The output of a dry run that succeeds."""
        words = self.words("--dry-run", *arguments)
        result = in_fork("snakemake", *words, folder=self.folder, env=self.env, joined=True)
        assert result.returncode == 0, result.stdout
        return result.stdout

    def planned(self, *targets: str) -> set[tuple[str, str]]:
        """(rule, folder or file below results/) of every job that a run would execute."""
        text = self.dry_run(*(targets or PAGES))
        jobs = re.findall(r"^(\w+) +results/(\S+)", text, re.MULTILINE)
        counted = re.search(r"^total +(\d+)$", text, re.MULTILINE)
        assert counted or "Nothing to be done" in text, text
        assert len(jobs) == (int(counted[1]) if counted else 0), text
        return set(jobs)

    def resolved(self, job: str, *over: Path) -> str:
        """The resolved configuration of a job, as it would be written when the job runs."""
        files = [self.folder / "config.yaml", *over]
        result = fixres("resolve", job, "--configfile", *files, env=self.env)
        assert result.returncode == 0, result.stderr
        return result.stdout


def configs(graph) -> dict[str, dict]:
    """Id -> resolved configuration of every job of a graph."""
    return {name: job.config for name, job in graph.jobs.items()}


def digests(graph) -> dict[str, str]:
    """Id -> ancestry digest of every job of a graph."""
    return {name: job.ancestry_digest for name, job in graph.jobs.items()}


def needed(graph, name: str) -> set[str]:
    """The ids of all jobs that a table or figure needs, without its own."""
    page = graph.job(f"pages/{name}")
    return {job.id for job in page.ancestors if job != page}
