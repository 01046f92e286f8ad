"""Evaluation: top-1 and top-5 of one network at several k_test (§5).

    python -m fixres evaluate --config results/runs/pinhole/resnet10q-k56/evaluation/config.json \\
        --manifest results/data/pinhole/manifest.npz \\
        --weights results/runs/pinhole/resnet10q-k56/weights.safetensors \\
        --out results/runs/pinhole/resnet10q-k56/evaluation/metrics.json

hits.npz beside the result says which images were classified correctly (data/per_image.py).

Each validation image is decoded once for all k_test. The classifier computes in float32, whatever
the precision of the job: logits in bf16 tie.

The predictions for every image are kept in predictions/k<k_test>.npz beside the result. Those of
ten crops an image are in k<k_test>_10crops.npz. With the released test transform, both lie in
predictions_released/. Those at a ratio of the key crop_pct (crop over resized image) are in
k<k_test>@<crop_pct>.npz; their metrics are called top1@<crop_pct>, and there is no plain top1. A
file that belongs to exactly these weights and images is not computed again. So a table that gets
one more resolution costs only that one.
"""

import argparse
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from fixres import jobs
from fixres.data import manifest, per_image, regions, requests, sampling
from fixres.jobs import processes
from fixres.jobs.device import open_device
from fixres.jobs.ranks import Ranks
from fixres.models import matching, zoo
from fixres.models.float32 import compute_in_float32

TOP = 5  # predicted classes that are kept for each image


def main(arguments: list[str]) -> None:
    p = jobs.device_options(jobs.parser("evaluate", __doc__, "manifest", "weights", "out"))
    processes.run(evaluate, p.parse_args(arguments), ["evaluate", *arguments])


def evaluate(args: argparse.Namespace, ranks: Ranks) -> None:
    config = jobs.read_config(args.config, "evaluate", args.ancestry_digest)

    # The validation images.
    data = manifest.load(args.manifest)
    device = open_device(args.device, args.precision, args.threads, ranks, args.compile)
    startup = time.process_time()
    rows = data.rows("val")

    # The network.
    entry = zoo.entry_of(config)
    network = matching.load(entry, len(data.classes), 0, args.weights)
    network.to(device.device).eval()
    compute_in_float32(network, entry.classifier)
    model = device.prepare(network)

    # What is known already.
    own = {"paper": "predictions", "released": "predictions_released"}  # of the test transform
    folder = args.out.parent / own[config["test_resize"]]
    keys = prediction_keys(config, data, args.weights)
    known = ranks.broadcast(lambda: known_predictions(folder, keys))
    if known:
        jobs.log(f"predictions kept: k_test {', '.join(map(str, known))}")

    # What is missing is measured.
    missing = [view for view in keys if view not in known]
    if missing:
        jobs.log(f"{config['run']}: k_test {', '.join(map(str, missing))} on {len(rows)} images")
        for line in manifest.enlarged(data, "val", max(view.k for view in missing)):
            jobs.log(line)
    loading = (device, args.loader, args.workers, ranks)
    reader = requests.CropReader(data, rows, entry.mean, entry.std, *loading)
    test_da = regions.Augmentation("test DA", test_resize=config["test_resize"])
    fresh = predict(model, reader, test_da, missing, min(TOP, len(data.classes)))

    # One process writes.
    if not ranks.first:
        return
    labels, paths = data.label[rows], data.path[rows]
    for view, top in fresh.items():
        file = folder / f"{view.name}.npz"
        save_predictions(file, key=keys[view], path=paths, label=labels, top=top)
    predicted = {(view.k, view.suffix): (known | fresh)[view] for view in keys}
    right = per_image.of_predictions(paths, labels, predicted)
    per_image.save(args.out.parent / "hits.npz", right)
    result = {
        "run": config["run"],
        "images": len(rows),
        "folds": config["folds"],
        "k_test": metrics(list(keys), known | fresh, labels, config["folds"]),
        "hits": right.digest,
        "parameters": sum(p.numel() for p in network.parameters()),
        "notes": list(getattr(data, "notes", ())),
    }
    jobs.write_json(args.out, result)
    jobs.log_times(startup)


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


def predict(
    model: Callable[[torch.Tensor], torch.Tensor],
    reader: requests.CropReader,
    test_da: regions.Augmentation,
    views: list[View],
    top: int,
) -> dict[View, np.ndarray]:
    """The classes that the network predicts for the images of the reader, in each view.

    The processes of a job share the images; afterwards each has the predictions of all.

    Returns
    -------
    For each view (n, top) int32 classes, best first.
    """
    shape, device = (len(reader.rows), top), reader.device.device
    predicted = {view: torch.empty(shape, dtype=torch.int32, device=device) for view in views}
    for crops in (1, regions.TEN):
        together = {view: predicted[view] for view in views if view.crops == crops}
        if together:
            predict_together(model, reader, test_da._replace(crops=crops), together)
    return {view: classes.cpu().numpy() for view, classes in predicted.items()}


def predict_together(
    model: Callable[[torch.Tensor], torch.Tensor],
    reader: requests.CropReader,
    test_da: regions.Augmentation,
    predicted: dict[View, torch.Tensor],
) -> None:
    """Fill in the predictions of some views, all with as many crops an image as `test_da` cuts."""
    crops, ranks = test_da.crops, reader.ranks
    chunk = requests.BATCH // crops  # images
    part = ranks.share(len(reader.rows), chunk)
    at = part.start
    total = (part.stop - part.start) * crops * len(predicted)
    bar = jobs.progress("evaluation", total, "crops")
    with bar, torch.no_grad(), reader.device.autocast():
        looks = [view.k for view in predicted], [view.ratio for view in predicted]
        for batch in reader.batches(part, test_da, *looks):
            for classes, x in zip(predicted.values(), batch, strict=True):
                images = len(x) // crops
                logits = model(x).float()
                if crops > 1:  # an image's prediction is the mean of those of its crops
                    logits = logits.softmax(1).view(images, crops, -1).mean(1)
                classes[at : at + images] = logits.topk(classes.shape[1]).indices
                bar.update(len(x))
            at += images
    for classes in predicted.values():
        ranks.all_gather_rows(classes, chunk)


# --- files of predictions ----------------------------------------------------------------------


def known_predictions(folder: Path, keys: dict[View, str]) -> dict[View, np.ndarray]:
    """The predictions that an earlier evaluation has left, by view."""
    found = {v: load_predictions(folder / f"{v.name}.npz", key) for v, key in keys.items()}
    return {view: top for view, top in found.items() if top is not None}


def load_predictions(path: Path, key: str) -> np.ndarray | None:
    """(n, 5) predicted classes, best first.

    None where the file is missing or damaged, or has another key.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive["top"] if str(archive["key"]) == key else None
    except FileNotFoundError:
        return None
    except Exception as error:  # any exception: it depends on the byte that is broken
        jobs.log(f"predictions ignored: {path} is damaged ({error})")
        return None


def save_predictions(
    file: Path, key: str, path: np.ndarray, label: np.ndarray, top: np.ndarray
) -> None:
    """Write the predictions of one view, with paths and true classes of the images."""
    with jobs.atomic(file) as temporary, open(temporary, "wb") as f:
        np.savez(f, key=np.array(key), path=path, label=label, top=top)


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
