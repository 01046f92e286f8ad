"""The manifest at ImageNet's size, and the validation of images compared with plain decoding.

    .venv/bin/python benchmarks/manifest.py [PROCESSES]       (default: all)

Manifest: a synthetic one with 1,281,167 training and 50,000 validation rows. A separate process
loads it, orders one epoch and hashes all rows. Memory is the peak of that process, with the
interpreter and NumPy.

Validation: what `fixres manifest` does, on JPEG files of ImageNet's usual size. It takes turns with
a loop that only decodes the same files, on as many processes.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from fixres.artifacts import manifest
from fixres.data import sources, validate

TRAIN, VAL, CLASSES = 1_281_167, 50_000, 1000
EPOCH = 5005 * 512  # crops, with each drawn image three times (§5)
FILES, ROUNDS = 600, 5
# Run by a separate process: python -c LOADED MANIFEST CROPS_OF_AN_EPOCH REPEATS
LOADED = r"""
import json, re, sys, time
from pathlib import Path
from fixres.artifacts import manifest
from fixres.data import sampling
def peak():
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1000
times, clock = {"MB before": peak()}, time.perf_counter()
def lap(name):
    global clock
    times[name], clock = time.perf_counter() - clock, time.perf_counter()
data = manifest.load(Path(sys.argv[1]))
lap("load")
times["MB loaded"] = peak()
rows = data.rows("train")
image, repeat = sampling.order(0, 0, len(rows), int(sys.argv[2]), int(sys.argv[3]))
lap("order")
times["MB ordered"] = peak()
data.digest()
lap("digest")
times["MB at most"] = peak()
print(json.dumps(times))
"""


# --- the manifest ---------------------------------------------------------------------------------


def synthetic(images: int = TRAIN, validation: int = VAL) -> manifest.Manifest:
    """A manifest with as many rows as ImageNet has images, and paths of the same form."""
    rng = np.random.default_rng(0)
    train_labels = np.sort(rng.integers(0, CLASSES, images))
    label = np.concatenate([train_labels, rng.integers(0, CLASSES, validation)]).astype(np.int32)
    synsets = [f"n{20_000_000 + c:08d}" for c in range(CLASSES)]
    train = [
        f"train/{synsets[c]}/{synsets[c]}_{i % 30_000}.JPEG"
        for i, c in enumerate(label[:images].tolist())
    ]
    val = [f"val/ILSVRC2012_val_{i + 1:08d}.JPEG" for i in range(validation)]
    n = images + validation
    return manifest.Manifest(
        folder=Path("/data/imagenet"),
        classes=tuple(synsets),
        path=np.array([os.fsencode(p) for p in train + val]),
        label=label,
        split=np.repeat(np.array([0, 1], np.uint8), [images, validation]),
        height=rng.integers(75, 1500, n, dtype=np.int32),
        width=rng.integers(75, 1500, n, dtype=np.int32),
        checksum=rng.integers(0, 2**63, n, dtype=np.uint64),
        object_size=np.full(n, np.nan, np.float32),
    )


def at_imagenet_size(folder: Path) -> None:
    """Write, load, order and hash the synthetic manifest; print times and memory."""
    file, started = folder / "manifest.npz", time.perf_counter()
    synthetic().save(file)
    seconds, size = time.perf_counter() - started, file.stat().st_size / 1e6
    print(f"made {TRAIN + VAL} rows in {seconds:.1f} s; {size:.0f} MB")
    command, runs = [sys.executable, "-c", LOADED, str(file), str(EPOCH), "3"], []
    for _ in range(ROUNDS):
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        runs.append(json.loads(done.stdout))
    for name in runs[0]:
        values = [run[name] for run in runs]
        unit = "" if name.startswith("MB") else " s"
        middle, largest = statistics.median(values), max(values)
        print(f"{name}: {middle:.2f}{unit} (largest of {ROUNDS}: {largest:.2f}{unit})")


# --- validation -----------------------------------------------------------------------------------


def photographs(folder: Path) -> list[str]:
    """JPEG files of 500×375 pixels and some 100 kB, half of them upright."""
    rng, names = np.random.default_rng(0), []
    for i in range(FILES):
        width, height = (500, 375) if i % 2 else (375, 500)
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.BICUBIC), float)
        noisy = np.clip(smooth + rng.normal(0, 14, (height, width, 3)), 0, 255).astype(np.uint8)
        names.append(f"{i}.jpg")
        Image.fromarray(noisy).save(folder / names[-1], quality=90)
    return names


def decode(files: list[str]) -> None:
    for file in files:
        with Image.open(file) as image:
            image.load()


def cpu() -> float:
    """Processor seconds of this process and its finished children."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def measure(work: Callable[[], object]) -> tuple[float, float]:
    """(images per second, processor milliseconds per image)."""
    started, before = time.perf_counter(), cpu()
    work()
    return FILES / (time.perf_counter() - started), 1000 * (cpu() - before) / FILES


def beside_plain_decoding(folder: Path, processes: int) -> None:
    """Validate and decode the same files in turn; print rates and processor times."""
    names = photographs(folder)
    size = sum((folder / name).stat().st_size for name in names) / FILES / 1000
    listing = sources.Listing(("a", "b"), [(name, 0, 0) for name in names], ("", ""))
    files = [str(folder / name) for name in names]
    chunks = [files[i : i + validate.CHUNK] for i in range(0, FILES, validate.CHUNK)]

    def plain() -> None:
        with ProcessPoolExecutor(processes) as pool:
            list(pool.map(decode, chunks))

    works = {
        "plain decoding": plain,
        "validation": lambda: validate.inspect(folder, listing, processes),
    }
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            measured[name].append(measure(work))
    for name, pairs in measured.items():
        rate, ms = (statistics.median(values) for values in zip(*pairs, strict=True))
        print(
            f"{name}: {rate:.0f} images/s on {processes} processes, "
            f"{ms:.2f} CPU ms an image (500×375, {size:.0f} kB)"
        )


def main() -> None:
    processes = int(sys.argv[1]) if len(sys.argv) > 1 else os.cpu_count()
    with tempfile.TemporaryDirectory() as folder:
        at_imagenet_size(Path(folder))
        beside_plain_decoding(Path(folder), processes)


if __name__ == "__main__":
    main()
