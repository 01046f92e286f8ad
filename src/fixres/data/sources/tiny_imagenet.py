"""Tiny-ImageNet (Stanford CS231n, 2015): photographs of ImageNet, 200 classes, 64 px a side.

Classes are WordNet ids, and labels follow their sorted order, as in ImageNet. Each class has a
folder of training images. A list gives the class of each validation image; the test images have no
labels and are not used. Every training and validation image comes with the box around its object.
"""

from collections import Counter
from pathlib import Path

from fixres.data.sources.base import Box, Listing, Part, Source
from fixres.data.sources.lists import abbreviated, class_folders, parsing, read_columns
from fixres.jobs import JobError

ARCHIVE = "tiny-imagenet-200.zip", "90528d7ca1a48142e341f4ef8d21d0de", "tiny-imagenet-200"
CLASSES, VAL, ANNOTATIONS = "wnids.txt", "val", "val/val_annotations.txt"
ADDRESS = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
SIDE = 64  # pixels of every image


def read(folder: Path) -> Listing:
    train = class_folders(folder, "train", 0)
    wnids = sorted(wnid for (wnid,) in read_columns(folder / CLASSES, 1))
    if differ := sorted(set(wnids) ^ set(train.classes)):
        what = f"other classes than {folder / CLASSES}; only one of them has {abbreviated(differ)}"
        raise JobError(f"{folder / 'train'}: {what}")
    label = {wnid: number for number, wnid in enumerate(wnids)}
    boxes, val = {}, []
    for wnid in wnids:
        file = folder / "train" / wnid / f"{wnid}_boxes.txt"
        for name, *edges in read_columns(file, 5):
            boxes[f"train/{wnid}/images/{name}"] = _box(file, name, edges)
    for name, wnid, *edges in read_columns(folder / ANNOTATIONS, 6):
        if wnid not in label:
            what = f"found the class {wnid} of {name}, expected one of {CLASSES}"
            raise JobError(f"{folder / ANNOTATIONS}: {what}")
        path = f"{VAL}/images/{name}"
        val.append((path, label[wnid], 1))
        boxes[path] = _box(folder / ANNOTATIONS, name, edges)
    lists = ("train", ANNOTATIONS)
    skipped = Counter(train.skipped) - Counter({".txt": len(wnids)})  # the lists of boxes
    return Listing(train.classes, train.images + val, lists, (VAL,), boxes=boxes, skipped=skipped)


def _box(file: Path, name: str, edges: list[str]) -> Box:
    """The box of an image, from the first and the last pixel of its object, from 0."""
    with parsing(file):
        x0, y0, x1, y1 = map(int, edges)
    if not (0 <= x0 <= x1 < SIDE and 0 <= y0 <= y1 < SIDE):
        what = f"expected first and last pixel from 0 to {SIDE - 1}"
        raise JobError(f"{file}: found the box {' '.join(edges)} of {name}, {what}")
    return x0 / SIDE, y0 / SIDE, (x1 + 1) / SIDE, (y1 + 1) / SIDE


SOURCE = Source(
    name="tiny-imagenet",
    title="Tiny-ImageNet",
    where=f"{ADDRESS} (248 MB)",
    terms="as ImageNet's: non-commercial research and education; the photographs belong to their "
    "owners",
    published=(100_000, 10_000, 200),
    homes=("tiny-imagenet-200",),
    parts=tuple(Part(path, *ARCHIVE, packing="zip") for path in (CLASSES, "train", VAL)),
    read=read,
    addresses={ARCHIVE[0]: ADDRESS},
)
