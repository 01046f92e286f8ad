"""This suite on a GPU: how fast, how faithful its decoder, and whether training works there.

    .venv/bin/python benchmarks/gpu.py                         # on a CUDA machine
    .venv/bin/python benchmarks/gpu.py --device cpu --quick    # on any machine, a minute

The first command measures everything and writes the tables of docs/gpu.md. The second one proves
that the code runs: it prints its tables and writes nothing.

Three tables:

- Speed (gpu_speed.py), beside a plain torchvision loop in the same run: ResNet-50, 1000 classes, on
  JPEGs of 500×375 pixels rendered for the purpose (about 100 KB each, ImageNet's average). Training
  goes through `sgd.fit` and the suite's loader with train DA, RA 1. Evaluation goes through the
  suite's loader with test DA. The speed of the head is that of classifier + last batch-norm on
  cached activations.
- Pixels: the suite's decoder and transforms beside Pillow and torchvision.
- A base training of the embedded scale, on the device and on the processor.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from gpu_speed import CLASSES, Size, Trial, speeds
from PIL import Image
from tabulate import tabulate

from fixres import config, paper
from fixres.data import loader, manifest, regions
from fixres.jobs.device import Device, open_device
from fixres.models import zoo

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "gpu.md"
BEGIN = "<!-- measured: begin (benchmarks/gpu.py writes what stands here) -->"
END = "<!-- measured: end -->"
FULL = Size((64, 128, 160, 224, 384), batch=256, micro=64, steps=40, images=16384, squares=64)
QUICK = Size((32, 64), batch=4, micro=2, steps=3, images=32, squares=8)


def main() -> None:
    args = options()
    size = QUICK if args.quick else FULL
    threads = 1 if args.quick else os.cpu_count()
    device = open_device(args.device, threads=threads, compile_networks=args.compile)
    on_gpu = device.device.type == "cuda"
    if not (on_gpu or args.quick):
        sys.exit("on a CPU only --quick: this measures GPUs")
    with tempfile.TemporaryDirectory(prefix="fixres-gpu-") as folder:
        tables = measure(args, device, size, Path(folder))
    name = torch.cuda.get_device_name(device.device) if on_gpu else "CPU"
    facts = (
        f"{name}, {os.cpu_count()} processor cores, {args.workers} workers, {device.precision}, "
        f"torch {torch.__version__}, loader {loader.resolve('auto')}, batches of {size.batch}, "
        f"{size.images // 2} images a pass."
    )
    report = "\n\n".join([facts, *tables])
    print("\n" + report)
    if args.quick or not on_gpu:
        print(
            "\nA trial of the code path: "
            "these are no measurements of a GPU, and nothing was written."
        )
        return
    before, _, after = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    page = f"{before}{BEGIN}\n\n{report}\n\n{END}{after.partition(END)[2]}"
    PAGE.write_text(page, encoding="utf-8")
    print(f"\nwritten to {PAGE.relative_to(ROOT)}")


def options() -> argparse.Namespace:
    """The command line."""
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
    return p.parse_args()


def measure(args: argparse.Namespace, device: Device, size: Size, folder: Path) -> list[str]:
    """Titles and tables, in turn."""
    data = render(folder / "photos", size.images, 375, 500)
    square = render(folder / "square", size.squares, 384, 384)
    network = zoo.build("resnet50", CLASSES, 0).to(device.device)
    trial = Trial(network, data, device, args.workers, size, folder)
    rates = [speeds(k, trial) for k in size.resolutions]
    pixels = fidelity(square, device, args.workers)
    trained = embedded(args, folder)
    return [
        "Images/s, ResNet-50" + (", compiled" if args.compile else ""),
        tabulate(rates, headers="keys", tablefmt="github", floatfmt=".0f"),
        "Decoder and transforms beside Pillow and torchvision (grey levels, 0 to 255)",
        tabulate(pixels, headers="keys", tablefmt="github", floatfmt=".2f"),
        "Base training of the embedded set by the same command on both devices",
        tabulate(trained, headers="keys", tablefmt="github", floatfmt=".2f"),
    ]


# --- images ---------------------------------------------------------------------------------------


def photo(work: tuple[Path, int, int, int]) -> int:
    """Write one JPEG with the spectrum of a photograph, and return its size in bytes.

    The image is a sum of noise at every scale. The coarser the scale, the stronger the noise.

    Parameters
    ----------
    work : path, seed, height, width.
    """
    path, seed, height, width = work
    rng, canvas = np.random.default_rng(seed), np.full((height, width, 3), 128.0)
    for level in range(8):
        side = 2 ** (level + 1)
        noise = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        noise = noise.resize((width, height), Image.Resampling.BICUBIC)
        canvas += (np.asarray(noise, float) - 128) * 1.2 / 2 ** (0.6 * level)
    canvas += rng.normal(0, 5, canvas.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8)).save(path, quality=92)
    return path.stat().st_size


def render(folder: Path, n: int, height: int, width: int) -> manifest.Manifest:
    """Write n images of one size as an ImageFolder of two classes; half of them are for training.

    Returns their manifest.
    """
    splits = manifest.SPLITS
    paths = [f"{split}/class{i % 2}/{i:05d}.jpg" for split in splits for i in range(n // 2)]
    works = [(folder / path, i, height, width) for i, path in enumerate(paths)]
    with ProcessPoolExecutor() as pool:
        sizes = list(pool.map(photo, works, chunksize=8))
    print(f"{n} images of {width}×{height}, {np.mean(sizes) / 1000:.0f} KB each", file=sys.stderr)
    ones = np.ones(n, np.int32)
    return manifest.Manifest(
        folder=folder,
        classes=("class0", "class1"),
        path=np.array([os.fsencode(path) for path in paths]),
        label=np.array([int(path.split("/")[1][-1]) for path in paths], np.int32),
        split=np.array([splits.index(path.split("/")[0]) for path in paths], np.uint8),
        height=height * ones,
        width=width * ones,
        checksum=np.zeros(n, np.uint64),
        object_size=np.full(n, np.nan, np.float32),
    )


# --- pixels ---------------------------------------------------------------------------------------


def fidelity(data: manifest.Manifest, device: Device, workers: int) -> list[dict]:
    """How far the pixels of the suite's loader lie from Pillow's, in grey levels.

    Three rows: decoding alone (whole square images at their own size), train DA and test DA.
    """
    rows = np.arange(len(data.path))
    h, w = data.height[rows], data.width[rows]
    box = np.tile([0.0, 0.0, w[0], h[0]], (len(rows), 1))
    whole = regions.Views(rows, box, np.zeros(len(rows), bool), None, None, cut=True)
    train_da = regions.views(regions.Augmentation("train DA"), 128, rows, h, w)
    test_da = regions.views(regions.Augmentation("test DA"), 224, rows, h, w)

    def cut(views: regions.Views, k: int, which: str) -> torch.Tensor:
        crops = loader.batches(data, [[loader.Crops(views, k)]], which, workers, device.device)
        _, [pixels] = next(iter(crops))
        return pixels.cpu().float()

    table = []
    for name, views, k, ring in (  # ring: outermost pixels that are not compared
        ("decoding alone", whole, int(h[0]), 0),
        ("train DA at 128, without the outermost pixels", train_da, 128, 1),
        ("test DA at 224", test_da, 224, 0),
    ):
        apart = (cut(views, k, "auto") - cut(views, k, "pillow")).abs()
        apart = apart[:, ring : k - ring, ring : k - ring]
        row = {"": name, "mean": apart.mean().item(), "largest": apart.max().item()}
        table.append(row | {"over 2 (%)": 100 * (apart > 2).float().mean().item()})
    return table


# --- a training -----------------------------------------------------------------------------------


def embedded(args: argparse.Namespace, folder: Path) -> list[dict]:
    """Base training and evaluation of the embedded scale at its smallest k_train.

    One row for the device, and one for the processor.
    """
    over = ["configs/smoke.yaml"] if args.quick else []
    dataset, k_train = ("pinhole-smoke", 16) if args.quick else ("pinhole", 32)
    images, run = f"results/data/{dataset}/manifest.npz", f"runs/{dataset}/resnet10q-k{k_train}"
    command = [Path(sys.executable).parent / "snakemake", images, "--cores", "all"]
    command += ["--quiet", "all", *(["--configfile", *over] if over else [])]
    subprocess.run(command, cwd=ROOT, check=True)
    plan = paper.plan_of(config.load(*(ROOT / file for file in ("config.yaml", *over))))
    for stage, job in (("train", run), ("evaluate", f"{run}/evaluation")):
        (folder / f"{stage}.json").write_text(json.dumps(plan.resolved(job)), encoding="utf-8")

    table = []
    for where in dict.fromkeys((args.device, "cpu")):
        out = folder / where.replace(":", "")
        weights, metrics = out / "weights.safetensors", out / "metrics.json"
        common = ["--manifest", images, "--device", where, "--workers", args.workers]
        started = time.perf_counter()
        log = fixres("train", "--config", folder / "train.json", *common, "--out", weights)
        seconds = time.perf_counter() - started
        evaluate = ["evaluate", "--config", folder / "evaluate.json", *common]
        fixres(*evaluate, "--weights", weights, "--out", metrics)
        loss = float(re.findall(r"loss ([\d.]+)", log)[-1])
        measured = json.loads(metrics.read_text())["k_test"]
        row = {"device": where, "seconds": seconds, "loss at the end": loss}
        table.append(row | {f"top-1 at {k}": m["top1"] for k, m in measured.items()})
    return table


def fixres(*arguments: object) -> str:
    """Run a job and return its log."""
    command = [sys.executable, "-m", "fixres", *map(str, arguments)]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stderr


if __name__ == "__main__":
    main()
