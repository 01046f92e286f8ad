"""Evaluation: top-1 and top-5 of one network at several k_test, from one decode of the validation set (§5).

    python -m fixres evaluate --config results/runs/pinhole/resnet10q-k56/evaluation/config.json \\
        --manifest results/data/pinhole/manifest.npz --weights results/runs/pinhole/resnet10q-k56/weights.safetensors \\
        --out results/runs/pinhole/resnet10q-k56/evaluation/metrics.json

The predictions for every image stand in predictions/k<k_test>.npz beside the result. A resolution whose predictions are there
already, for exactly these weights and images, is not computed again: adding one to a table costs that one.
"""

import argparse
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from fixres import distributed, job
from fixres.data import loader, manifest, roc
from fixres.device import open_device
from fixres.models import matching, zoo

BATCH = 100  # images; changes nothing but speed and memory
TOP = 5


def main(arguments: list[str]) -> None:
    p = job.device_options(job.parser("evaluate", __doc__, "manifest", "weights", "out"))
    distributed.run(evaluate, p.parse_args(arguments), ["evaluate", *arguments])


def evaluate(args: argparse.Namespace, ranks: distributed.Ranks) -> None:
    config = job.read_config(args.config, "evaluate")
    data = manifest.load(args.manifest)
    device = open_device(args.device, args.precision, args.threads, ranks, args.compile)
    startup = time.process_time()

    rows, entry = data.rows("val"), zoo.ZOO[config["network"]]
    network = matching.load(config["network"], len(data.classes), 0, args.weights)
    network.to(device.device).eval()
    model = device.prepare(network)
    test_da = roc.Augmentation("test DA", test_resize=config["test_resize"])
    transform = test_da.name if test_da.test_resize == "paper" else f"{test_da.name} ({test_da.test_resize})"
    shared = (config["network"], str(config["version"]), data.digest(), job.file_digest(args.weights))
    keys = {k: job.digest(f"{transform} {k}", *shared) for k in config["k_test"]}
    folder = args.out.parent / "predictions"
    found = ranks.tell(lambda: {k: load_predictions(folder / f"k{k}.npz", keys[k]) for k in keys})
    known = {k: predictions for k, predictions in found.items() if predictions is not None}
    missing = [k for k in keys if k not in known]
    if known:
        job.log(f"predictions kept: k_test {', '.join(map(str, known))}")

    fresh = {k: torch.empty((len(rows), min(TOP, len(data.classes))), dtype=torch.int32, device=device.device) for k in missing}
    if missing:
        job.log(f"{config['run']}: k_test {', '.join(map(str, missing))} on {len(rows)} images")
        for line in manifest.enlarged(data, "val", max(missing)):
            job.log(line)
        share = ranks.share(len(rows), BATCH)
        at, wanted = share.start, requests(data, rows[share], test_da, missing)
        cut = loader.batches(data, wanted, args.loader, ranks.portion(args.workers), device.device)
        bar = job.progress("evaluation", (share.stop - share.start) * len(missing), "crops")
        with bar, torch.no_grad(), device.autocast():
            for crops, pixels in cut:
                for (views, k), part in zip(crops, pixels, strict=True):
                    logits = model(loader.to_device(part, views, entry.mean, entry.std, device.device))
                    fresh[k][at : at + len(part)] = logits.float().topk(fresh[k].shape[1]).indices
                    bar.update(len(part))
                at += len(pixels[0])
    for predictions in fresh.values():
        ranks.collect(predictions, BATCH)
    if not ranks.first:
        return
    for k, predictions in fresh.items():
        with job.atomic(folder / f"k{k}.npz") as temporary, open(temporary, "wb") as f:
            known[k] = predictions.cpu().numpy()
            np.savez(f, key=np.array(keys[k]), path=data.path[rows], label=data.label[rows], top=known[k])

    measured = {str(k): accuracy(known[k], data.label[rows], config["folds"]) for k in config["k_test"]}
    for k, m in measured.items():
        job.log(f"k_test {k}: top-1 {m['top1']:.2f} ± {m['top1_std']:.2f}, top-5 {m['top5']:.2f}")
    about = {"parameters": sum(p.numel() for p in network.parameters()), "notes": list(getattr(data, "notes", ()))}
    job.write_json(args.out, {"run": config["run"], "images": len(rows), "folds": config["folds"], "k_test": measured, **about})
    job.log_times(startup)


def requests(data: manifest.Manifest, rows: np.ndarray, test_da: roc.Augmentation, resolutions: list[int]) -> Iterator[list[loader.Crops]]:
    """Each of the images once, at every resolution."""
    for start in range(0, len(rows), BATCH):
        chosen = rows[start : start + BATCH]
        h, w = data.height[chosen], data.width[chosen]
        yield [loader.Crops(roc.views(test_da, k, chosen, h, w), k) for k in resolutions]


def load_predictions(path: Path, key: str) -> np.ndarray | None:
    """(n, 5) predicted classes, best first; None where there are none for this key, or the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive["top"] if str(archive["key"]) == key else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        job.log(f"predictions ignored: {path} is damaged ({error})")
        return None


def accuracy(top: np.ndarray, labels: np.ndarray, folds: int) -> dict[str, float]:
    """Top-1 and top-5 in per cent, and the standard deviation of top-1 over the folds (§5).

    The images are split into `folds` parts at random (always the same way); the accuracy is taken on all but one, leaving out each
    in turn.

    Parameters
    ----------
    top : (n, t) predicted classes, best first. labels : (n,).
    """
    hits = top == labels[:, None]
    order, _ = roc.order(0, 0, len(labels), len(labels))
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % folds
    without = [hits[fold != i, 0].mean() for i in range(folds)]
    return {"top1": 100 * float(hits[:, 0].mean()), "top5": 100 * float(hits.any(axis=1).mean()), "top1_std": 100 * float(np.std(without))}
