"""Why some networks are not best tested above k_train on 64-px images (docs/tiny-imagenet.md).

    python benchmarks/sharp_crops.py results --configfile configs/tiny.yaml --k-train 32
    python benchmarks/sharp_crops.py results --configfile configs/tiny.yaml --k-train 16 \\
        --k-test 16 18 20 22 24 28 32

Evaluates the finished networks of one k_train, and prints the top-1 accuracy for each seed and
their mean. The first command tests whether sharpness is the cause: images of 64 px are resized to
64 px before crops of 56 px are cut, so these crops are as sharp as the images. Crops of 112 px are
cut from images that were enlarged exactly twice. It compares them with crops from images that are
one pixel smaller and larger. The second command looks between the test resolutions of Table 5.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from fixres import config

SIDES = {56: (63, 64, 65), 112: (127, 128, 129)}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("results", type=Path)
    p.add_argument("--configfile", type=Path, required=True)
    p.add_argument("--k-train", type=int, default=32)
    p.add_argument("--k-test", type=int, nargs="+", help="these, in place of sides at 56 and 112")
    args = p.parse_args()
    dataset = config.load("config.yaml", args.configfile).dataset
    runs = sorted((args.results / "runs" / dataset).iterdir())
    of_a_seed = re.compile(rf"resnet10q-k{args.k_train}(-s\d+)?")
    runs = [run for run in runs if of_a_seed.fullmatch(run.name)]
    runs = [run for run in runs if (run / "evaluation/metrics.json").is_file()]
    if not runs:
        sys.exit(f"{args.results}: no finished network of k_train {args.k_train} and {dataset}.")
    manifest = args.results / "data" / dataset / "manifest.npz"
    if args.k_test:
        show({run.name: over_k_test(run, manifest, args.k_test) for run in runs}, "by k_test")
        return
    for k_test, sides in SIDES.items():
        found = {run.name: over_sides(run, manifest, k_test, sides) for run in runs}
        show(found, f"k_test {k_test}, by the side of the resized image")


def show(found: dict[str, dict[int, float]], title: str) -> None:
    measured = pd.DataFrame(found).T
    measured.loc["mean"] = measured.mean()
    print(f"\n{title}\n")
    print(tabulate(measured, headers="keys", tablefmt="pipe", floatfmt=".1f"), flush=True)


def over_k_test(run: Path, manifest: Path, k_tests: list[int]) -> dict[int, float]:
    """Top-1 accuracy (%) of a run at each k_test."""
    found = evaluated(run, manifest, {"k_test": k_tests})
    return {k: found[str(k)]["top1"] for k in k_tests}


def over_sides(run: Path, manifest: Path, k_test: int, sides: tuple[int, ...]) -> dict[int, float]:
    """Top-1 accuracy (%) of a run on crops of k_test from images of each side."""
    crop_pct = [round(k_test / (side + 0.5), 6) for side in sides]  # the side is rounded down
    found = evaluated(run, manifest, {"k_test": [k_test], "crop_pct": crop_pct})[str(k_test)]
    return {side: found[f"top1@{pct:g}"] for side, pct in zip(sides, crop_pct, strict=True)}


def evaluated(run: Path, manifest: Path, asked: dict) -> dict[str, dict]:
    """The metrics of an evaluation with other settings, by k_test."""
    about = json.loads((run / "evaluation/config.json").read_text())
    about |= {"ten_crops": []} | asked
    with tempfile.TemporaryDirectory() as folder:
        (file := Path(folder, "config.json")).write_text(json.dumps(about))
        command = ["fixres", "evaluate", "--config", file, "--manifest", manifest]
        command += ["--weights", run / "weights.safetensors", "--out", Path(folder, "metrics.json")]
        subprocess.run([sys.executable, "-m", *command], check=True, stderr=subprocess.DEVNULL)
        return json.loads(Path(folder, "metrics.json").read_text())["k_test"]


if __name__ == "__main__":
    main()
