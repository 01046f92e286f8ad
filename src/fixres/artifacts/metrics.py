"""What a job measured: metrics.json, and the file beside it with what it found on each image.

An evaluation has hits.npz, other measurements of images have samples.npz (per_image.py), and a time
has neither. metrics.json holds the digest of that file, so both are of the same job.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from fixres import jobs
from fixres.artifacts import per_image
from fixres.artifacts.per_image import PerImage

ALIKE = 1.25  # times that agree are within this factor of the shortest
MOST = 0.8  # of the rounds: another program may meet one of five


def write(file: Path, metrics: dict, **of_each_image: PerImage) -> None:
    """Write metrics.json, and before it the file beside it: hits=… or samples=…."""
    for name, found in of_each_image.items():
        per_image.save(file.with_name(f"{name}.npz"), found)
    digests = {name: found.digest for name, found in of_each_image.items()}
    jobs.write_json(file, metrics | digests)


def read(file: Path) -> dict:
    """Read metrics.json, which is in the folder of its job.

    Raises OSError or ValueError, as `jobs.read_json`; ValueError, too, where another job wrote it.
    """
    found = jobs.read_json(file)
    job = found.get("run", "")
    if not file.absolute().parent.as_posix().endswith(f"/{job}"):
        raise ValueError(f"it belongs to the job {job}")
    return found


def read_each_image(file: Path, metrics: dict) -> PerImage:
    """Read hits.npz or samples.npz, which belongs to `metrics`. Raises as `per_image.load`."""
    return per_image.load(file, metrics.get("hits") or metrics.get("samples", ""))


def agree(times: Sequence[float]) -> bool:
    """Whether most times of the same work are alike.

    Other work on the machine only makes a time longer. So times far above the shortest are not of
    the network alone, and no conclusion can be drawn from them.
    """
    return sorted(times)[math.ceil(MOST * len(times)) - 1] <= ALIKE * min(times)
