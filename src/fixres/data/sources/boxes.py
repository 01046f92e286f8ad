"""Boxes around objects from PASCAL VOC's XML files, one file per image, as used by ImageNet.

Because the files come from other people, a document type, which could define entities, is refused,
and so is a file that is too large for a list of boxes.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from fixres.data.sources.base import Box
from fixres.data.sources.lists import parsing
from fixres.data.walk import walk
from fixres.jobs import progress

LARGEST = 1_000_000  # bytes of a file; ImageNet's have about 600
STEP = 1000  # files between two updates of the progress


def of_images(images: Iterable[tuple[str, int, int]], folders: list[Path]) -> dict[str, Box]:
    """Path of an image -> the box around its object, from the files below some folders.

    A file belongs to the image with the same name, whatever its ending and folder. Images without a
    file, or without an object in it, have no box; files of other images are skipped.
    """
    files = {_stem(file): Path(file) for folder in folders for file in walk(folder).files}
    found = {path: files[_stem(path)] for path, _, _ in images if _stem(path) in files}
    boxes = {}
    with progress("reading boxes", len(found), "files") as bar:
        for number, (path, file) in enumerate(found.items(), 1):
            if box := largest(file):
                boxes[path] = box
            if number % STEP == 0 or number == len(found):
                bar.update(number - bar.done)
    return boxes


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def largest(file: Path) -> Box | None:
    """The box of the largest object in a file; None if no object is in the image.

    Coordinates refer to the size that is stated in the file, which is not always the size of the
    image, and are clipped to it. Raises JobError if the file is invalid.
    """
    with parsing(file):
        if (size := file.stat().st_size) > LARGEST:
            raise ValueError(f"got {size} bytes, expected at most {LARGEST}")
        parser = ElementTree.XMLParser(target=_Plain())
        root = ElementTree.fromstring(file.read_bytes(), parser)
        width, height = (int(root.findtext(f"size/{name}", "")) for name in ("width", "height"))
        if width < 1 or height < 1:
            raise ValueError(f"got the size {width}×{height}")
        boxes = [_shares(found, width, height) for found in root.iter("bndbox")]
    box = max(boxes, key=_area, default=(0.0, 0.0, 0.0, 0.0))
    return box if _area(box) > 0 else None


class _Plain(ElementTree.TreeBuilder):
    """Builds the tree of a file without a document type."""

    def doctype(self, *_: object) -> None:
        raise ValueError("got a document type, expected none")


def _shares(found: ElementTree.Element, width: int, height: int) -> Box:
    """The edges of a box as shares of the image; in some files they are in the wrong order."""
    x = sorted(int(found.findtext(name, "")) / width for name in ("xmin", "xmax"))
    y = sorted(int(found.findtext(name, "")) / height for name in ("ymin", "ymax"))
    x0, y0, x1, y1 = (min(max(edge, 0.0), 1.0) for edge in (x[0], y[0], x[1], y[1]))
    return x0, y0, x1, y1


def _area(box: Box) -> float:
    x0, y0, x1, y1 = box
    return (x1 - x0) * (y1 - y0)
