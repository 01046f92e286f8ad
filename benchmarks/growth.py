"""How cost grows: Table 5 over images, k_test, seeds; planning over cells; manifests over images.

    .venv/bin/python benchmarks/growth.py [table5] [planning] [manifest]      (default: all three)

- table5: processor seconds of `snakemake results/table5.md` from nothing, at a small scale. One of
  the three numbers grows at a time; a straight line is fitted to its points. The constant is what
  the run costs however small that number is: start-up, and the work that it does not touch.
- planning: seconds and memory of `snakemake results/table5.md -n` with ever more seeds. An
  adapted cell is two jobs; the others of one training share one. A power is fitted.
- manifest: seconds and memory of a job that loads the manifest of ever more images and orders one
  epoch, up to the 14,197,122 of ImageNet-21k. A straight line is fitted.
"""

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from manifest import LOADED, synthetic
from tabulate import tabulate

ROOT = Path(__file__).parent.parent
SMOKE = yaml.safe_load((ROOT / "configs/smoke.yaml").read_text(encoding="utf-8"))
IMAGES, K_TEST, SEEDS = (
    [240, 960, 2880],
    [[16, 32], [16, 24, 32, 40], [8, 16, 24, 32, 40, 48, 56]],
    3,
)
PLANNED = [1, 5, 20, 80, 160]  # seeds; 63 cells each
ROWS = [1_281_167, 5_000_000, 14_197_122]  # ImageNet, …, ImageNet-21k


def usage(command: list[str], folder: Path) -> tuple[float, float, float]:
    """(processor seconds, seconds, megabytes at most) of a command and all that it starts."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    path = f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    watched = [sys.executable, "-c", PEAK, *command]
    done = subprocess.run(
        watched, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak = float(re.findall(r"peak ([\d.]+)", done.stdout)[-1])
    return spent, time.perf_counter() - started, peak


# Runs a command and prints the largest memory of one of its processes.
PEAK = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000)
sys.exit(code)
"""


def snakemake(folder: Path, over: dict, *words: str) -> tuple[float, float, float]:
    """Run Table 5 at the smoke scale with other settings, from nothing."""
    file = folder / "over.yaml"
    file.write_text(yaml.safe_dump(over))
    command = ["snakemake", "-s", ROOT / "Snakefile", "results/table5.md", "--cores", "2", *words]
    command += ["--configfile", ROOT / "config.yaml", ROOT / "configs/smoke.yaml", file]
    return usage(list(map(str, command)), folder)


def line(x: list[float], y: list[float]) -> tuple[float, float, float]:
    """(slope, constant, largest miss in per cent) of a straight line through the points."""
    slope, constant = np.polyfit(x, y, 1)
    missed = np.abs(slope * np.array(x) + constant - y) / y
    return float(slope), float(constant), 100 * float(missed.max())


# --- Table 5 --------------------------------------------------------------------------------------


def with_images(n: int) -> dict:
    """All that follows from the number of images grows with it: epochs are of all of them."""
    set_ = {"rendered": {"train_images": n, "val_images": n // 2}}
    training = {"samples_per_epoch": n, "repeated_augmentation": 1}
    tuning = {"images": n // 2}
    return {"datasets": {"pinhole-smoke": set_}, "base_training": training, "fine_tuning": tuning}


def table5() -> None:
    """Grow one number at a time."""
    usual = with_images(IMAGES[1])
    growing = {
        "images": [(n, with_images(n)) for n in IMAGES],
        "k_test": [(len(k), usual | {"table5": {"k_test": k}, "k_largest": 56}) for k in K_TEST],
        "seeds": [(n + 1, usual | {"seeds": list(range(n + 1))}) for n in range(SEEDS)],
    }
    rows = []
    for what, points in growing.items():
        spent = []
        for _, over in points:
            with tempfile.TemporaryDirectory() as folder:
                spent.append(snakemake(Path(folder), over)[0])
        numbers = [n for n, _ in points]
        slope, constant, missed = line(numbers, spent)
        measured = ", ".join(f"{s:.0f} at {n}" for n, s in zip(numbers, spent, strict=True))
        rows.append([what, measured, f"{constant:.1f} + {slope:.3g}·n", f"{missed:.0f}%"])
    print("Processor seconds of Table 5 at a small scale\n")
    print(tabulate(rows, ["n", "measured", "fit", "largest miss"], "github"), "\n")


# --- planning -------------------------------------------------------------------------------------


def planning() -> None:
    """A dry run over ever more seeds."""
    whole = {"table5": {"k_train": [8, 16, 24, 32, 40], "k_train_adapted": [8, 16, 24, 32]}}
    whole["table5"]["k_test"] = [8, 16, 24, 32, 40, 48, 56]
    rows = []
    for seeds in PLANNED:
        over = whole | {"seeds": list(range(seeds)), "k_largest": 56}
        with tempfile.TemporaryDirectory() as folder:
            _, seconds, peak = snakemake(Path(folder), over, "-n", "--quiet", "all")
        rows.append((63 * seeds, seconds, peak))
    cells, seconds, _ = (np.array(column) for column in zip(*rows, strict=True))
    power = np.polyfit(np.log(cells[2:]), np.log(seconds[2:]), 1)[0]
    print("A dry run of Table 5\n")
    print(tabulate(rows, ["cells", "seconds", "MB"], "github", floatfmt=("", ".1f", ".0f")))
    print(f"\nseconds grow as cells^{power:.2f} from {cells[2]} cells on\n")


# --- manifests ------------------------------------------------------------------------------------


def manifests() -> None:
    """A job's view of ever more images."""
    rows = []
    for images in ROWS:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "manifest.npz")
            synthetic(images, images // 25).save(file)
            command = [sys.executable, "-c", LOADED, str(file), str(images), "1"]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout)
            size = file.stat().st_size / 1e6
        keys = ("load", "order", "digest", "MB at most")
        rows.append([images, *(found[key] for key in keys), size])
    heads = [
        "training images",
        "load, s",
        "order an epoch, s",
        "digest, s",
        "MB of a job",
        "MB on disk",
    ]
    print("Manifests\n")
    print(tabulate(rows, heads, "github", floatfmt=("", ".2f", ".2f", ".2f", ".0f", ".0f")))
    slope, constant, _ = line([r[0] for r in rows], [r[4] for r in rows])
    print(f"\nmemory: {constant:.0f} MB + {1e6 * slope:.0f} bytes an image")


PARTS = {"table5": table5, "planning": planning, "manifest": manifests}


def main() -> None:
    asked = sys.argv[1:] or list(PARTS)
    unknown = [name for name in asked if name not in PARTS]
    if unknown:
        sys.exit(f"found {unknown[0]}; expected some of {', '.join(PARTS)}")
    for name in asked:
        PARTS[name]()


if __name__ == "__main__":
    main()
