"""This suite on a GPU: how fast, beside a plain torchvision loop in the same run; how faithful the decoder; whether training works there.

    .venv/bin/python benchmarks/gpu.py                         # a CUDA machine: all of it, and writes the tables of docs/gpu.md
    .venv/bin/python benchmarks/gpu.py --device cpu --quick    # proves the code path on any machine in a minute; prints, writes nothing

ResNet-50, 1000 classes, on JPEGs of 500×375 pixels rendered for the purpose (about 100 KB each, ImageNet's average). Training goes through
`sgd.fit` and the suite's loader with train DA, RA 1; evaluation through the suite's loader with test DA; the head's speed is that of
classifier + last batch-norm on cached activations. The plain loop is ImageFolder, v2 transforms, DataLoader with as many workers, SGD,
autocast and channels_last: what a user would write. Rates are images/s between two synchronised moments, warm-up excluded.
"""

import argparse
import copy
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from tabulate import tabulate
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from fixres.data import loader, manifest, regions
from fixres.jobs.device import ALONE, Device, open_device, send
from fixres.models import zoo
from fixres.models.checkpoints import Checkpoints
from fixres.models.split import freeze
from fixres.stages import sgd, train

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "gpu.md"
BEGIN, END = (
    "<!-- measured: begin (benchmarks/gpu.py writes what stands here) -->",
    "<!-- measured: end -->",
)
CLASSES = 1000
RECIPE = {
    "epochs": 1,
    "lr": 1e-5,  # of what is measured here only the speed matters
    "schedule": "step",
    "lr_step": 30,
    "warmup": 0.0,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 1e-4,
    "label_smoothing": 0.0,
    "cutmix": 0.0,
    "repeated_augmentation": 1,
}


def main() -> None:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--device", default="cuda", help="cuda, cuda:N, or cpu with --quick (default: cuda)"
    )
    p.add_argument(
        "--quick", action="store_true", help="a few small steps: proves the path, measures nothing"
    )
    p.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count(),
        help="threads of the suite's loader, processes of the plain one",
    )
    p.add_argument(
        "--compile",
        action="store_true",
        help="with torch.compile, the suite's networks and the plain one",
    )
    args = p.parse_args()
    device = open_device(
        args.device, threads=1 if args.quick else os.cpu_count(), compiled=args.compile
    )
    if device.device.type != "cuda" and not args.quick:
        sys.exit("on a CPU only --quick: this measures GPUs")
    size = (
        Size((32, 64), 4, 2, 3, 32, 8)
        if args.quick
        else Size((64, 128, 160, 224, 384), 256, 64, 40, 16384, 64)
    )

    with tempfile.TemporaryDirectory(prefix="fixres-gpu-") as folder:
        data = render(Path(folder) / "photos", size.images, 375, 500)
        square = render(Path(folder) / "square", size.squares, 384, 384)
        network = zoo.build("resnet50", CLASSES, 0).to(device.device)
        rates = [
            speeds(k, network, data, device, args, size, Path(folder)) for k in size.resolutions
        ]
        parts = [
            "Images/s, ResNet-50" + (", compiled" if args.compile else ""),
            tabulate(rates, headers="keys", tablefmt="github", floatfmt=".0f"),
            "Decoder and transforms beside Pillow and torchvision (grey levels, 0 to 255)",
            tabulate(
                fidelity(square, device, args.workers),
                headers="keys",
                tablefmt="github",
                floatfmt=".2f",
            ),
            "Base training of the embedded set by the same command on both devices",
            tabulate(
                embedded(args, Path(folder)), headers="keys", tablefmt="github", floatfmt=".2f"
            ),
        ]
    name = torch.cuda.get_device_name(device.device) if device.device.type == "cuda" else "CPU"
    facts = f"{name}, {os.cpu_count()} processor cores, {args.workers} workers, {device.precision}, torch {torch.__version__}, "
    facts += f"loader {loader.resolve('auto')}, batches of {size.batch}, {size.images // 2} images a pass."
    report = "\n\n".join([facts, *parts])
    print("\n" + report)
    if args.quick or device.device.type != "cuda":
        print(
            "\nA trial of the code path: these are no measurements of a GPU, and nothing was written."
        )
        return
    before, _, after = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(
        f"{before}{BEGIN}\n\n{report}\n\n{END}{after.partition(END)[2]}", encoding="utf-8"
    )
    print(f"\nwritten to {PAGE.relative_to(ROOT)}")


class Size(NamedTuple):
    """How much is measured."""

    resolutions: tuple[int, ...]
    batch: int
    micro: int
    steps: int
    images: int  # of 500×375 pixels, half of them for training
    squares: int  # for the comparison of decoders


# --- data --------------------------------------------------------------------------------------------------------------------


def photo(work: tuple[Path, int, int, int]) -> int:
    """One JPEG with the spectrum of a photograph: noise at every scale, stronger the coarser; returns its bytes."""
    path, seed, height, width = work
    rng, canvas = np.random.default_rng(seed), np.full((height, width, 3), 128.0)
    for level in range(8):
        side = 2 ** (level + 1)
        noise = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        canvas += (np.asarray(noise, float) - 128) * 1.2 / 2 ** (0.6 * level)
    canvas += rng.normal(0, 5, canvas.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8)).save(path, quality=92)
    return path.stat().st_size


def render(folder: Path, n: int, height: int, width: int) -> manifest.Manifest:
    """n images of one size, half of them for training, as an ImageFolder of two classes; and their manifest."""
    paths = [
        f"{split}/class{i % 2}/{i:05d}.jpg" for split in manifest.SPLITS for i in range(n // 2)
    ]
    with ProcessPoolExecutor() as pool:
        sizes = list(
            pool.map(
                photo,
                ((folder / path, i, height, width) for i, path in enumerate(paths)),
                chunksize=8,
            )
        )
    print(f"{n} images of {width}×{height}, {np.mean(sizes) / 1000:.0f} KB each", file=sys.stderr)
    ones = np.ones(n, np.int32)
    return manifest.Manifest(
        folder=folder,
        classes=("class0", "class1"),
        path=np.array([os.fsencode(path) for path in paths]),
        label=np.array([int(path.split("/")[1][-1]) for path in paths], np.int32),
        split=np.array([manifest.SPLITS.index(path.split("/")[0]) for path in paths], np.uint8),
        height=height * ones,
        width=width * ones,
        checksum=np.zeros(n, np.uint64),
        object_size=np.full(n, np.nan, np.float32),
    )


# --- speed -------------------------------------------------------------------------------------------------------------------


class Clock:
    """Time between two moments at which the device has done all that it was asked for."""

    def __init__(self, device: torch.device):
        self.device, self.marks = device, []

    def mark(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.marks.append(time.perf_counter())

    def timed(self, stream: Iterable, warm: int, last: int) -> Iterator:
        """Hand on the stream; mark when entry `warm` is asked for, and entry `last`: those between have been used."""
        for i, entry in enumerate(stream):
            if i in (warm, last):
                self.mark()
            yield entry

    @property
    def seconds(self) -> float:
        return self.marks[-1] - self.marks[0]


def settings(k: int, batch: int, micro: int, steps: int) -> dict:
    """A training of `steps` steps, as its job would get it."""
    recipe = RECIPE | {
        "batch_size": batch,
        "micro_batch": micro,
        "samples_per_epoch": batch * steps,
    }
    return {"seed": 0, "k_train": k, "recipe": recipe, "augmentation": {"name": "train DA"}}


def fit(
    model: Callable,
    trained: nn.Module,
    stream: Iterable,
    config: dict,
    device: Device,
    folder: Path,
) -> float:
    """Images/s of `sgd.fit`: the middle of its steps, from a quarter of them up to the last (behind which it writes a checkpoint)."""
    clock, recipe = Clock(device.device), config["recipe"]
    batch, steps = (
        sgd.batching(recipe, ALONE, "benchmark"),
        recipe["samples_per_epoch"] // recipe["batch_size"],
    )
    warm, last = max(steps // 4, 1) * batch.count, (steps - 1) * batch.count
    checkpoints = Checkpoints(folder / "checkpoints", "benchmark")
    sgd.fit(
        model,
        trained,
        lambda _: clock.timed(stream, warm, last),
        recipe,
        steps,
        checkpoints,
        1e9,
        device,
        batch,
    )
    checkpoints.clear()
    return (last - warm) * batch.micro / clock.seconds


def training(
    k: int,
    network: nn.Module,
    data: manifest.Manifest,
    device: Device,
    workers: int,
    config: dict,
    folder: Path,
) -> float:
    """From files to updated weights."""
    entry, batch = zoo.ZOO["resnet50"], sgd.batching(config["recipe"], ALONE, "benchmark")

    def stream() -> Iterator[tuple]:
        cut = loader.batches(
            data, train.requests(config, data, 0, batch, ALONE), "auto", workers, device.device
        )
        for [crops], [pixels] in cut:
            x = loader.to_device(pixels, crops.views, entry.mean, entry.std, device.device)
            yield (x,), send(torch.from_numpy(data.label[crops.views.image]).long(), device.device)

    return fit(device.prepare(network.train()), network, stream(), config, device, folder)


def network_alone(k: int, network: nn.Module, device: Device, config: dict, folder: Path) -> float:
    """The same steps on one batch that lies on the device: what the network would do if loading were free."""
    micro = config["recipe"]["micro_batch"]
    x = torch.randn(micro, 3, k, k, device=device.device).to(memory_format=torch.channels_last)
    entry = (x,), torch.arange(micro, device=device.device) % CLASSES
    return fit(
        device.prepare(network.train()), network, itertools.repeat(entry), config, device, folder
    )


def head(k: int, network: nn.Module, device: Device, config: dict, folder: Path) -> float:
    """Fine-tuning of classifier + last batch-norm on activations that lie on the device."""
    tuned = copy.deepcopy(network)
    parts = freeze(tuned, ["batch-norm", "classifier"], zoo.ZOO["resnet50"], "affine+statistics")
    micro = config["recipe"]["micro_batch"]
    with torch.no_grad(), device.autocast():
        shapes = parts.trunk(
            torch.randn(micro, 3, k, k, device=device.device).to(memory_format=torch.channels_last)
        )
    entry = (
        tuple(torch.randn_like(a) for a in shapes),
        torch.arange(micro, device=device.device) % CLASSES,
    )
    return fit(
        device.prepare(parts.head),
        nn.ModuleList(parts.modules),
        itertools.repeat(entry),
        config,
        device,
        folder,
    )


def evaluation(
    k: int,
    network: nn.Module | None,
    data: manifest.Manifest,
    device: Device,
    workers: int,
    batch: int,
) -> float:
    """From files to predictions under test DA, or without a network to crops on the device."""
    entry, clock, test_da = (
        zoo.ZOO["resnet50"],
        Clock(device.device),
        regions.Augmentation("test DA"),
    )
    model = None if network is None else device.prepare(network.eval())
    warm = max(len(data.rows("val")) // batch // 4, 1)
    rows = data.rows("val")[: len(data.rows("val")) // batch * batch]

    def requests() -> Iterator[list[loader.Crops]]:
        for start in range(0, len(rows), batch):
            chosen = rows[start : start + batch]
            yield [
                loader.Crops(
                    regions.views(test_da, k, chosen, data.height[chosen], data.width[chosen]), k
                )
            ]

    cut = loader.batches(data, requests(), "auto", workers, device.device)
    with torch.no_grad(), device.autocast():
        for [crops], [pixels] in clock.timed(cut, warm, len(rows) // batch - 1):
            x = loader.to_device(pixels, crops.views, entry.mean, entry.std, device.device)
            if model is not None:
                model(x).float().topk(5)
    return (len(rows) - (warm + 1) * batch) / clock.seconds


def plain(
    k: int, data: manifest.Manifest, device: Device, workers: int, batch: int, steps: int | None
) -> Iterator[tuple]:
    """ImageFolder, v2 transforms and a DataLoader: `steps` batches of train DA, or for None the validation set under test DA."""
    crop = (
        [v2.RandomResizedCrop(k), v2.RandomHorizontalFlip()]
        if steps
        else [v2.Resize(regions.test_image_size(k)), v2.CenterCrop(k)]
    )
    normalise = [
        v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(*zoo.IMAGENET),
    ]
    images = ImageFolder(
        data.folder / ("train" if steps else "val"), v2.Compose([*crop, *normalise])
    )
    pinned = device.device.type == "cuda"
    options = {
        "num_workers": workers,
        "pin_memory": pinned,
        "drop_last": True,
        "persistent_workers": True,
    }
    batches = torch.utils.data.DataLoader(images, batch, shuffle=bool(steps), **options)
    epochs = (entry for _ in itertools.count() for entry in batches) if steps else batches
    for x, y in itertools.islice(epochs, steps):
        yield (
            x.to(device.device, non_blocking=True, memory_format=torch.channels_last),
            y.to(device.device, non_blocking=True),
        )


def plain_training(
    k: int,
    network: nn.Module,
    data: manifest.Manifest,
    device: Device,
    workers: int,
    batch: int,
    steps: int,
) -> float:
    clock, warm = Clock(device.device), max(steps // 4, 1)
    model = device.prepare(network.train())
    optimiser = torch.optim.SGD(
        network.parameters(), lr=RECIPE["lr"], momentum=0.9, weight_decay=1e-4
    )
    for x, y in clock.timed(plain(k, data, device, workers, batch, steps), warm, steps - 1):
        with device.autocast():
            loss = F.cross_entropy(model(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    optimiser.zero_grad()
    return (steps - 1 - warm) * batch / clock.seconds


def plain_evaluation(
    k: int, network: nn.Module, data: manifest.Manifest, device: Device, workers: int, batch: int
) -> float:
    clock, last = Clock(device.device), len(data.rows("val")) // batch - 1
    warm = max((last + 1) // 4, 1)
    model = device.prepare(network.eval())
    with torch.no_grad(), device.autocast():
        for x, _ in clock.timed(plain(k, data, device, workers, batch, None), warm, last):
            model(x).float().topk(5)
    return (last - warm) * batch / clock.seconds


def speeds(
    k: int,
    network: nn.Module,
    data: manifest.Manifest,
    device: Device,
    args: argparse.Namespace,
    size: Size,
    folder: Path,
) -> dict:
    """One row of the table: images/s."""
    print(f"{k} px …", file=sys.stderr)
    paper, large = (
        settings(k, size.batch, micro, size.steps) for micro in (size.micro, size.batch)
    )
    return {
        "k": k,
        f"training, micro-batches of {size.micro}": training(
            k, network, data, device, args.workers, paper, folder
        ),
        f"training, of {size.batch}": training(
            k, network, data, device, args.workers, large, folder
        ),
        "plain training": plain_training(
            k, network, data, device, args.workers, size.batch, size.steps
        ),
        "network alone": network_alone(k, network, device, large, folder),
        "head alone": head(k, network, device, large, folder),
        "evaluation": evaluation(k, network, data, device, args.workers, size.batch),
        "plain evaluation": plain_evaluation(k, network, data, device, args.workers, size.batch),
        "loader alone, test DA": evaluation(k, None, data, device, args.workers, size.batch),
    }


# --- pixels ------------------------------------------------------------------------------------------------------------------


def fidelity(data: manifest.Manifest, device: Device, workers: int) -> list[dict]:
    """The suite's loader beside Pillow: decoding alone (whole square images at their own size), and both transforms."""
    rows = np.arange(len(data.path))
    h, w = data.height[rows], data.width[rows]
    whole = np.tile([0.0, 0.0, w[0], h[0]], (len(rows), 1))
    train_da, test_da = (
        regions.views(regions.Augmentation(name), k, rows, h, w)
        for name, k in (("train DA", 128), ("test DA", 224))
    )
    works = {
        "decoding alone": (
            regions.Views(rows, whole, np.zeros(len(rows), bool), None, None, cut=True),
            int(h[0]),
            0,
        ),
        "train DA at 128, without the outermost pixels": (train_da, 128, 1),
        "test DA at 224": (test_da, 224, 0),
    }
    table = []
    for name, (views, k, ring) in works.items():
        ours, theirs = (
            next(
                iter(
                    loader.batches(data, [[loader.Crops(views, k)]], which, workers, device.device)
                )
            )[1][0]
            .cpu()
            .float()
            for which in ("auto", "pillow")
        )
        apart = (ours - theirs).abs()[:, ring : k - ring, ring : k - ring]
        table.append(
            {
                "": name,
                "mean": apart.mean().item(),
                "largest": apart.max().item(),
                "over 2 (%)": 100 * (apart > 2).float().mean().item(),
            }
        )
    return table


# --- a training --------------------------------------------------------------------------------------------------------------


def embedded(args: argparse.Namespace, folder: Path) -> list[dict]:
    """Base training and evaluation of the embedded scale at its smallest k_train, on the device and on the processor."""
    name, options = (
        ("pinhole-smoke", ["--configfile", "configs/smoke.yaml"]) if args.quick else ("pinhole", [])
    )
    run = f"results/runs/{name}/resnet10q-k{16 if args.quick else 32}"
    evaluation, dataset = f"{run}/evaluation/config.json", f"results/data/{name}/manifest.npz"
    snakemake = [
        str(Path(sys.executable).parent / "snakemake"),
        f"{run}/config.json",
        evaluation,
        dataset,
        "--cores",
        "all",
        "--quiet",
        "all",
    ]
    subprocess.run([*snakemake, *options], cwd=ROOT, check=True)
    table = []
    for where in dict.fromkeys((args.device, "cpu")):
        common = ["--manifest", dataset, "--device", where, "--workers", str(args.workers)]
        weights, metrics = (
            folder / where.replace(":", "") / f for f in ("weights.safetensors", "metrics.json")
        )
        started = time.perf_counter()
        log = fixres("train", "--config", f"{run}/config.json", *common, "--out", str(weights))
        seconds = time.perf_counter() - started
        fixres(
            "evaluate",
            "--config",
            evaluation,
            *common,
            "--weights",
            str(weights),
            "--out",
            str(metrics),
        )
        row: dict = {
            "device": where,
            "seconds": seconds,
            "loss at the end": float(re.findall(r"loss ([\d.]+)", log)[-1]),
        }
        row |= {
            f"top-1 at {k}": m["top1"] for k, m in json.loads(metrics.read_text())["k_test"].items()
        }
        table.append(row)
    return table


def fixres(*arguments: str) -> str:
    """Run a job; returns its log."""
    command = [sys.executable, "-m", "fixres", *arguments]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stderr


if __name__ == "__main__":
    main()
