"""Is accuracy low at 56 px because only these crops are not resampled? (docs/tiny-imagenet.md)

    python benchmarks/sharp_crops.py results --configfile configs/tiny.yaml --k-train 32

Images of 64 px are resized to 64 px before crops of 56 px are cut, so these crops are as sharp as
the images. Crops of 112 px are cut from images that were enlarged exactly twice. This evaluates the
finished networks of one k_train on crops from images that are one pixel smaller and larger, and
prints the top-1 accuracy for each seed and their mean.
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
    args = p.parse_args()
    dataset = config.load("config.yaml", args.configfile).dataset
    runs = sorted((args.results / "runs" / dataset).iterdir())
    of_a_seed = re.compile(rf"resnet10q-k{args.k_train}(-s\d+)?")
    runs = [run for run in runs if of_a_seed.fullmatch(run.name)]
    runs = [run for run in runs if (run / "evaluation/metrics.json").is_file()]
    if not runs:
        sys.exit(f"{args.results}: no finished network of k_train {args.k_train} and {dataset}.")
    manifest = args.results / "data" / dataset / "manifest.npz"
    for k_test, sides in SIDES.items():
        measured = pd.DataFrame({run.name: top1(run, manifest, k_test, sides) for run in runs}).T
        measured.loc["mean"] = measured.mean()
        print(f"\nk_test {k_test}, by the side of the resized image\n")
        print(tabulate(measured, headers="keys", tablefmt="pipe", floatfmt=".1f"), flush=True)


def top1(run: Path, manifest: Path, k_test: int, sides: tuple[int, ...]) -> dict[int, float]:
    """Top-1 accuracy (%) of a run on crops of k_test out of images of each side."""
    about = json.loads((run / "evaluation/config.json").read_text())
    crop_pct = [round(k_test / (side + 0.5), 6) for side in sides]  # the side is rounded down
    about |= {"k_test": [k_test], "crop_pct": crop_pct, "ten_crops": []}
    with tempfile.TemporaryDirectory() as folder:
        (asked := Path(folder, "config.json")).write_text(json.dumps(about))
        command = ["fixres", "evaluate", "--config", asked, "--manifest", manifest]
        command += ["--weights", run / "weights.safetensors", "--out", Path(folder, "metrics.json")]
        subprocess.run([sys.executable, "-m", *command], check=True, stderr=subprocess.DEVNULL)
        found = json.loads(Path(folder, "metrics.json").read_text())["k_test"][str(k_test)]
    return {side: found[f"top1@{pct:g}"] for side, pct in zip(sides, crop_pct, strict=True)}


if __name__ == "__main__":
    main()
