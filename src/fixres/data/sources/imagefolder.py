"""Any dataset as `train/CLASS/*` and `val/CLASS/*`."""

from pathlib import Path

from fixres.data.sources.base import Listing, Part, Source
from fixres.data.sources.lists import abbreviated, class_folders
from fixres.jobs import JobError


def read(folder: Path) -> Listing:
    train, val = class_folders(folder, "train", 0), class_folders(folder, "val", 1)
    if val.classes != train.classes:
        only = abbreviated(sorted(set(val.classes) ^ set(train.classes)))
        what = f"train/ and val/ have different classes (only one has {only})"
        raise JobError(f"{folder}: {what}. Rename or remove these folders.")
    skipped = train.skipped + val.skipped
    return Listing(train.classes, train.images + val.images, ("train", "val"), skipped=skipped)


def read_val(folder: Path) -> Listing:
    return class_folders(folder, "val", 1)


SOURCE = Source(
    name="imagefolder",
    title="image folder",
    where="your own images, as train/CLASS/* and val/CLASS/*",
    terms="your own",
    parts=(Part("train", training=True), Part("val")),
    read=read,
    read_val=read_val,
)
