"""The images of a program: a dataset of (PIL image, label), in place of files and a manifest.

    images = LiveImages(dataset, classes=10)
    [at_128, at_160] = images.cut(np.arange(32), [(test_da, 128), (test_da, 160)])

An image is taken from the dataset whenever its crops are wanted, and is not kept. Its crops are the
rectangles of regions.py, cut by the Pillow loader's own function: the pixels are those that a job
gets from a file with this image.
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
WITHOUT = "give the dataset without a transform, as torchvision's ImageFolder(folder)"
UNKNOWN = -1  # label of an image that was not read yet


class Dataset(Protocol):
    """What a program gives: n images and their labels, such as torchvision's ImageFolder."""

    def __len__(self) -> int:
        """The number of images."""

    def __getitem__(self, index: int, /) -> tuple["PillowImage", int]:
        """An image of any size and mode, and its class, from 0; by a number from 0 to n - 1."""


class LiveImages:
    """The images of a dataset, and the labels of those that were read.

    Parameters
    ----------
    classes : their number. A label is from 0 to classes - 1.
    workers : threads that read and cut. More than one call the dataset at the same time.

    Attributes
    ----------
    labels : (n,) int64; UNKNOWN where no crop was cut yet.
    """

    def __init__(self, dataset: Dataset, classes: int, workers: int = 1):
        if not (isinstance(dataset, Sized) and hasattr(dataset, "__getitem__")):
            kind = type(dataset).__name__
            raise JobError(f"dataset: found a {kind}, expected len(dataset) and dataset[i]")
        if not len(dataset):
            raise JobError("dataset: found no images, expected at least one")
        self.dataset, self.classes, self.workers = dataset, classes, workers
        self.labels = np.full(len(dataset), UNKNOWN, np.int64)

    @property
    def rows(self) -> np.ndarray:
        """(n,) the numbers of the images."""
        return np.arange(len(self.labels))

    def read(self, row: int) -> "PillowImage":
        """An image, RGB. Keeps its label. Raises JobError where it is no (PIL image, label)."""
        from PIL import Image

        who = f"dataset[{row}]"
        try:
            item: Any = self.dataset[row]
            image, label = item
            label = operator.index(label)
        except Exception as error:  # whatever the program's dataset raises
            problem = f"{type(error).__name__}: {error}"
            raise JobError(f"{who}: expected (PIL image, label), got {problem}") from error
        if not isinstance(image, Image.Image):
            found = type(image).__name__
            raise JobError(f"{who}: found a {found}, expected a PIL image; {WITHOUT}")
        if not 0 <= label < self.classes:
            expected = f"expected 0 to {self.classes - 1}: the module gives {self.classes} logits"
            raise JobError(f"{who}: found label {label}, {expected}")
        try:
            rgb = image_files.to_rgb(image)
        except Exception as error:
            raise JobError(f"{who}: cannot be decoded ({error})") from error
        self.labels[row] = label
        return rgb

    def cut(self, rows: np.ndarray, looks: list[Look]) -> list[torch.Tensor]:
        """For each look the crops of some images, (n, k, k, 3) uint8, from one read of each."""
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
    mean: tuple[float, ...]  # of the input normalisation of the network
    std: tuple[float, ...]
    device: Device
    batch: int | None = None  # images of a batch, at most; None: those of `CropReader`
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
        """What the network sees of (n, k, k, 3) uint8 crops: (n, 3, k, k) on the device."""
        return loader.to_device(pixels, None, self.mean, self.std, self.device.device)

    def named(self, image: int) -> str:
        """The image as a program would ask for it."""
        return f"dataset[{self.rows[image]}]"
