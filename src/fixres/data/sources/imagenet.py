"""ImageNet 2012 (ILSVRC2012): the three official archives, or folders.

The folders are `train/` and `val/`, each with one folder per class. Classes are WordNet ids, and
labels follow their sorted order.

Boxes around the objects are read if they are available, from the two official archives of XML files
or folders of such files (`boxes.py`). About half of the training images have boxes.

This module reads the devkit, whose two lists give the class of each validation image. torchvision's
ImageNet class is not suitable, because it writes into the data folder, starts again after an
interruption, and accepts only the published checksums.
"""

from pathlib import Path

from fixres.data.sources import boxes, imagefolder
from fixres.data.sources.base import Listing, Part, Source
from fixres.data.sources.lists import abbreviated, class_folders, parsing, read_columns, read_mat
from fixres.data.walk import folders_in
from fixres.jobs import JobError

DEVKIT = "ILSVRC2012_devkit_t12.tar.gz", "fa75699e90414af021442c21a62c3abf"
TRAIN = "ILSVRC2012_img_train.tar", "1d675b47d978889d74fa0da5fadfb00e"
META = "ILSVRC2012_devkit_t12/data/meta.mat"
TRUTH = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
BOXES = {  # folder of the boxes -> their archive
    "boxes/train": ("ILSVRC2012_bbox_train_v2.tar.gz", "9271167e2176350e65cfe4e546f14b17"),
    "boxes/val": ("ILSVRC2012_bbox_val_v3.tgz", "f4cd18b5ea29fe6bbea62ec9c20d80f0"),
}


def read(folder: Path) -> Listing:
    return _with_boxes(_labels(folder), folder)


def read_val(folder: Path) -> Listing:
    listing = _official_val(folder) if _is_official(folder) else imagefolder.read_val(folder)
    return _with_boxes(listing, folder)


def _with_boxes(listing: Listing, folder: Path) -> Listing:
    return listing._replace(boxes=boxes.of_images(listing.images, [folder / at for at in BOXES]))


def _is_official(folder: Path) -> bool:
    """Whether the labels of the validation images come from the devkit and not from folders."""
    return (folder / META).exists() and not folders_in(folder / "val")


def _labels(folder: Path) -> Listing:
    if not _is_official(folder):
        return imagefolder.read(folder)
    train, val = class_folders(folder, "train", 0), _official_val(folder)
    if differ := sorted(set(val.classes) ^ set(train.classes)):
        what = f"other classes than {folder / META} (only one has {abbreviated(differ)})"
        raise JobError(f"{folder / 'train'}: {what}. Get both from the same place.")
    return val._replace(images=train.images + val.images, skipped=train.skipped)


def _official_val(folder: Path) -> Listing:
    """The validation images and their classes, from the devkit."""
    wnids = _wordnet_ids(folder / META)
    classes = tuple(sorted(wnids.values()))
    label, val = {wnid: i for i, wnid in enumerate(classes)}, []
    for number, (found,) in enumerate(read_columns(folder / TRUTH, 1), 1):
        if not found.isdecimal() or int(found) not in wnids:
            got = f"got {found}, expected 1 to {len(wnids)}"
            raise JobError(f"{folder / TRUTH}, line {number}: label out of range ({got}).")
        val.append((f"val/ILSVRC2012_val_{number:08d}.JPEG", label[wnids[int(found)]], 1))
    return Listing(classes, val, ("train", TRUTH), folders=("val",))


def _wordnet_ids(file: Path) -> dict[int, str]:
    """ILSVRC2012_ID -> WordNet id of every class.

    The list also contains the inner nodes of the hierarchy; classes are the leaves. The numbers
    have another order than the WordNet ids.
    """
    with parsing(file):
        leaves = (s for s in read_mat(file, "synsets") if int(s["num_children"]) == 0)
        return {int(s["ILSVRC2012_ID"]): str(s["WNID"]) for s in leaves}


SOURCE = Source(
    name="imagenet",
    title="ImageNet 2012",
    where="https://image-net.org/challenges/LSVRC/2012/2012-downloads.php (after registration)",
    terms="non-commercial research and education, agreed to on registration",
    published=(1_281_167, 50_000, 1000),
    parts=(
        Part(META, *DEVKIT, unless="val"),
        Part(TRUTH, *DEVKIT, unless="val"),
        *(
            Part(path, *BOXES[path], inside=None, optional=True, training="train" in path)
            for path in BOXES
        ),
        Part("val", "ILSVRC2012_img_val.tar", "29b22e2961454d5413ddabcf34fc5622", inside=None),
        Part("train", *TRAIN, inside=None, packing="tars", training=True),
    ),
    read=read,
    read_val=read_val,
    wordnet=True,
    boxes=True,
)
