"""The images of a program: a dataset of (PIL image, label) instead of files and a manifest.

    images = LiveImages(dataset, classes=10)
    [at_128, at_160] = images.cut(np.arange(32), [(test_da, 128), (test_da, 160)])

An image is read from the dataset whenever its crops are needed, and is not kept. The crops are the
rectangles of regions.py, cut by the Pillow loader, so the pixels are the same as in a job that
reads the image from a file.
"""

import operator
from collections.abc import Iterable, Iterator, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from fixres.data import image_files, loader, regions, requests
from fixres.data.pillow_loader import crop_of
from fixres.hardware.device import Device
from fixres.hardware.ranks import ALONE, Ranks
from fixres.jobs import JobError

if TYPE_CHECKING:  # imported where it is used, so that stages with DALI start sooner
    from PIL.Image import Image as PillowImage

Look = tuple[regions.Augmentation, int]  # test DA, and the side of the crop, pixels
WITHOUT = "Give the dataset without a transform, such as torchvision's ImageFolder(folder)."
UNKNOWN = -1  # label of an image that has not been read yet


class Dataset(Protocol):
    """n images and their labels, such as torchvision's ImageFolder."""

    def __len__(self) -> int:
        """The number of images."""

    def __getitem__(self, index: int, /) -> tuple["PillowImage", int]:
        """Image number 0 to n - 1, of any size and mode, and its class, counted from 0."""


class LiveImages:
    """The images of a dataset, and the labels of the images that were read.

    Parameters
    ----------
    classes : the number of classes; labels are 0 to classes - 1.
    workers : threads that read and cut. Several threads use the dataset concurrently.

    Attributes
    ----------
    labels : (n,) int64; UNKNOWN for images that were not read yet.
    """

    def __init__(self, dataset: Dataset, classes: int, workers: int = 1):
        if not (isinstance(dataset, Sized) and hasattr(dataset, "__getitem__")):
            kind = type(dataset).__name__
            expected = "expected an object with len(dataset) and dataset[i]"
            raise JobError(f"dataset: unsupported type (got a {kind}, {expected}).")
        if not len(dataset):
            raise JobError("dataset: no images (expected at least one).")
        self.dataset, self.classes, self.workers = dataset, classes, workers
        self.labels = np.full(len(dataset), UNKNOWN, np.int64)

    @property
    def rows(self) -> np.ndarray:
        """(n,) the indices of the images."""
        return np.arange(len(self.labels))

    def read(self, row: int) -> "PillowImage":
        """An RGB image; its label is kept. Raises JobError if it is not a (PIL image, label)."""
        from PIL import Image

        who = f"dataset[{row}]"
        try:
            item: Any = self.dataset[row]
            image, label = item
            label = operator.index(label)
        except Exception as error:  # whatever the program's dataset raises
            got = f"got {type(error).__name__}: {error}"
            expected = "expected (PIL image, label)"
            raise JobError(f"{who}: not an image with a label ({got}, {expected}).") from error
        if not isinstance(image, Image.Image):
            got = f"got a {type(image).__name__}, expected a PIL image"
            raise JobError(f"{who}: not an image ({got}). {WITHOUT}")
        if not 0 <= label < self.classes:
            expected = f"expected 0 to {self.classes - 1}, for the module's {self.classes} logits"
            raise JobError(f"{who}: label out of range (got {label}, {expected}).")
        try:
            rgb = image_files.to_rgb(image)
        except Exception as error:
            raise JobError(f"{who}: cannot be decoded ({error}).") from error
        self.labels[row] = label
        return rgb

    def cut(self, rows: np.ndarray, looks: list[Look]) -> list[torch.Tensor]:
        """The crops of some images for each look, (n, k, k, 3) uint8, each image read once."""
        pixels = [
            torch.empty((len(rows), k, k, 3), dtype=torch.uint8, device="cpu") for _, k in looks
        ]
        arrays = [batch.numpy() for batch in pixels]

        def one(place: int) -> None:
            image = self.read(int(rows[place]))
            height, width = np.array([image.height]), np.array([image.width])
            for (look, k), batch in zip(looks, arrays, strict=True):
                rocs = regions.rocs(look, k, rows[place, None], height, width)
                batch[place] = np.asarray(crop_of(image, rocs, 0, k))

        if self.workers == 1:
            list(map(one, range(len(rows))))
        else:
            with ThreadPoolExecutor(self.workers) as pool:
                list(pool.map(one, range(len(rows))))
        return pixels


@dataclass(frozen=True)
class LiveReader:
    """Reads each image once, and cuts its test crops at every resolution: `requests.Reader`."""

    images: LiveImages
    mean: tuple[float, ...]  # of the network's input normalisation
    std: tuple[float, ...]
    device: Device
    batch: int | None = None  # maximum number of images per batch; None: as in `CropReader`
    ranks: Ranks = ALONE

    @property
    def rows(self) -> np.ndarray:
        return self.images.rows

    def batches(
        self,
        part: slice,
        test_da: regions.Augmentation,
        resolutions: list[int],
        ratios: list[float | None] | None = None,
    ) -> Iterator[Iterable[torch.Tensor]]:
        """See `CropReader.batches`."""
        ratios = ratios or [test_da.crop_pct] * len(resolutions)
        looks = [
            (test_da._replace(crop_pct=ratio), k)
            for ratio, k in zip(ratios, resolutions, strict=True)
        ]
        rows = self.rows[part]
        batch = requests.images_at_once(test_da.crops, resolutions)
        batch = min(batch, self.batch or batch)
        for start in range(0, len(rows), batch):
            pixels = self.images.cut(rows[start : start + batch], looks)
            yield (self.normal(uint8) for uint8 in pixels)

    def normal(self, pixels: torch.Tensor) -> torch.Tensor:
        """The network's input from (n, k, k, 3) uint8 crops: (n, 3, k, k) on the device."""
        return loader.to_device(pixels, None, self.mean, self.std, self.device.device)

    def named(self, image: int) -> str:
        """The image as a program would index it."""
        return f"dataset[{self.rows[image]}]"
