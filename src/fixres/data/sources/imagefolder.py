"""Any dataset as `train/CLASS/*` and `val/CLASS/*`."""

from pathlib import Path

from fixres.data.sources.base import Listing, Part, Source
from fixres.data.sources.lists import abbreviated, class_folders
from fixres.jobs import JobError


def read(folder: Path) -> Listing:
    classes, train = class_folders(folder, "train", 0)
    others, val = class_folders(folder, "val", 1)
    if others != classes:
        only = f"only one of them has {abbreviated(sorted(set(others) ^ set(classes)))}"
        raise JobError(f"{folder}: train/ and val/ hold different classes; {only}")
    return Listing(classes, train + val, ("train", "val"))


SOURCE = Source(
    title="image folder",
    where="your own images, as train/CLASS/* and val/CLASS/*",
    terms="your own",
    parts=(Part("train"), Part("val")),
    read=read,
)
