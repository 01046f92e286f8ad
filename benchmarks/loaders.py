"""How fast images are loaded: this suite's two loaders beside torchvision.

    .venv/bin/python benchmarks/loaders.py [MANIFEST]

MANIFEST is results/data/pinhole/manifest.npz by default.

The torchvision loop is what a user would write: ImageFolder in a DataLoader. Each loader hands over
uint8 crops in batches of 64, with two workers.

Two numbers: processor milliseconds per crop (of all threads and worker processes), and crops per
second. The loaders take turns in one run, so ratios hold even if the machine's speed drifts.
"""

import functools
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tabulate import tabulate
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from fixres.data import loader, manifest, regions, sampling

ROOT = Path(__file__).parent.parent
BATCH, WORKERS, ROUNDS = 64, 2, 3


class Work(NamedTuple):
    """What a loader has to cut."""

    resolutions: list[int]  # pixels
    train: bool  # training images under train DA, or validation images under test DA
    repeats: int = 1  # crops of each training image (RA)


WORKS = {
    "train DA, 56 px": Work([56], train=True),
    "train DA, 56 px, RA 3": Work([56], train=True, repeats=3),
    "test DA, 16 to 120 px": Work([16, 32, 56, 72, 96, 112, 120], train=False),
}


def suite(data: manifest.Manifest, name: str, work: Work) -> int:
    """Cut the crops once with this suite's loader `name`; returns their number."""
    rows = data.rows("train" if work.train else "val")
    augmentation = regions.Augmentation("train DA" if work.train else "test DA")
    image, repeat = np.arange(len(rows)), None
    if work.train:
        image, repeat = sampling.order(0, 0, len(rows), len(rows) * work.repeats, work.repeats)

    def requests() -> Iterator[list[loader.Crops]]:
        for start in range(0, len(image), BATCH):
            chosen = rows[image[start : start + BATCH]]
            part = None if repeat is None else repeat[start : start + BATCH]
            h, w = data.height[chosen], data.width[chosen]
            yield [
                loader.Crops(regions.views(augmentation, k, chosen, h, w, 0, 0, part), k)
                for k in work.resolutions
            ]

    batches = loader.batches(data, requests(), name, WORKERS)
    return sum(len(crops) for _, pixels in batches for crops in pixels)


def torchvision_loop(data: manifest.Manifest, work: Work) -> int:
    """Cut the crops once with torchvision, which decodes the image again for each crop.

    Returns the number of crops.
    """
    done = 0
    for k in work.resolutions:
        if work.train:
            split, crop = "train", [v2.RandomResizedCrop(k), v2.RandomHorizontalFlip()]
        else:
            split, crop = "val", [v2.Resize(regions.test_image_size(k)), v2.CenterCrop(k)]
        images = ImageFolder(data.folder / split, v2.Compose([*crop, v2.PILToTensor()]))
        for _ in range(work.repeats):
            batches = torch.utils.data.DataLoader(
                images, BATCH, num_workers=WORKERS, shuffle=work.train
            )
            done += sum(len(crops) for crops, _ in batches)
    return done


def cpu() -> float:
    """Processor seconds of this process and its finished children."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def measure(cut: Callable[[], int]) -> tuple[float, float]:
    """(processor milliseconds per crop, crops per second)."""
    started, before = time.perf_counter(), cpu()
    crops = cut()
    return 1000 * (cpu() - before) / crops, crops / (time.perf_counter() - started)


def main() -> None:
    torch.set_num_threads(1)
    file = sys.argv[1] if len(sys.argv) > 1 else ROOT / "results/data/pinhole/manifest.npz"
    data = manifest.load(Path(file))
    table = []
    for title, work in WORKS.items():
        candidates = {
            "torchvision + DataLoader": functools.partial(torchvision_loop, data, work),
            "suite, Pillow": functools.partial(suite, data, "pillow", work),
        }
        if loader.resolve("auto") == "dali":
            candidates["suite, DALI"] = functools.partial(suite, data, "dali", work)
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in candidates}
        for _ in range(ROUNDS):
            for name, cut in candidates.items():
                figures[name].append(measure(cut))
        plain = statistics.median(ms for ms, _ in figures["torchvision + DataLoader"])
        for name, pairs in figures.items():
            ms, rate = (statistics.median(values) for values in zip(*pairs, strict=True))
            table.append([title, name, ms, rate, plain / ms])
    head = ["work", "loader", "CPU ms a crop", "crops/s", "CPU: torchvision's / this"]
    print(tabulate(table, head, floatfmt=("", "", ".3f", ".0f", ".2f")))


if __name__ == "__main__":
    main()
