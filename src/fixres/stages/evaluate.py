"""Evaluation: top-1 and top-5 of one network at several k_test, from one decode of the validation set (§5).

    python -m fixres evaluate --config results/runs/pinhole/resnet10q-k56/evaluation/config.json \\
        --manifest results/data/pinhole/manifest.npz --weights results/runs/pinhole/resnet10q-k56/weights.safetensors \\
        --out results/runs/pinhole/resnet10q-k56/evaluation/metrics.json

The predictions for every image stand in predictions/k<k_test>.npz beside the result, those of ten crops in k<k_test>_10crops.npz. What is
there already, for exactly these weights and images, is not computed again: adding a resolution to a table costs that one.
"""

import argparse
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from fixres import jobs
from fixres.data import loader, manifest, regions, sampling
from fixres.jobs import processes
from fixres.jobs.device import open_device
from fixres.jobs.ranks import Ranks
from fixres.models import matching, zoo

BATCH = 100  # images; changes nothing but speed and memory
TOP = 5


def main(arguments: list[str]) -> None:
    p = jobs.device_options(jobs.parser("evaluate", __doc__, "manifest", "weights", "out"))
    processes.run(evaluate, p.parse_args(arguments), ["evaluate", *arguments])


def evaluate(args: argparse.Namespace, ranks: Ranks) -> None:
    config = jobs.read_config(args.config, "evaluate", args.ancestry_digest)
    data = manifest.load(args.manifest)
    device = open_device(args.device, args.precision, args.threads, ranks, args.compile)
    startup = time.process_time()

    rows, entry = data.rows("val"), zoo.ZOO[config["network"]]
    network = matching.load(config["network"], len(data.classes), 0, args.weights)
    network.to(device.device).eval()
    model = device.prepare(network)
    test_da = regions.Augmentation("test DA", test_resize=config["test_resize"])
    transform = (
        test_da.name
        if test_da.test_resize == "paper"
        else f"{test_da.name} ({test_da.test_resize})"
    )
    shared = (
        config["network"],
        str(config["version"]),
        data.digest(),
        jobs.file_digest(args.weights),
    )
    # Measured are resolutions, each with one centre crop an image or with ten (§5.1, "an ensemble of 10 crops at test time").
    views = [View(k, 1) for k in config["k_test"]] + [
        View(k, regions.TEN) for k in config.get("ten_crops", [])
    ]
    keys = {view: jobs.digest(f"{transform} {view.k}" + view.suffix, *shared) for view in views}
    folder = args.out.parent / "predictions"
    found = ranks.broadcast(
        lambda: {view: load_predictions(folder / f"{view.name}.npz", keys[view]) for view in views}
    )
    known = {view: predictions for view, predictions in found.items() if predictions is not None}
    missing = [view for view in views if view not in known]
    if known:
        jobs.log(f"predictions kept: k_test {', '.join(map(str, known))}")

    fresh = {
        view: torch.empty(
            (len(rows), min(TOP, len(data.classes))), dtype=torch.int32, device=device.device
        )
        for view in missing
    }
    if missing:
        jobs.log(f"{config['run']}: k_test {', '.join(map(str, missing))} on {len(rows)} images")
        for line in manifest.enlarged(data, "val", max(view.k for view in missing)):
            jobs.log(line)
    for crops in (1, regions.TEN):
        together = [view for view in missing if view.crops == crops]
        if not together:
            continue
        batch = BATCH // crops  # images
        share = ranks.share(len(rows), batch)
        at = share.start
        wanted = requests(
            data, rows[share], test_da._replace(crops=crops), [view.k for view in together]
        )
        cut = loader.batches(data, wanted, args.loader, ranks.portion(args.workers), device.device)
        bar = jobs.progress(
            "evaluation", (share.stop - share.start) * crops * len(together), "crops"
        )
        with bar, torch.no_grad(), device.autocast():
            for asked, pixels in cut:
                for (cropped, _), part, view in zip(asked, pixels, together, strict=True):
                    logits = model(
                        loader.to_device(part, cropped, entry.mean, entry.std, device.device)
                    ).float()
                    images = len(part) // crops
                    if crops > 1:  # the mean of what each crop says by itself
                        logits = logits.softmax(1).view(images, crops, -1).mean(1)
                    fresh[view][at : at + images] = logits.topk(fresh[view].shape[1]).indices
                    bar.update(len(part))
                at += images
        for view in together:
            ranks.all_gather_rows(fresh[view], batch)
    if not ranks.first:
        return
    for view, predictions in fresh.items():
        with jobs.atomic(folder / f"{view.name}.npz") as temporary, open(temporary, "wb") as f:
            known[view] = predictions.cpu().numpy()
            np.savez(
                f,
                key=np.array(keys[view]),
                path=data.path[rows],
                label=data.label[rows],
                top=known[view],
            )

    measured: dict[str, dict[str, float]] = {}
    for view in views:
        m = accuracy(known[view], data.label[rows], config["folds"])
        jobs.log(
            f"k_test {view}: top-1 {m['top1']:.2f} ± {m['top1_std']:.2f}, top-5 {m['top5']:.2f}"
        )
        named = {
            re.sub(r"^top\d", rf"\g<0>{view.suffix}", name): value for name, value in m.items()
        }
        measured.setdefault(str(view.k), {}).update(named)
    about = {
        "parameters": sum(p.numel() for p in network.parameters()),
        "notes": list(getattr(data, "notes", ())),
    }
    jobs.write_json(
        args.out,
        {
            "run": config["run"],
            "images": len(rows),
            "folds": config["folds"],
            "k_test": measured,
            **about,
        },
    )
    jobs.log_times(startup)


class View(NamedTuple):
    """How the images are looked at."""

    k: int
    crops: int  # of an image: 1 or TEN

    @property
    def suffix(self) -> str:
        return "" if self.crops == 1 else f"_{self.crops}crops"

    @property
    def name(self) -> str:
        return f"k{self.k}{self.suffix}"

    def __str__(self) -> str:
        return f"{self.k}" if self.crops == 1 else f"{self.k} ({self.crops} crops)"


def requests(
    data: manifest.Manifest, rows: np.ndarray, test_da: regions.Augmentation, resolutions: list[int]
) -> Iterator[list[loader.Crops]]:
    """Each of the images once, at every resolution; about BATCH crops of each at a time."""
    batch = BATCH // test_da.crops
    for start in range(0, len(rows), batch):
        chosen = rows[start : start + batch]
        h, w = data.height[chosen], data.width[chosen]
        yield [loader.Crops(regions.views(test_da, k, chosen, h, w), k) for k in resolutions]


def load_predictions(path: Path, key: str) -> np.ndarray | None:
    """(n, 5) predicted classes, best first; None where there are none for this key, or the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive["top"] if str(archive["key"]) == key else None
    except FileNotFoundError:
        return None
    except Exception as error:  # a broken archive raises what its broken byte makes of it
        jobs.log(f"predictions ignored: {path} is damaged ({error})")
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
    order, _ = sampling.order(0, 0, len(labels), len(labels))
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % folds
    without = [hits[fold != i, 0].mean() for i in range(folds)]
    return {
        "top1": 100 * float(hits[:, 0].mean()),
        "top5": 100 * float(hits.any(axis=1).mean()),
        "top1_std": 100 * float(np.std(without)),
    }
