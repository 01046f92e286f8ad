"""How fast photographs are loaded: this suite compared with what a user would pick instead.

    .venv/bin/python benchmarks/loaders.py [--images N] [--rounds N] [--sizes small]

Prints processor milliseconds per crop (of all threads and processes), as medians of rounds in which
the candidates take turns, so that ratios hold even if the machine's speed drifts. Every candidate
has one thread, or one worker process.

The images are JPEGs of 500×375 pixels and some 85 kB, with the spectrum of photographs. `--sizes
small` takes 120×100 pixels, as the embedded scale has them.

The last column is the difference between the crops of test DA at 224 px and torchvision's on
Pillow, in grey levels: mean, and largest. Two candidates need separate environments, below
.venv/benchmarks: plain Pillow in place of Pillow-SIMD, and FFCV. If an environment cannot be made,
the candidate's column says why.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from gpu_images import render
from loaders_candidates import CANDIDATES, SHOWN, WORKS
from tabulate import tabulate

from fixres.data import building, loader
from fixres.data.pillow_loader import is_simd

ROOT = Path(__file__).parent.parent
ENVIRONMENTS = ROOT / ".venv/benchmarks"
FFCV = "ffcv==1.0.2"
# What FFCV imports. It is built against the headers of OpenCV and libjpeg-turbo.
FFCV_NEEDS = ["numba", "opencv-python-headless", "fastargs", "terminaltables", "assertpy", "tqdm"]
FFCV_NEEDS += ["pytorch_pfn_extras", "webdataset", "llvmlite"]
SIZES = {"photographs": (375, 500), "small": (100, 120)}  # height, width
REFERENCE = "torchvision + DataLoader"


class Absent(Exception):  # noqa: N818
    """A candidate cannot run here. The message says why."""


# --- environments ---------------------------------------------------------------------------------


def uv(*words: object) -> None:
    """Run uv. Raises Absent with the end of what it said."""
    command = [ROOT / ".venv/bin/uv", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise Absent(f"cannot be installed: {said[-1] if said else 'uv failed'}")


def as_it_is() -> tuple[Path, dict]:
    """This environment."""
    return Path(sys.executable), {}


def pillow_simd() -> tuple[Path, dict]:
    """This environment, where it has Pillow-SIMD."""
    if not is_simd():
        raise Absent("not installed here: Pillow is plain")
    return as_it_is()


def plain_pillow() -> tuple[Path, dict]:
    """This environment with Pillow of envs/pillow.lock before Pillow-SIMD."""
    folder = ENVIRONMENTS / "pillow"
    if not (folder / "PIL").is_dir():
        lock = ROOT / "envs/pillow.lock"
        uv("pip", "install", "-q", "--target", folder, "--require-hashes", "-r", lock)
    return Path(sys.executable), {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT / "src")])}


def dali() -> tuple[Path, dict]:
    """This environment, where it has DALI."""
    if not loader.dali_is_installed():
        raise Absent("not installed here")
    return as_it_is()


def ffcv() -> tuple[Path, dict]:
    """An environment that has FFCV, and also sees the packages of the current environment."""
    folder = ENVIRONMENTS / "ffcv"
    python = folder / "bin/python"
    if not (folder / "made").is_file():
        uv("venv", "-q", "--clear", "--python", sys.executable, folder)
        [packages] = folder.glob("lib/python*/site-packages")
        here = next(p for p in map(Path, sys.path) if p.name == "site-packages")
        (packages / "suite.pth").write_text(f"{here}\n")
        install = ("pip", "install", "-q", "--python", python, "--no-deps")
        uv(*install, *FFCV_NEEDS)
        uv(*install, FFCV)
        (folder / "made").touch()
    if subprocess.run([python, "-c", "import ffcv"], capture_output=True, check=False).returncode:
        raise Absent("installed, but cannot be imported")
    return python, {}


MADE_BY: dict[str, Callable[[], tuple[Path, dict]]] = {
    "torchvision + DataLoader": as_it_is,
    "suite, Pillow-SIMD": pillow_simd,
    "suite, plain Pillow": plain_pillow,
    "suite, DALI": dali,
    "torchvision.io + v2, one decode": as_it_is,
    "FFCV": ffcv,
}


# --- measuring ------------------------------------------------------------------------------------


class Process:
    """A candidate in a separate process, which measures when it is asked."""

    def __init__(self, name: str, folder: Path):
        python, variables = MADE_BY[name]()
        words = [python, Path(__file__).with_name("loaders_candidates.py"), name, folder]
        path = {"PYTHONPATH": str(ROOT / "src")}
        threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            list(map(str, words)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | path | threads | variables,
        )
        self.answer()

    def answer(self) -> dict:
        """The next answer; lines that are none (a library talks) are passed over."""
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        said = self.process.stderr.read().strip().splitlines()
        raise Absent(f"failed: {said[-1] if said else self.process.wait()}")

    def ask(self, work: str) -> dict:
        self.process.stdin.write(json.dumps({"work": work}) + "\n")
        self.process.stdin.flush()
        return self.answer()


def apart(folder: Path, name: str) -> str:
    """How much its crops differ from the reference's, in grey levels."""
    ours, theirs = (np.load(folder / f"{n}.npy").astype(int) for n in (name, REFERENCE))
    difference = np.abs(ours - theirs)
    return f"{difference.mean():.3f}, {difference.max()}" if difference.any() else "0"


def in_turn(processes: dict[str, Process], rounds: int) -> dict[tuple[str, str], float]:
    """(candidate, work) -> median of processor milliseconds a crop."""
    figures: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for title in WORKS:
            for name, process in processes.items():
                figures.setdefault((name, title), []).append(process.ask(title)["ms"])
    return {key: statistics.median(ms) for key, ms in figures.items()}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--images", type=int, default=512, help="of each split (default: 512)")
    p.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    p.add_argument("--sizes", choices=SIZES, default="photographs")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        render(folder, 2 * args.images, *SIZES[args.sizes])
        building.build(folder).save(folder / "manifest.npz")
        processes, absent = {}, {}
        for name in CANDIDATES:
            try:
                processes[name] = Process(name, folder)
                processes[name].ask("pixels")
            except Absent as reason:
                absent[name] = str(reason)
                processes.pop(name, None)
        ms = in_turn(processes, args.rounds)
        table = [
            [name, *(ms[name, title] for title in WORKS), apart(folder, name)] for name in processes
        ]
    size = "×".join(map(str, reversed(SIZES[args.sizes])))
    print(f"Processor milliseconds a crop; {args.images} JPEGs of {size}, {args.rounds} rounds\n")
    head = ["", *WORKS, f"levels off (of {SHOWN} crops)"]
    print(
        tabulate(table, head, floatfmt=".2f", tablefmt="github", disable_numparse=[len(head) - 1])
    )
    for name, reason in absent.items():
        print(f"\n{name}: {reason}")
    names = ("torch", "torchvision", "pillow-simd", "nvidia-dali-cuda130")
    print("\n" + ", ".join(f"{name} {version(name)}" for name in names) + f", {FFCV}")


if __name__ == "__main__":
    main()
