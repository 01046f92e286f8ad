"""TODO."""

import math
from collections import Counter
from typing import NamedTuple

import numpy as np

from fixres.data.regions import Views


class Crops(NamedTuple):
    """One resolution of one batch: n crops of k×k pixels."""

    views: Views
    k: int


# --- which image is decoded for which crops -------------------------------------------------------------------------------------


class Layout(NamedTuple):
    """A batch seen from its images: each is decoded once and cut into up to `slots` crops of every resolution."""

    images: np.ndarray  # (m,) row of the manifest
    crops: list[
        np.ndarray
    ]  # for each resolution (m, slots): which crop of the request; -1: the slot is unused


def _slots(request: list[Crops]) -> list[int]:
    """For each resolution, how many crops of one image the request holds at most."""
    return [max(Counter(views.image.tolist()).values()) for views, _ in request]


def _layout(request: list[Crops], slots: list[int]) -> Layout:
    """Images in order of appearance; one with more crops than slots (an image drawn twice) is listed again."""
    wanted: dict[int, list[list[int]]] = {}
    for which, (views, _) in enumerate(request):
        for row, image in enumerate(views.image.tolist()):
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
