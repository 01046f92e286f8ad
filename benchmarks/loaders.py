"""Loading side by side: this suite's two loaders and what a user would write, torchvision's ImageFolder in a DataLoader.

    .venv/bin/python benchmarks/loaders.py [MANIFEST]       (default: results/data/pinhole/manifest.npz)

Processor milliseconds per crop (of all threads and worker processes) and crops per second, in one run and in turn, so that ratios hold when
the machine's speed drifts. All hand over uint8 crops in batches of 64, with two workers.
"""

import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from fixres.data import loader, manifest, regions, sampling

ROOT = Path(__file__).parent.parent
BATCH, WORKERS, ROUNDS = 64, 2, 3


def cpu() -> float:
    """Processor seconds of this process and its finished children."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def suite(
    data: manifest.Manifest, name: str, resolutions: list[int], train: bool, repeats: int
) -> int:
    """Crops cut by one pass of this suite's loader."""
    rows = data.rows("train" if train else "val")
    image, repeat = (
        sampling.order(0, 0, len(rows), len(rows) * repeats, repeats)
        if train
        else (np.arange(len(rows)), None)
    )
    augmentation = regions.Augmentation("train DA" if train else "test DA")

    def requests():
        for start in range(0, len(image), BATCH):
            chosen = rows[image[start : start + BATCH]]
            part = None if repeat is None else repeat[start : start + BATCH]
            h, w = data.height[chosen], data.width[chosen]
            yield [
                loader.Crops(regions.views(augmentation, k, chosen, h, w, 0, 0, part), k)
                for k in resolutions
            ]

    return sum(
        len(p) for _, pixels in loader.batches(data, requests(), name, WORKERS) for p in pixels
    )


def torchvision_loop(
    data: manifest.Manifest, resolutions: list[int], train: bool, repeats: int
) -> int:
    """Crops cut by one pass of torchvision's transforms and DataLoader workers: a decode for each crop."""
    done = 0
    for k in resolutions:
        crop = (
            [v2.RandomResizedCrop(k), v2.RandomHorizontalFlip()]
            if train
            else [v2.Resize(regions.test_image_size(k)), v2.CenterCrop(k)]
        )
        images = ImageFolder(
            data.folder / ("train" if train else "val"), v2.Compose([*crop, v2.PILToTensor()])
        )
        for _ in range(repeats):
            done += sum(
                len(x)
                for x, _ in torch.utils.data.DataLoader(
                    images, BATCH, num_workers=WORKERS, shuffle=train
                )
            )
    return done


def measure(work: Callable[[], int]) -> tuple[float, float]:
    """(processor milliseconds per crop, crops per second)."""
    started, before = time.perf_counter(), cpu()
    crops = work()
    return 1000 * (cpu() - before) / crops, crops / (time.perf_counter() - started)


def main() -> None:
    torch.set_num_threads(1)
    data = manifest.load(
        Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "results/data/pinhole/manifest.npz"
    )
    works = {
        "train DA, 56 px": ([56], True, 1),
        "train DA, 56 px, RA 3": ([56], True, 3),
        "test DA, 16 to 120 px": ([16, 32, 56, 72, 96, 112, 120], False, 1),
    }
    table = []
    for title, (resolutions, train, repeats) in works.items():
        candidates = {
            "torchvision + DataLoader": lambda r=resolutions, t=train, n=repeats: torchvision_loop(
                data, r, t, n
            ),
            "suite, Pillow": lambda r=resolutions, t=train, n=repeats: suite(
                data, "pillow", r, t, n
            ),
            "suite, DALI": lambda r=resolutions, t=train, n=repeats: suite(data, "dali", r, t, n),
        }
        if loader.resolve("auto") != "dali":
            del candidates["suite, DALI"]
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in candidates}
        for _ in range(ROUNDS):
            for name, work in candidates.items():
                figures[name].append(measure(work))
        plain = statistics.median(f[0] for f in figures["torchvision + DataLoader"])
        for name, pairs in figures.items():
            ms, rate = (statistics.median(p[i] for p in pairs) for i in (0, 1))
            table.append([title, name, ms, rate, plain / ms])
    head = ["work", "loader", "CPU ms a crop", "crops/s", "CPU: torchvision's / this"]
    print(tabulate(table, head, floatfmt=("", "", ".3f", ".0f", ".2f")))


if __name__ == "__main__":
    main()
