"""Images for gpu.py, and how much the suite's pixels differ from Pillow's. Part of gpu.py."""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fixres.artifacts import manifest
from fixres.data import loader, regions
from fixres.hardware.device import Device

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
    canvas += rng.normal(0, 12, canvas.shape)
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


DECODING, TRAIN, TEST = (
    "decoding alone",
    "train DA at 128, without the outermost pixels",
    "test DA at 224",
)
CASES = (DECODING, TRAIN, TEST)


def fidelity(case: str, data: manifest.Manifest, device: Device, workers: int) -> dict:
    """How much the pixels of the suite's loader differ from Pillow's, in grey levels.

    Parameters
    ----------
    case : DECODING (whole square images at their own size), TRAIN or TEST.
    """
    rows = np.arange(len(data.path))
    h, w = data.height[rows], data.width[rows]
    box = np.tile([0.0, 0.0, w[0], h[0]], (len(rows), 1))
    whole = regions.Rocs(rows, box, np.zeros(len(rows), bool), None, None, cut=True)
    train_da = regions.rocs(regions.Augmentation("train DA"), 128, rows, h, w)
    test_da = regions.rocs(regions.Augmentation("test DA"), 224, rows, h, w)

    def cut(rocs: regions.Rocs, k: int, which: str) -> torch.Tensor:
        crops = loader.batches(data, [[loader.Crops(rocs, k)]], which, workers, device.device)
        _, [pixels] = next(iter(crops))
        return pixels.cpu().float()

    rocs, k, ring = {  # ring: outermost pixels that are not compared
        DECODING: (whole, int(h[0]), 0),
        TRAIN: (train_da, 128, 1),
        TEST: (test_da, 224, 0),
    }[case]
    apart = (cut(rocs, k, "auto") - cut(rocs, k, "pillow")).abs()
    apart = apart[:, ring : k - ring, ring : k - ring]
    row = {"mean": apart.mean().item(), "largest": apart.max().item()}
    return row | {"over 2 (%)": 100 * (apart > 2).float().mean().item()}
