"""This suite on a GPU: how fast, how faithful its decoder, and whether training works there.

    .venv/bin/python benchmarks/gpu.py                          # on a CUDA machine: everything
    .venv/bin/python benchmarks/gpu.py --quick                  # there, in about ten minutes
    .venv/bin/python benchmarks/gpu.py --parts "trunk alone" pixels --resolutions 224
    .venv/bin/python benchmarks/gpu.py --device cpu --trial     # on any machine, a minute

Each row is written to --rows as soon as it is measured. A part that runs out of memory is a row,
too. The same command again measures what is missing, and writes the tables of docs/gpu.md. --trial
only shows that the code runs: it prints its tables and writes nothing.

The parts:

- Speeds (gpu_speed.py) at several resolutions, with a plain torchvision loop in the same run:
  ResNet-50, 1000 classes, on JPEGs of 500×375 pixels rendered for the purpose (about 100 KB each,
  ImageNet's average). Training goes through `sgd.fit` and the suite's loader with train DA, RA 1.
  Evaluation goes through the suite's loader with test DA. The head is the classifier and the last
  batch-norm, the trunk the rest.
- pixels: the suite's decoder and transforms compared with Pillow and torchvision.
- embedded: a base training of the embedded scale, on the device and on the processor.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import gpu_images
import gpu_speed
import torch
from gpu_rows import Rows
from gpu_speed import CLASSES, Size, Trial

from fixres import config, paper
from fixres.data import loader
from fixres.hardware.device import Device, open_device
from fixres.models import construct

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "gpu.md"
BEGIN = "<!-- measured: begin (benchmarks/gpu.py writes what stands here) -->"
END = "<!-- measured: end -->"
FULL = Size((64, 128, 160, 224, 384), batch=256, micro=64, steps=40, images=16384, squares=64)
QUICK = Size((128, 224), batch=256, micro=64, steps=20, images=4096, squares=64)
TRIAL = Size((32, 64), batch=4, micro=2, steps=3, images=32, squares=8)
PIXELS, EMBEDDED = "pixels", "embedded"


def main() -> None:
    args = options()
    size = TRIAL if args.trial else QUICK if args.quick else FULL
    threads = 1 if args.trial else os.cpu_count()
    device = open_device(args.device, threads=threads, compile_networks=args.compile, graphs=True)
    on_gpu = device.device.type == "cuda"
    if not (on_gpu or args.trial):
        sys.exit("on a CPU only --trial: this measures GPUs")
    with tempfile.TemporaryDirectory(prefix="fixres-gpu-") as folder:
        file = Path(folder) / "rows.jsonl" if args.trial else args.rows
        rows = Rows(file, facts_of(args, device, size))
        left = measure(rows, Bench(args, device, size, Path(folder)))
    report = tables(rows)
    print("\n" + report)
    if args.trial:
        print("\nA trial of the code path: this does not measure a GPU, and nothing was written.")
    else:
        write(report)
    if left:
        sys.exit(f"the time is over; the same command again measures: {', '.join(left)}")
    if rows.failed():
        sys.exit(f"failed: {', '.join(rows.failed())}")


def options() -> argparse.Namespace:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--device", default="cuda", help="cuda, cuda:N, or cpu with --trial (default: cuda)"
    )
    how_much = p.add_mutually_exclusive_group()
    how_much.add_argument(
        "--quick",
        action="store_true",
        help="two resolutions, half the steps and images, no embedded training; no row starts "
        "after nine minutes",
    )
    how_much.add_argument(
        "--trial", action="store_true", help="a few small steps: proves the path, measures nothing"
    )
    p.add_argument(
        "--parts", nargs="+", choices=[*gpu_speed.PARTS, PIXELS, EMBEDDED], help="(default: all)"
    )
    p.add_argument("--resolutions", nargs="+", type=int, help="of the speeds, pixels")
    p.add_argument("--minutes", type=float, help="start no row after this time (default: no limit)")
    p.add_argument(
        "--rows",
        type=Path,
        default=ROOT / "results" / "benchmarks" / "gpu.jsonl",
        help="file of the rows (default: results/benchmarks/gpu.jsonl)",
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
    args.minutes = args.minutes or (9 if args.quick else float("inf"))
    args.parts = args.parts or [*gpu_speed.PARTS, PIXELS, *([] if args.quick else [EMBEDDED])]
    return args


def facts_of(args: argparse.Namespace, device: Device, size: Size) -> dict:
    """What the numbers depend on, but for the resolutions."""
    on_gpu = device.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device.device) if on_gpu else "CPU",
        "cores": os.cpu_count(),
        "workers": args.workers,
        "precision": device.precision,
        "compiled": args.compile,
        "torch": torch.__version__,
        "loader": loader.resolve("auto", device.device),
        "batch": size.batch,
        "micro": size.micro,
        "steps": size.steps,
        "images": size.images // 2,
    }


# --- the rows -------------------------------------------------------------------------------------


class Bench:
    """What is measured. Images and network are made when a part needs them."""

    def __init__(self, args: argparse.Namespace, device: Device, size: Size, folder: Path):
        self.args, self.device, self.size, self.folder = args, device, size, folder

    def cases(self) -> Iterator[tuple[str, object]]:
        """(part, case) in their order: all speeds at one resolution, then at the next."""
        for k in self.args.resolutions or self.size.resolutions:
            yield from ((part, k) for part in gpu_speed.PARTS if part in self.args.parts)
        if PIXELS in self.args.parts:
            yield from ((PIXELS, case) for case in gpu_images.CASES)
        if EMBEDDED in self.args.parts:
            yield from ((EMBEDDED, where) for where in dict.fromkeys((self.args.device, "cpu")))

    def measure(self, part: str, case: object) -> dict:
        if part == PIXELS:
            return gpu_images.fidelity(case, self.squares, self.device, self.args.workers)
        if part == EMBEDDED:
            return embedded(case, self.args, self.folder)
        return {"images/s": gpu_speed.PARTS[part](case, self.trial)}

    @cached_property
    def trial(self) -> Trial:
        photos = gpu_images.render(self.folder / "photos", self.size.images, 375, 500)
        network = construct.build("resnet50", CLASSES, 0).to(self.device.device)
        return Trial(network, photos, self.device, self.args.workers, self.size, self.folder)

    @cached_property
    def squares(self) -> gpu_images.manifest.Manifest:
        return gpu_images.render(self.folder / "square", self.size.squares, 384, 384)


def measure(rows: Rows, bench: Bench) -> list[str]:
    """Measure what is missing. Returns what is left when the time is over."""
    deadline = time.monotonic() + 60 * bench.args.minutes
    missing = [(part, case) for part, case in bench.cases() if not rows.has(part, case)]
    for at, (part, case) in enumerate(missing):
        if time.monotonic() > deadline:
            return [f"{part} {case}" for part, case in missing[at:]]
        rows.measure(part, case, lambda part=part, case=case: bench.measure(part, case))
    return []


# --- the page -------------------------------------------------------------------------------------


def tables(rows: Rows) -> str:
    """Facts, titles and tables."""
    facts = rows.facts
    described = (
        f"{facts['device']}, {facts['cores']} processor cores, {facts['workers']} workers, "
        f"{facts['precision']}, torch {facts['torch']}, loader {facts['loader']}, batches of "
        f'{facts["batch"]}, micro-batches of {facts["micro"]} in "training", '
        f"{facts['images']} images."
    )
    compiled = ", compiled" if facts["compiled"] else ""
    titled = {
        f"Images/s, ResNet-50{compiled}": rows.speeds(list(gpu_speed.PARTS)),
        "Decoder and transforms compared with Pillow and torchvision (grey levels, 0 to 255)": (
            rows.table(PIXELS)
        ),
        "Base training of the embedded set by the same command on both devices": rows.table(
            EMBEDDED
        ),
    }
    shown = [part for title, table in titled.items() if table for part in (title, table)]
    return "\n\n".join([described, *shown])


def write(report: str) -> None:
    """Put the tables into docs/gpu.md."""
    before, _, after = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    page = f"{before}{BEGIN}\n\n{report}\n\n{END}{after.partition(END)[2]}"
    PAGE.write_text(page, encoding="utf-8")
    print(f"\nwritten to {PAGE.relative_to(ROOT)}")


# --- a training -----------------------------------------------------------------------------------


def embedded(where: str, args: argparse.Namespace, folder: Path) -> dict:
    """Base training and evaluation of the embedded scale at its smallest k_train, on one device."""
    over = ["configs/smoke.yaml"] if args.trial else []
    dataset, k_train = ("pinhole-smoke", 16) if args.trial else ("pinhole", 32)
    images, run = f"results/data/{dataset}/manifest.npz", f"runs/{dataset}/resnet10q-k{k_train}"
    command = [sys.executable, "-m", "snakemake", images, "--cores", "all"]
    command += ["--quiet", "all", *(["--configfile", *over] if over else [])]
    subprocess.run(command, cwd=ROOT, check=True)
    plan = paper.plan_of(config.load(*(ROOT / file for file in ("config.yaml", *over))))
    for stage, job in (("train", run), ("evaluate", f"{run}/evaluation")):
        (folder / f"{stage}.json").write_text(json.dumps(plan.resolved(job)), encoding="utf-8")

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
    row = {"training (s)": seconds, "loss at the end": loss}
    return row | {f"top-1 at {k}": m["top1"] for k, m in measured.items()}


def fixres(*arguments: object) -> str:
    """Run a job and return its log."""
    command = [sys.executable, "-m", "fixres", *map(str, arguments)]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return done.stderr


if __name__ == "__main__":
    main()
