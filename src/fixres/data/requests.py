"""The test crops that a job requests from the loader, for a set of images under test DA.

reader = CropReader(data, rows, entry.mean, entry.std, device, "auto", workers, ranks)
test_da = regions.Augmentation("test DA")
for batch in reader.batches(slice(0, len(rows)), test_da, [96, 128]):
    at_96, at_128 = batch  # the same images, ready for the network
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from fixres.artifacts.manifest import Manifest
from fixres.data import loader, regions
from fixres.hardware.device import Device
from fixres.hardware.ranks import Ranks

BATCH = 100  # crops of one resolution per batch; affects only speed and memory
# Bytes of all crops of a batch. A sweep over 66 resolutions around 256 px has smaller batches,
# because 100 images would be 1.3 GB, and several batches are in memory at once.
MOST = 2**28


def images_at_once(crops: int, resolutions: list[int]) -> int:
    """The number of images per batch, given the crops of each image at each resolution.

    A divisor of BATCH / crops, so that the ends of batches of different sizes coincide.
    """
    most = BATCH // crops
    fit = MOST // (3 * crops * sum(k * k for k in resolutions))
    return max((n for n in range(1, most + 1) if most % n == 0 and n <= fit), default=1)


class Reader(Protocol):
    """The source of crops for a pass over images: `CropReader`, or `LiveReader` for programs."""

    rows: np.ndarray  # indices of the images
    device: Device
    ranks: Ranks

    def batches(
        self,
        part: slice,
        test_da: regions.Augmentation,
        resolutions: list[int],
        ratios: list[float | None] | None = None,
    ) -> Iterator[Iterable[torch.Tensor]]:
        """See `CropReader.batches`."""

    def named(self, image: int) -> str:
        """The name of the image `rows[image]` for messages."""


@dataclass(frozen=True)
class CropReader:
    """Reads each image once, and cuts its test crops at every resolution."""

    data: Manifest
    rows: np.ndarray  # rows of the manifest: the images
    mean: tuple[float, ...]  # of the network's input normalisation
    std: tuple[float, ...]
    device: Device
    loader_name: str  # auto, dali or pillow
    workers: int  # loader threads of this process
    ranks: Ranks

    def batches(
        self,
        part: slice,
        test_da: regions.Augmentation,
        resolutions: list[int],
        ratios: list[float | None] | None = None,
    ) -> Iterator[Iterable[torch.Tensor]]:
        """The crops of the images `rows[part]`, batch by batch.

        A batch has the normalised crops at each resolution, (n, 3, k, k) float32. It is an
        iterator, so the crops of a resolution are copied to the device only when they are needed.
        `ratios` is the crop_pct for each resolution, and resolutions may then repeat; None: the
        ratio of `test_da`.
        """
        ratios = ratios or [test_da.crop_pct] * len(resolutions)
        looks = [test_da._replace(crop_pct=ratio) for ratio in ratios]
        wanted = self.requests(part, list(zip(looks, resolutions, strict=True)))
        device, how = self.device.device, (self.loader_name, self.workers, self.device.device)
        for crops, pixels in loader.batches(self.data, wanted, *how):
            yield (
                loader.to_device(uint8, rocs, self.mean, self.std, device)
                for (rocs, _), uint8 in zip(crops, pixels, strict=True)
            )

    def named(self, image: int) -> str:
        """The file of the image `rows[image]`."""
        [file] = self.data.files(self.rows[image, None])
        return file

    def requests(
        self, part: slice, looks: list[tuple[regions.Augmentation, int]]
    ) -> Iterator[list[loader.Crops]]:
        """Request every image once, with at most BATCH crops per resolution at a time."""
        rows, batch = self.rows[part], images_at_once(looks[0][0].crops, [k for _, k in looks])
        for start in range(0, len(rows), batch):
            chosen = rows[start : start + batch]
            h, w = self.data.height[chosen], self.data.width[chosen]
            yield [loader.Crops(regions.rocs(look, k, chosen, h, w), k) for look, k in looks]
