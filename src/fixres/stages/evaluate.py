"""Evaluation: top-1 and top-5 of one network at several k_test (§5).

    python -m fixres evaluate --config results/runs/pinhole/resnet10q-k56/evaluation/config.json \\
        --manifest results/data/pinhole/manifest.npz \\
        --weights results/runs/pinhole/resnet10q-k56/weights.safetensors \\
        --out results/runs/pinhole/resnet10q-k56/evaluation/metrics.json

hits.npz beside the result says which images were classified correctly (artifacts/per_image.py).

The predictions for every image are kept in predictions/k<k_test>.npz beside the result. Those of
ten crops an image are in k<k_test>_10crops.npz. With the released test transform, both lie in
predictions_released/. Those at a ratio of the key crop_pct (crop over resized image) are in
k<k_test>@<crop_pct>.npz; their metrics are called top1@<crop_pct>, and there is no plain top1. A
file that belongs to exactly these weights and images is not computed again. So a table that gets
one more resolution costs only that one.

What is missing is computed by stages/predict.py. A fine-tuning leaves predictions, too. Where
nothing is missing, no network is built and torch is not imported: its import takes longer than all
the rest.
"""

import argparse
import os
import re
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fixres import jobs
from fixres.artifacts import manifest, per_image
from fixres.data import regions, sampling


def main(arguments: list[str]) -> None:
    p = jobs.device_options(jobs.parser("evaluate", __doc__, "manifest", "weights", "out"))
    args = p.parse_args(arguments)
    # Of several processes that were started from outside, none goes its own way.
    if "RANK" not in os.environ and finish_with_known(args):
        return
    from fixres.hardware import processes
    from fixres.stages import predict

    processes.run(predict.evaluate, args, ["evaluate", *arguments])


def finish_with_known(args: argparse.Namespace) -> bool:
    """Write the result, if earlier jobs have left all predictions. Returns whether they have."""
    startup = time.process_time()
    config = jobs.read_config(args.config, "evaluate", args.ancestry_digest)
    folder = predictions_folder(args.out.parent, config)
    if not (folder.is_dir() and args.weights.is_file()):
        return False
    jobs.record_inputs(args.weights)
    data = manifest.load(args.manifest)
    keys = prediction_keys(config, data, args.weights)
    known = known_predictions(folder, keys, quiet=True)
    parameters = parameters_in(folder, keys)
    if len(known) < len(keys) or parameters is None:
        return False
    log_known(known)
    write_result(args.out, config, data, known, parameters)
    jobs.log_times(startup)
    return True


def write_result(
    out: Path,
    config: dict,
    data: manifest.Manifest,
    predicted: "dict[View, np.ndarray]",
    parameters: int,
) -> None:
    """Write metrics.json and hits.npz.

    Parameters
    ----------
    predicted : (n, 5) classes of the validation images for each view, best first.
    parameters : of the network.
    """
    rows = data.rows("val")
    labels, paths = data.label[rows], data.path[rows]
    by_metric = {(view.k, view.suffix): top for view, top in predicted.items()}
    right = per_image.of_predictions(paths, labels, by_metric)
    per_image.save(out.parent / "hits.npz", right)
    result = {
        "run": config["run"],
        "images": len(rows),
        "folds": config["folds"],
        "k_test": metrics(list(predicted), predicted, labels, config["folds"]),
        "hits": right.digest,
        "parameters": parameters,
        "notes": list(getattr(data, "notes", ())),
    }
    jobs.write_json(out, result)


# --- what is measured --------------------------------------------------------------------------


class View(NamedTuple):
    """How each image is looked at: k_test, and the number of crops."""

    k: int
    crops: int  # of an image: 1, or TEN (§5.1, "an ensemble of 10 crops at test time")
    ratio: float | None = None  # crop_pct; None: the test transform of the paper, or the released

    @property
    def suffix(self) -> str:
        return per_image.metric("", self.ratio) if self.crops == 1 else f"_{self.crops}crops"

    @property
    def name(self) -> str:
        return f"k{self.k}{self.suffix}"

    def __str__(self) -> str:
        if self.ratio:
            return f"{self.k} (crop_pct {self.ratio:g})"
        return f"{self.k}" if self.crops == 1 else f"{self.k} ({self.crops} crops)"


def prediction_keys(config: dict, data: manifest.Manifest, weights: Path) -> dict[View, str]:
    """For each view that the configuration asks for, a digest of all that its predictions follow.

    Predictions in a file with another key belong to something else, and are not used.
    """
    views = [View(k, 1, r) for k in config["k_test"] for r in config.get("crop_pct", [None])]
    views += [View(k, regions.TEN) for k in config.get("ten_crops", [])]
    resize = config["test_resize"]
    transform = "test DA" if resize == "paper" else f"test DA ({resize})"
    network = (config["network"], str(config["version"]))
    network += (jobs.canonical(config["entry"]),) if "entry" in config else ()
    shared = (*network, data.digest(), jobs.file_digest(weights))
    return {view: jobs.digest(f"{transform} {view.k}" + view.suffix, *shared) for view in views}


# --- files of predictions ----------------------------------------------------------------------


def predictions_folder(folder: Path, config: dict) -> Path:
    """Where the predictions of an evaluation in `folder` lie: each test transform has its own."""
    of_transform = {"paper": "predictions", "released": "predictions_released"}
    return folder / of_transform[config["test_resize"]]


def known_predictions(
    folder: Path, keys: dict[View, str], quiet: bool = False
) -> dict[View, np.ndarray]:
    """The predictions that an earlier job has left, by view. `quiet`: damage is not logged."""
    found = {v: load_predictions(folder / f"{v.name}.npz", key, quiet) for v, key in keys.items()}
    return {view: top for view, top in found.items() if top is not None}


def log_known(known: dict[View, np.ndarray]) -> None:
    """Say which predictions are kept."""
    if known:
        jobs.log(f"predictions kept: k_test {', '.join(map(str, known))}")


def parameters_in(folder: Path, keys: dict[View, str]) -> int | None:
    """How many parameters the network has, by a file of predictions.

    None where the file is damaged, or of a version that did not say it.
    """
    try:
        with np.load(folder / f"{next(iter(keys)).name}.npz", allow_pickle=False) as archive:
            return int(archive["parameters"])
    except Exception:  # any exception: it depends on the byte that is broken
        return None


def load_predictions(path: Path, key: str, quiet: bool = False) -> np.ndarray | None:
    """(n, 5) predicted classes, best first.

    None where the file is missing or damaged, or has another key.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive["top"] if str(archive["key"]) == key else None
    except FileNotFoundError:
        return None
    except Exception as error:  # any exception: it depends on the byte that is broken
        if not quiet:
            jobs.log(f"predictions ignored: {path} is damaged ({error})")
        return None


def save_all(
    folder: Path,
    keys: dict[View, str],
    data: manifest.Manifest,
    predicted: dict[View, np.ndarray],
    parameters: int,
) -> None:
    """Write a file for each view, with paths and true classes of the images.

    Parameters
    ----------
    predicted : (n, 5) classes of the validation images for each view, best first.
    parameters : of the network. An evaluation reports them.
    """
    rows = data.rows("val")
    for view, top in predicted.items():
        named = {"path": data.path[rows], "label": data.label[rows], "top": top}
        named |= {"key": np.array(keys[view]), "parameters": np.array(parameters)}
        with jobs.atomic(folder / f"{view.name}.npz") as temporary, open(temporary, "wb") as f:
            np.savez(f, **named)


# --- accuracy ----------------------------------------------------------------------------------


def metrics(
    views: list[View], predicted: dict[View, np.ndarray], labels: np.ndarray, folds: int
) -> dict[str, dict[str, float]]:
    """The accuracies of each k_test by name: top1, top1_std, top5, top1_10crops …"""
    measured: dict[str, dict[str, float]] = {}
    for view in views:
        m = accuracy(predicted[view], labels, folds)
        top1 = f"top-1 {m['top1']:.2f} ± {m['top1_std']:.2f}"
        jobs.log(f"k_test {view}: {top1}, top-5 {m['top5']:.2f}")
        named = {re.sub(r"^top\d", rf"\g<0>{view.suffix}", name): m[name] for name in m}
        measured.setdefault(str(view.k), {}).update(named)
    return measured


def accuracy(top: np.ndarray, labels: np.ndarray, folds: int) -> dict[str, float]:
    """Top-1 and top-5 in per cent, and the standard deviation of top-1 over the folds (§5).

    The images are split at random into `folds` parts, always in the same way. For each part the
    accuracy is taken on all images outside it; the standard deviation is that of these numbers.

    Parameters
    ----------
    top : (n, t) predicted classes, best first.
    labels : (n,) true classes.
    """
    right = top == labels[:, None]
    order, _ = sampling.order(0, 0, len(labels), len(labels))
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % folds
    without = [right[fold != i, 0].mean() for i in range(folds)]
    return {
        "top1": 100 * float(right[:, 0].mean()),
        "top5": 100 * float(right.any(axis=1).mean()),
        "top1_std": 100 * float(np.std(without)),
    }
