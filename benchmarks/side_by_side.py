"""Two concurrent trainings, or one after the other: how much parallel jobs slow each other down.

    .venv/bin/python benchmarks/side_by_side.py [K_TRAIN ...]     (default: 32 56 96)

It needs results/data/pinhole: run `make table5` first.

Each training is the command that the rule runs, with one thread and as many steps as take some ten
seconds. In each of five rounds, A and B run first one after the other, then concurrently. If
parallel jobs did not slow each other down, the two would take as long on two cores as one does.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tabulate import tabulate

ROOT = Path(__file__).parent.parent
MANIFEST = ROOT / "results/data/pinhole/manifest.npz"
ROUNDS = 5
CROPS_AT_32 = 15_000  # of one training; at a higher resolution fewer, by their cost
# What Snakemake gives a job of one thread.
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
ENVIRONMENT = os.environ | THREADS


def command(folder: Path, config: dict, name: str) -> list[str]:
    """The command of a training in its own folder, below `folder`."""
    out = folder / name
    out.mkdir(exist_ok=True)
    (out / "config.json").write_text(json.dumps(config))
    words = [sys.executable, "-m", "fixres", "train", "--config", out / "config.json"]
    words += ["--manifest", MANIFEST, "--threads", 1, "--checkpoint-seconds", 3600]
    return [str(word) for word in [*words, "--out", out / "weights.safetensors"]]


def seconds(*commands: list[str]) -> float:
    """Start all commands together; how long until the last one has ended."""
    started = time.perf_counter()
    running = [subprocess.Popen(c, env=ENVIRONMENT, stderr=subprocess.DEVNULL) for c in commands]
    for process in running:
        if process.wait():
            sys.exit("a training failed: run it by hand")
    return time.perf_counter() - started


def measure(folder: Path, config: dict) -> tuple[float, float]:
    """Seconds (one after the other, side by side): the medians of the rounds."""
    pair = [command(folder, config, name) for name in "ab"]
    rounds = [(sum(map(seconds, pair)), seconds(*pair)) for _ in range(ROUNDS)]
    return tuple(statistics.median(times) for times in zip(*rounds, strict=True))


# Run by a separate process: python -c PLAN K_TRAIN
PLAN = """
import json, sys
from fixres import config, paper
from fixres.graph.asking import train
plan = paper.plan_of(config.load("config.yaml"))
print(json.dumps(train(plan, int(sys.argv[1])).config))
"""


def planned(k_train: int) -> dict:
    """The resolved configuration of the embedded scale's base training."""
    words = [sys.executable, "-c", PLAN, str(k_train)]
    done = subprocess.run(
        words, capture_output=True, text=True, check=True, cwd=ROOT, env=ENVIRONMENT
    )
    return json.loads(done.stdout)


def main() -> None:
    resolutions = [int(k) for k in sys.argv[1:]] or [32, 56, 96]
    if not MANIFEST.is_file():
        sys.exit(f"{MANIFEST}: missing. Run `snakemake results/data/pinhole/manifest.npz` first.")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for k in resolutions:
            config = planned(k)
            config["recipe"] |= {"epochs": 1, "samples_per_epoch": CROPS_AT_32 * 32**2 // k**2}
            alone, beside = measure(Path(folder), config)
            rows.append([k, alone, beside, f"{100 * (2 * beside / alone - 1):+.0f}%"])
    print("Two trainings, one thread each, seconds.")
    print("The loss is how much longer each takes than by itself.\n")
    print(
        tabulate(rows, headers=["k_train", "A then B", "A and B at once", "loss"], floatfmt=".1f")
    )


if __name__ == "__main__":
    main()
