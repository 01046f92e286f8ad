"""A pass over images under test DA, which the processes of a job share."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce

import torch

from fixres import jobs
from fixres.artifacts.predictions import Cropping
from fixres.data import requests
from fixres.data.regions import Augmentation
from fixres.data.requests import Reader
from fixres.models.distributions import Moments

# Pixels of the crops that a network sees at once on a processor: 20 crops of 224 px, 7 of 384.
# With more, its activations outgrow the memory that is kept between steps (hardware/memory.py): 100
# crops of 384 px took 2.3 times as long an image as 16 (EfficientNet-Lite0).
PIXELS = 2**20
# The images are cut into about this many segments, whatever the number of processes. Moments are
# merged segment after segment, so always in the same order.
SEGMENTS = 64


@contextmanager
def one_pass(
    what: str,
    reader: Reader,
    test_da: Augmentation,
    croppings: list[Cropping],
    chunk: int | None = None,
) -> Iterator[Iterator[tuple[Cropping, slice, torch.Tensor]]]:
    """Go through this process's share of the images once, without gradients.

    Parameters
    ----------
    what : the work, for the progress bar.
    croppings : all with as many crops an image; a crop_pct of None means `test_da`'s.
    chunk : images that no two processes share, see `Ranks.share`; None: one batch.

    Yields
    ------
    Batch by batch, and for each batch cropping by cropping: the cropping, which images of the
    reader these are, and their crops, (crops · n, 3, k, k), ready for the network.
    """
    crops = croppings[0].crops
    part = reader.ranks.share(len(reader.rows), chunk or requests.BATCH)
    bar = jobs.progress(what, (part.stop - part.start) * crops * len(croppings), "crops")
    ratios = [c.crop_pct or test_da.crop_pct for c in croppings]
    test_da = test_da._replace(crops=crops)

    def batches() -> Iterator[tuple[Cropping, slice, torch.Tensor]]:
        at = part.start
        for batch in reader.batches(part, test_da, [c.k for c in croppings], ratios):
            for cropping, x in zip(croppings, batch, strict=True):
                images = slice(at, at + len(x) // crops)
                yield cropping, images, x
                bar.update(len(x))
            at = images.stop

    with bar, torch.no_grad(), reader.device.autocast():
        yield batches()


def pieces(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Crops (n, 3, k, k) in pieces that the network sees one after another; on a GPU, all at once.

    Only where predictions are made: a processor may sum a smaller batch in another order, so the
    last bits of logits differ. Adaptations, which leave weights, see whole batches.
    """
    return (x,) if x.is_cuda else x.split(max(PIXELS // x[0, 0].numel(), 1))


class MergedMoments:
    """Moments of the named activations of the images of one pass, which go on from batch to batch.

    No two processes share a segment of the images, so every number of processes gives the same
    moments. Memory does not grow with the images.
    """

    def __init__(self, reader: Reader, names: list):
        self.ranks = reader.ranks
        # Images. As the pass's `chunk` it keeps a segment in one process.
        self.segment = requests.BATCH * -(-len(reader.rows) // (requests.BATCH * SEGMENTS))
        self.found: dict[object, list[Moments]] = {name: [] for name in names}

    def add(self, name: object, images: slice, new: Moments) -> None:
        """Add the moments of a batch."""
        if images.start % self.segment:
            self.found[name][-1] += new
        else:
            self.found[name].append(new)

    def merged(self) -> dict[object, Moments]:
        """The moments of all images, on every process."""
        by_rank = self.ranks.gather(self.found)
        return {
            name: reduce(Moments.__add__, [m for found in by_rank for m in found[name]])
            for name in self.found
        }
