"""Why fine-tuning does not bring pooled activations back on 64-px images (docs/tiny-imagenet.md).

    python benchmarks/pooled_windows.py RESULTS [STATISTICS] --dataset tiny-imagenet

RESULTS has the finished runs of Figure 4 with `fine_tuning.batch_norm: affine+statistics`, the
default; STATISTICS those with `batch_norm: statistics`. For each seed and k_test, the activations
behind the last ReLU are averaged over windows of w×w places, and the distribution of the averages
is compared with the distribution at k_train, of windows of the same size: the largest gap between
the two CDFs, in points. w = 1 is no average, w = map the global pooling, whose windows differ in
size between the resolutions.
"""

import argparse
import json
import re
import tempfile
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

K_TRAIN, K_TESTS, STRIDE = 56, (16, 32, 112), 8
IMAGES = 2000
HOW = {"as it is": None, "statistics": "cls+bnstats", "affine + statistics": "cls+bn"}
Counts = dict[str, np.ndarray]  # "map", or the side of the windows -> counts in `pooled.EDGES`


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("results", type=Path)
    p.add_argument("statistics", type=Path, nargs="?")
    p.add_argument("--dataset", default="tiny-imagenet")
    args = p.parse_args()
    manifest = args.results / "data" / args.dataset / "manifest.npz"
    runs = sorted((args.results / "runs" / args.dataset).iterdir())
    runs = [r for r in runs if re.fullmatch(rf"resnet10q-k{K_TRAIN}(-s\d+)?", r.name)]
    gaps: dict[tuple, list[float]] = {}
    for base in runs:
        native = counted(base, manifest, K_TRAIN)
        for k in K_TESTS:
            for how, layers in HOW.items():
                folder = base if layers is None else base / f"ft-k{k}-{layers}-testda"
                if how == "statistics" and args.statistics:
                    folder = args.statistics / folder.relative_to(args.results)
                if not (folder / "weights.safetensors").is_file():
                    continue
                found = counted(folder, manifest, k)
                for w in ("1", str(common(k)), "map"):
                    gap = 100 * np.abs(cdf(found[w]) - cdf(native[w])).max()
                    gaps.setdefault((k, w, how), []).append(gap)
        print(base.name, flush=True)
    show(gaps)


def common(k: int) -> int:
    """The side of the largest window that fits the maps of k_test and of k_train."""
    return min(k, K_TRAIN) // STRIDE


def show(gaps: dict[tuple, list[float]]) -> None:
    rows = []
    for k in K_TESTS:
        for w in ("1", str(common(k)), "map"):
            found = [gaps.get((k, w, how), []) for how in HOW]
            cells = [f"{np.mean(x):.1f} ({min(x):.1f} to {max(x):.1f})" if x else "" for x in found]
            rows.append([k, w, *cells])
    print(tabulate(rows, ["k_test", "window", *HOW], tablefmt="pipe"))


def counted(folder: Path, manifest: Path, k: int) -> Counts:
    """The distributions of a run's network at one k_test."""
    about = json.loads((folder / "config.json").read_text())
    about = {name: about[name] for name in ("run", "network", "entry") if name in about}
    about |= {"stage": "activations", "version": 1, "test_resize": "paper", "k": k, "seed": 0}
    with tempfile.TemporaryDirectory() as temporary:
        (file := Path(temporary, "config.json")).write_text(json.dumps(about))
        out = Path(temporary, "counts.npz")
        words = ["--config", file, "--manifest", manifest, "--threads", "1"]
        words += ["--weights", folder / "weights.safetensors", "--out", out]
        run(windows, "activations", __doc__, [str(w) for w in words], "manifest", "weights", "out")
        with np.load(out) as kept:
            return dict(kept)


def windows(job: Opened) -> None:
    """Count the averages over windows of each size; write them as --out."""
    k = job.config["k"]
    rows = job.data.rows("val")
    rows = rows[:: len(rows) // IMAGES]
    probe = job.device.prepare(matching.watch(job.load())[0])
    sizes = sorted({1, k // STRIDE, *map(common, K_TESTS)})
    counts: Counts = {}
    with one_pass("windows", job.reader(rows), job.test_da, [Cropping(k)]) as batches:
        for _, _, x in batches:
            before, behind = probe(x)
            active = torch.relu(before)
            means = {str(w): avg_pool2d(active, w, stride=1) for w in sizes if w <= k // STRIDE}
            for w, values in (means | {"map": behind}).items():
                counts[w] = counts.get(w, 0) + pooled.count(values).sum(0).numpy()
    np.savez(job.args.out, **counts)


if __name__ == "__main__":
    main()
