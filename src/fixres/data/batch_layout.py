"""How the crops of a batch are arranged by image, so that each image is decoded only once."""

import math
from collections import Counter
from typing import NamedTuple

import numpy as np

from fixres.data.regions import Rocs


class Crops(NamedTuple):
    """The crops of one resolution in a batch: n crops of k×k pixels.

    A request for a batch is a list of these, one per resolution.
    """

    rocs: Rocs
    k: int


class Layout(NamedTuple):
    """A batch, arranged by image.

    Each image is decoded once and has a number of slots per resolution; a slot is one crop.
    """

    images: np.ndarray  # (m,) row of the manifest
    # For each resolution (m, slots): the crop of the request, or -1 for an unused slot.
    crops: list[np.ndarray]


def count_slots(request: list[Crops]) -> list[int]:
    """The largest number of crops that any image has in the request, for each resolution."""
    return [max(Counter(rocs.image.tolist()).values()) for rocs, _ in request]


def lay_out(request: list[Crops], slots: list[int]) -> Layout:
    """Arrange a request by image, with `slots[i]` slots for resolution i.

    Images are in order of first appearance. An image with more crops than slots (because it was
    drawn twice) is listed again.
    """
    wanted: dict[int, list[list[int]]] = {}  # image -> for each resolution, its crops
    for which, (rocs, _) in enumerate(request):
        for row, image in enumerate(rocs.image.tolist()):
            wanted.setdefault(image, [[] for _ in request])[which].append(row)
    images: list[int] = []
    crops: list[list[list[int]]] = [[] for _ in request]
    for image, rows in wanted.items():
        for turn in range(max(math.ceil(len(r) / s) for r, s in zip(rows, slots, strict=True))):
            images.append(image)
            for out, r, s in zip(crops, rows, slots, strict=True):
                part = r[turn * s : (turn + 1) * s]
                out.append(part + [-1] * (s - len(part)))
    return Layout(np.array(images, np.int64), [np.array(c, np.int64) for c in crops])
