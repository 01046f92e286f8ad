"""What a job measured: metrics.json, and a file in the same folder with the values of each image.

An evaluation has hits.npz, other measurements of images have samples.npz (per_image.py), and a
timing has neither. metrics.json contains the digest of that file, which proves that both are from
the same job.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from fixres import jobs
from fixres.artifacts import per_image
from fixres.artifacts.per_image import PerImage

ALIKE = 1.25  # times agree if they are within this factor of the shortest
MOST = 0.8  # share of the rounds that must agree: another program may disturb one of five


def write(file: Path, metrics: dict, **of_each_image: PerImage) -> None:
    """Write metrics.json, and before it the values of each image: hits=… or samples=…."""
    for name, found in of_each_image.items():
        per_image.save(file.with_name(f"{name}.npz"), found)
    digests = {name: found.digest for name, found in of_each_image.items()}
    jobs.write_json(file, metrics | digests)


def read(file: Path) -> dict:
    """Read metrics.json in the folder of its job.

    Raises OSError or ValueError like `jobs.read_json`, and ValueError if another job wrote it.
    """
    found = jobs.read_json(file)
    job = found.get("run", "")
    if not file.absolute().parent.as_posix().endswith(f"/{job}"):
        raise ValueError(f"it belongs to the job {job}")
    return found


def read_each_image(file: Path, metrics: dict) -> PerImage:
    """Read the hits.npz or samples.npz that belongs to `metrics`. Raises like `per_image.load`."""
    return per_image.load(file, metrics.get("hits") or metrics.get("samples", ""))


def agree(times: Sequence[float]) -> bool:
    """Whether most times of the same work are alike.

    Other programs on the machine can only make a time longer. So times far above the shortest do
    not measure only the network, and allow no conclusion.
    """
    return sorted(times)[math.ceil(MOST * len(times)) - 1] <= ALIKE * min(times)
