"""Evaluation: top-1 and top-5 of one network at several k_test (§5).

hits.npz next to the result says which images were classified correctly (artifacts/per_image.py).

The predictions for every image are kept next to the result, in predictions/k<k_test>.npz; with ten
crops per image in k<k_test>_10crops.npz. With the released test transform, both are in
predictions_released/. The predictions at a ratio of the key crop_pct (crop over resized image) are
in k<k_test>@<crop_pct>.npz; their metrics are called top1@<crop_pct>, and there is no plain top1.
With the key `masked`, predictions ignore the logits of classes without images
(k<k_test>@<crop_pct>_masked.npz, top1@<crop_pct>_masked), for a custom network that knows more
classes than there are. A file that belongs to exactly these weights and images is not computed
again. So a table that gets one more resolution costs only that resolution.

What is missing is computed by stages/predict.py. A fine-tuning leaves predictions, too. Where
nothing is missing, no network is built and torch is not imported: its import takes longer than all
the rest.
"""

import argparse
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fixres import jobs
from fixres.artifacts import manifest, metrics, per_image, predictions
from fixres.artifacts.predictions import Predicted
from fixres.data import sampling

if TYPE_CHECKING:
    from fixres.stages.opened import Opened


def main(arguments: list[str]) -> None:
    files = ("manifest", "weights", "out")
    p = jobs.device_options(jobs.parser("evaluate", __doc__, *files))
    args = p.parse_args(arguments)
    # Several processes that were started from outside must all take the same path.
    if "RANK" not in os.environ and finish_with_known(args):
        return
    from fixres.stages.opened import run

    run(evaluate, "evaluate", __doc__, arguments, *files)


def finish_with_known(args: argparse.Namespace) -> bool:
    """Write the result, if earlier jobs have left all predictions. Returns whether they have."""
    startup = time.process_time()
    config = jobs.read_config(args.config, "evaluate", args.ancestry_digest)
    folder = args.out.parent / predictions.FOLDERS[config["test_resize"]]
    if not (folder.is_dir() and args.weights.is_file()):
        return False
    jobs.record_inputs(args.weights)
    data = manifest.load(args.manifest)
    check_folds(config["folds"], len(data.rows("val")))
    files = predictions.of_evaluation(args.out.parent, config, data, args.weights)
    known, parameters = files.load(quiet=True), files.parameters()
    if len(known) < len(files.keys) or parameters is None:
        return False
    log_known(known)
    write_result(args.out, config, data, known, parameters)
    jobs.log_times(startup)
    return True


def evaluate(job: "Opened") -> None:
    """The job where predictions are missing: network, what is missing, result."""
    from fixres.models.float32 import compute_in_float32
    from fixres.stages import predict

    args, config, data, ranks = job.args, job.config, job.data, job.ranks
    rows = data.rows("val")
    check_folds(config["folds"], len(rows))

    # The network.
    network = job.load()
    compute_in_float32(network, *job.entry.classifiers)
    model = job.device.prepare(network)

    # What is known already.
    files = predictions.of_evaluation(args.out.parent, config, data, args.weights)
    known = ranks.broadcast(files.load)
    log_known(known)

    # What is missing is measured.
    missing = [cropping for cropping in files.keys if cropping not in known]
    if missing:
        jobs.log(f"{config['run']}: k_test {', '.join(map(str, missing))} on {len(rows)} images")
        for line in manifest.enlarged(data, "val", max(cropping.k for cropping in missing)):
            jobs.log(line)
    top = min(predict.TOP, len(data.classes))
    reader = job.reader(rows)
    [fresh] = predict.predict(
        predict.as_it_is, [model], reader, job.test_da, [missing], top, data.absent
    )

    # One process writes.
    if not ranks.first:
        return
    parameters = sum(p.numel() for p in network.parameters())
    files.save(data, fresh, parameters)
    predicted = {cropping: (known | fresh)[cropping] for cropping in files.keys}
    write_result(args.out, config, data, predicted, parameters)


def log_known(known: Predicted) -> None:
    """Say which predictions are kept."""
    if known:
        jobs.log(f"predictions kept: k_test {', '.join(map(str, known))}")


def check_folds(folds: int, images: int) -> None:
    """Raise JobError where a fold would have no image."""
    if folds > images:
        raise jobs.JobError(
            f"evaluation.folds: too many (got {folds}, expected at most the number of validation "
            f"images, {images}). Give fewer folds or more images."
        )


# --- what is measured --------------------------------------------------------------------------


def write_result(
    out: Path, config: dict, data: manifest.Manifest, predicted: Predicted, parameters: int
) -> None:
    """Write metrics.json and hits.npz. `parameters` counts the network's."""
    rows = data.rows("val")
    by_metric = {(cropping.k, cropping.suffix): top for cropping, top in predicted.items()}
    measured = accuracies(predicted, data.label[rows], config["folds"])
    result = {"run": config["run"], "images": len(rows), "folds": config["folds"]}
    result |= {"k_test": measured, "parameters": parameters, "notes": list(data.notes)}
    hits = per_image.of_predictions(data.path[rows], data.label[rows], by_metric)
    metrics.write(out, result, hits=hits)


def accuracies(predicted: Predicted, labels: np.ndarray, folds: int) -> dict[str, dict[str, float]]:
    """The accuracies of each k_test by name: top1, top1_std, top5, top1_10crops …"""
    measured: dict[str, dict[str, float]] = {}
    for cropping, top in predicted.items():
        m = accuracy(top, labels, folds)
        top1 = f"top-1 {m['top1']:.2f} ± {m['top1_std']:.2f}"
        jobs.log(f"k_test {cropping}: {top1}, top-5 {m['top5']:.2f}")
        named = {re.sub(r"^top\d", rf"\g<0>{cropping.suffix}", name): m[name] for name in m}
        measured.setdefault(str(cropping.k), {}).update(named)
    return measured


def accuracy(top: np.ndarray, labels: np.ndarray, folds: int) -> dict[str, float]:
    """Top-1 and top-5 in per cent, and the standard deviation of top-1 over the folds (§5).

    The images are split at random into `folds` parts, always in the same way. For each part the
    accuracy is taken on all images outside it; the result is the standard deviation of these
    numbers.

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
