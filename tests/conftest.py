"""What the tests share: images of many shapes on disk, a tiny pinhole set, and jobs run as a user would run them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fixres.data import manifest, twins

ROOT = Path(__file__).parent.parent
# The command of a job, with the repository's package and one thread a job.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}


torch.set_num_threads(1)  # of the tests' own networks: more of them than cores wait for each other


def textured(height: int, width: int, seed: int = 0) -> Image.Image:
    """A smooth image with some detail: what a photograph is to a resampling filter."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((width, height), Image.BICUBIC)
    noise = rng.normal(0, 12, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(coarse, float) + noise, 0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def shapes(tmp_path_factory) -> manifest.Manifest:
    """Landscape, portrait, square, tiny, odd and extreme images, as an ImageFolder with two classes."""
    folder = tmp_path_factory.mktemp("shapes")
    sizes = [(375, 500), (500, 375), (64, 64), (9, 7), (3, 200), (333, 111), (101, 257), (480, 481), (250, 30), (128, 127)]
    for split in ("train", "val"):
        for i, (height, width) in enumerate(sizes):
            path = folder / split / f"class {i % 2}" / f"{i}é.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            textured(height, width, i).save(path, quality=92)
    return manifest.build(folder)


SETTINGS = {
    "seed": 3,
    "train_images": 96,
    "val_images": 48,
    "silhouettes": ["bar", "triangle", "hexagon", "cross", "star5", "star7"],
    "hues": ["red", "green", "blue", "yellow"],
    "mislabelled": 0.0,
    "shorter_side": [40, 60],
    "r1_median": 0.4,
    "r1_sigma": 0.3,
    "r1_largest": 0.6,
    "off_centre": 0.05,
    "jpeg_quality": 90,
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> manifest.Manifest:
    """96 + 48 small pinhole images."""
    folder = tmp_path_factory.mktemp("tiny")
    twins.write("imagefolder", folder, SETTINGS)
    return manifest.build(folder)


def fixres(*arguments: object, timeout: float = 120, env: dict | None = None) -> subprocess.CompletedProcess:
    """Run `python -m fixres …` as its own process."""
    command = [sys.executable, "-m", "fixres", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=ENVIRONMENT | (env or {}), check=False)
