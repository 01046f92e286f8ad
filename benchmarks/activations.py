"""What claims on activations depend on, on 64-px images (docs/tiny-imagenet.md).

    python benchmarks/activations.py RESULTS [STATISTICS]

RESULTS has the finished runs of Figure 4 with `fine_tuning.batch_norm: affine+statistics`, the
default; STATISTICS those with `batch_norm: statistics`. Means over the seeds, lowest and highest.

1. The activations behind the last ReLU are averaged over windows of w×w places. The distribution of
   the averages is compared with the distribution at k_train, of windows of the same size: the
   largest gap between the two CDFs, in points. w = 1 is no average; the map is what the global
   pooling averages, and its size differs between the resolutions.
2. Before the last ReLU, the mean size of the channels' means and the mean of their variances: over
   all places of the map, over the places at its border, and over the inner places.
"""

import argparse
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate
from torch.nn.functional import avg_pool2d

from fixres.artifacts.predictions import Cropping
from fixres.graph.values import cdf
from fixres.models import matching, pooled
from fixres.stages.opened import Opened, run
from fixres.stages.passes import one_pass

DATASET, NETWORK, K_TRAIN, STRIDE = "tiny-imagenet", "resnet10q", 56, 8
IMAGES = 2000
RETURNED = 16, 32, 112  # k_test of Figure 4
SHIFTED = 16, 24, 32, 40, 56, 80, 112
WHERE = "all", "border", "inner"
HOW = {"as it is": None, "statistics": "cls+bnstats", "affine + statistics": "cls+bn"}
Arrays = dict[str, np.ndarray]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("results", type=Path)
    p.add_argument("statistics", type=Path, nargs="?")
    args = p.parse_args()
    runs = sorted((args.results / "runs" / DATASET).iterdir())
    runs = [r for r in runs if re.fullmatch(rf"{NETWORK}-k{K_TRAIN}(-s\d+)?", r.name)]
    show_gaps([gaps(args, base) for base in runs])
    show_moments([measured(moments, args, base, SHIFTED) for base in runs])


def measured(stage: Callable[[Opened], None], args, folder: Path, k_tests: tuple) -> Arrays:
    """What a measurement says of a run's network."""
    about = {"run": "runs/x", "network": NETWORK, "stage": "activations", "version": 1, "seed": 0}
    about |= {"test_resize": "paper", "k_test": k_tests}
    with tempfile.TemporaryDirectory() as temporary:
        (file := Path(temporary, "config.json")).write_text(json.dumps(about))
        out = Path(temporary, "measured.npz")
        words = ["--config", file, "--manifest", args.results / f"data/{DATASET}/manifest.npz"]
        words += ["--weights", folder / "weights.safetensors", "--out", out, "--threads", 1]
        words = [str(word) for word in words]
        run(stage, "activations", __doc__, words, "manifest", "weights", "out")
        with np.load(out) as kept:
            return dict(kept)


# --- gaps between distributions -------------------------------------------------------------------


def gaps(args, base: Path) -> dict[tuple, float]:
    """(k_test, windows, adaptation) -> the gap to the distribution at k_train, of one seed."""
    native = measured(windows, args, base, (K_TRAIN,))
    found = {}
    for k in RETURNED:
        for how, layers in HOW.items():
            folder = base if layers is None else base / f"ft-k{k}-{layers}-testda"
            if how == "statistics" and args.statistics:
                folder = args.statistics / folder.relative_to(args.results)
            if (folder / "weights.safetensors").is_file():
                here = measured(windows, args, folder, (k,))
                for w in windows_of(k):
                    found[k, w, how] = 100 * np.abs(cdf(here[w]) - cdf(native[w])).max()
    return found


def windows_of(k: int) -> tuple[str, ...]:
    """No average, the largest window that fits the maps of k_test and of k_train, and the map."""
    return "1", str(min(k, K_TRAIN) // STRIDE), "map"


def windows(job: Opened) -> None:
    """Count the averages over windows of each size, in bins; write the counts as --out."""
    sizes = sorted({int(w) for k in RETURNED for w in windows_of(k)[:2]})
    counts: Arrays = {}
    for k, before, behind in maps(job):
        active = torch.relu(before)
        means = {str(w): avg_pool2d(active, w, stride=1) for w in sizes if w <= k // STRIDE}
        for w, values in (means | {"map": behind}).items():
            counts[w] = counts.get(w, 0) + pooled.count(values).sum(0).numpy()
    np.savez(job.args.out, **counts)


def show_gaps(of_seeds: list[dict]) -> None:
    rows = []
    for k in RETURNED:
        for w in windows_of(k):
            keys = [(k, w, how) for how in HOW]
            rows.append(
                [k, w, *(spread([seed[key] for seed in of_seeds if key in seed]) for key in keys)]
            )
    print(tabulate(rows, ["k_test", "window", *HOW], tablefmt="pipe"))


def spread(numbers: list[float]) -> str:
    if not numbers or np.isnan(numbers).any():
        return "–"
    return f"{np.mean(numbers):.1f} ({min(numbers):.1f} to {max(numbers):.1f})"


# --- moments before the last ReLU -----------------------------------------------------------------


def moments(job: Opened) -> None:
    """Sums over the images at each place and k_test; write means and variances as --out."""
    sums: dict[int, list] = {}
    for k, before, _ in maps(job):
        now = before.double()
        of_k = sums.setdefault(k, [0, 0, 0])
        for i, more in enumerate((now.sum(0), now.square().sum(0), len(now))):
            of_k[i] += more
    found = {}
    for k, (first, second, n) in sums.items():
        inner = torch.zeros(first.shape[1:], dtype=torch.bool)
        inner[1:-1, 1:-1] = True
        for name, places in (("all", inner | True), ("border", ~inner), ("inner", inner)):
            mean = (first / n)[:, places].mean(1)
            variance = (second / n)[:, places].mean(1) - mean**2
            found[f"{k} {name}"] = [mean.abs().mean(), variance.mean()]
    np.savez(job.args.out, **found)


def show_moments(of_seeds: list[Arrays]) -> None:
    for i, what in enumerate(("mean", "variance")):
        rows = [
            [k, *(spread([seed[f"{k} {where}"][i] for seed in of_seeds]) for where in WHERE)]
            for k in SHIFTED
        ]
        print(f"\nchannel {what}\n\n{tabulate(rows, ['k_test', *WHERE], tablefmt='pipe')}")


def maps(job: Opened) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """Batch by batch: k_test, the activations before the last ReLU, and the pooled ones."""
    rows = job.data.rows("val")
    rows = rows[:: max(1, len(rows) // IMAGES)]
    probe = job.device.prepare(matching.watch(job.load())[0])
    croppings = [Cropping(k) for k in job.config["k_test"]]
    with one_pass("activations", job.reader(rows), job.test_da, croppings) as batches:
        for cropping, _, x in batches:
            yield cropping.k, *probe(x)


if __name__ == "__main__":
    main()
