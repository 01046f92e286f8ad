"""Tiny-ImageNet (Stanford CS231n, 2015): 64×64 photographs from ImageNet, 200 classes.

Classes are WordNet ids, and labels follow their sorted order, as in ImageNet. Each class has a
folder of training images. A list gives the class of each validation image; the test images have no
labels and are not used. Every training and validation image comes with the box around its object.

If the user has moved the validation images into class folders, the folders give the classes.
"""

from collections import Counter
from pathlib import Path

from fixres.data.sources import imagefolder
from fixres.data.sources.base import Box, Listing, Part, Source
from fixres.data.sources.lists import abbreviated, class_folders, parsing, read_columns
from fixres.data.walk import folders_in
from fixres.jobs import JobError

ARCHIVE = "tiny-imagenet-200.zip", "90528d7ca1a48142e341f4ef8d21d0de", "tiny-imagenet-200"
CLASSES, VAL, ANNOTATIONS = "wnids.txt", "val", "val/val_annotations.txt"
ADDRESS = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
BOXES = "{}_boxes.txt"  # in the folder of a class
SIDE = 64  # pixels of every image


def read(folder: Path) -> Listing:
    wnids = sorted(wnid for (wnid,) in read_columns(folder / CLASSES, 1))
    moved = set(folders_in(folder / VAL)) - {"images"}  # into class folders, by the user
    listing = imagefolder.read(folder) if moved else class_folders(folder, "train", 0)
    if differ := sorted(set(wnids) ^ set(listing.classes)):
        what = f"other classes than {folder / CLASSES} (only one has {abbreviated(differ)})"
        raise JobError(f"{folder / 'train'}: {what}. Unpack {ARCHIVE[0]} again.")
    boxes = {}
    lists = [
        file for wnid in wnids if (file := folder / "train" / wnid / BOXES.format(wnid)).is_file()
    ]
    for file in lists:  # missing in some copies, and not needed for labels
        for name, *edges in read_columns(file, 5):
            boxes[f"train/{file.parent.name}/images/{name}"] = _box(file, name, edges)
    skipped = Counter(listing.skipped) - Counter({".txt": len(lists)})
    listing = listing._replace(boxes=boxes, skipped=skipped)
    return listing if moved else _with_val(listing, folder)


def _with_val(train: Listing, folder: Path) -> Listing:
    """The training images, and the validation images of the official list."""
    file, images, boxes = folder / ANNOTATIONS, [], {}
    if not file.is_file():
        expected = f"expected the classes of the images in {VAL}/images, or class folders in {VAL}"
        raise JobError(f"{file}: no such file ({expected}). Unpack {ARCHIVE[0]} again.")
    label = {wnid: number for number, wnid in enumerate(train.classes)}
    for name, wnid, *edges in read_columns(file, 6):
        if wnid not in label:
            got = f"got {wnid}, expected one of {CLASSES}"
            raise JobError(f"{file}: unknown class of {name} ({got}).")
        path = f"{VAL}/images/{name}"
        images.append((path, label[wnid], 1))
        boxes[path] = _box(file, name, edges)
    lists = ("train", ANNOTATIONS)
    return train._replace(
        images=train.images + images, lists=lists, folders=(VAL,), boxes=train.boxes | boxes
    )


def _box(file: Path, name: str, edges: list[str]) -> Box:
    """The box of an image, given the first and last pixel of its object, counted from 0."""
    with parsing(file):
        x0, y0, x1, y1 = map(int, edges)
    if not (0 <= x0 <= x1 < SIDE and 0 <= y0 <= y1 < SIDE):
        got = f"got {' '.join(edges)}, expected first and last pixel from 0 to {SIDE - 1}"
        raise JobError(f"{file}: impossible box of {name} ({got}).")
    return x0 / SIDE, y0 / SIDE, (x1 + 1) / SIDE, (y1 + 1) / SIDE


SOURCE = Source(
    name="tiny-imagenet",
    title="Tiny-ImageNet",
    where=f"{ADDRESS} (248 MB)",
    terms="as ImageNet's: non-commercial research and education; the photographs belong to their "
    "owners",
    published=(100_000, 10_000, 200),
    wordnet=True,
    homes=("tiny-imagenet-200",),
    parts=tuple(Part(path, *ARCHIVE, packing="zip") for path in (CLASSES, "train", VAL)),
    read=read,
    addresses={ARCHIVE[0]: ADDRESS},
    boxes=True,
)
