"""Change a dataset as configured: the order of the classes, the split, the number of images.

These are the keys labels, classes, split, only, limit and mislabelled of an entry of `datasets`
(docs/datasets.md). Each changes the listing of a source before any image is read.
"""

import hashlib
from pathlib import Path

from fixres.artifacts.manifest import SPLITS
from fixres.data.sources import labelled
from fixres.data.sources.base import Listing, Part, Source
from fixres.data.sources.lists import abbreviated, class_folders
from fixres.data.walk import folders_in
from fixres.jobs import JobError


def picked(source: Source, wanted: dict) -> Source:
    """A source that reads another source, with changes.

    `wanted`, from the resolved configuration of a manifest, may have split, a share; only, "val";
    labels, {"file": the list, "sha256": of its content}; classes, a list of names in the network's
    order, or "imagenet"; limit, {"train": n, "val": n}; mislabelled, a share.
    """
    changed = source
    if "split" in wanted:
        by = ", split by the suite" if wanted["split"] < 1 else ""
        changed = source._replace(parts=(Part("."),), title=f"image folder{by}")
    if "only" in wanted and source.read_val:
        parts = tuple(part for part in source.parts if not part.training)
        changed = source._replace(parts=parts, read=source.read_val)
    if "limit" in wanted:
        changed = changed._replace(published=None)  # fewer images are intended

    by_share, labels = "split" in wanted, ()
    if "labels" in wanted:
        labels = wanted["labels"]["file"], wanted["labels"]["sha256"]

    def read(folder: Path) -> Listing:
        if labels:
            listing = split_by(wanted["split"], labelled.read(folder, Path(labels[0]), labels[1]))
        elif by_share:
            listing = split_by(wanted["split"], whole_folder(folder, wanted["split"]))
        else:
            listing = changed.read(folder)
        listing = validation(listing) if "only" in wanted else listing
        if "classes" in wanted:
            listing = in_order(listing, names(wanted["classes"]), labels[0] if labels else "")
        if "limit" in wanted:
            listing = limited(listing, wanted["limit"])
        share = wanted.get("mislabelled", 0.0)
        return listing._replace(images=[mislabelled(row, share, listing) for row in listing.images])

    return changed._replace(read=read)


def validation(listing: Listing) -> Listing:
    """A listing with only its validation images.

    Folders that contain training images are dropped, because these images are no longer listed.
    """
    number = SPLITS.index("val")
    images = [row for row in listing.images if row[2] == number]
    left_out = {path.split("/")[0] for path, _, split in listing.images if split != number}
    folders = tuple(at for at in listing.folders if at.split("/")[0] not in left_out)
    return listing._replace(images=images, splits=(number,), folders=folders)


def names(classes: str | list[str]) -> list[str]:
    """The classes in the network's order."""
    if classes != "imagenet":
        return classes
    from timm.data import ImageNetInfo

    return list(ImageNetInfo().label_names())  # WordNet ids


def fraction(path: str, purpose: str) -> float:
    """A number in [0, 1) that follows from the path of an image and its purpose (SHA-256)."""
    digest = hashlib.sha256(f"{purpose} {path}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def whole_folder(folder: Path, share: float) -> Listing:
    """Read a folder with one folder per class, which is to be split by `share`."""
    if there := [split for split in SPLITS if split in folders_in(folder)]:
        raise JobError(
            f"{folder}: already split (got {' and '.join(there)} with datasets.….split {share:g}, "
            "expected one folder per class). Remove split, or name another folder."
        )
    return class_folders(folder, ".", 0)


def split_by(share: float, whole: Listing) -> Listing:
    """Use about `share` of the images for validation.

    The split of an image follows from its path, so additional images do not move others.
    """
    parts = [(path, label, int(fraction(path, "split") < share)) for path, label, _ in whole.images]
    whole = whole._replace(images=parts)
    return validation(whole) if share == 1 else whole


def in_order(listing: Listing, classes: list[str], labels: str = "") -> Listing:
    """The listing with the network's classes, in its order; some may have no images.

    `labels` is the file that lists the classes of the images, perhaps as numbers.

    Raises JobError if an image has another class.
    """
    index = {name: i for i, name in enumerate(classes)}
    if labels:
        index = labelled.numbered(listing.classes, classes, labels)
    unknown = [name for name in listing.classes if name not in index]
    if unknown:
        raise JobError(
            f"datasets.….classes: {len(unknown)} of the images' {len(listing.classes)} classes are "
            f"unknown to the network (got {abbreviated(unknown)}, expected some of its "
            f"{len(classes)} classes {abbreviated(classes)}). Name the folders like the network's "
            "classes, or let it train on yours (custom.train)."
        )
    labels = [index[name] for name in listing.classes]
    images = [(path, labels[label], split) for path, label, split in listing.images]
    return listing._replace(classes=tuple(classes), images=images)


def limited(listing: Listing, limit: dict[str, int]) -> Listing:
    """At most `limit` images of each split, spread as evenly as possible over the classes.

    The choice follows from the paths, and a larger limit contains the images of a smaller limit.
    """
    kept: set[str] = set()
    for number, split in enumerate(SPLITS):
        part = [(path, label) for path, label, at in listing.images if at == number]
        rank: dict[int, int] = {}
        turns = []
        for path, label in sorted(part, key=lambda row: fraction(row[0], "limit")):
            rank[label] = rank.get(label, 0) + 1  # the first of each class, then the second …
            turns.append((rank[label], fraction(path, "limit"), path))
        turns.sort()
        kept.update(path for *_, path in turns[: limit.get(split)])
    images = [row for row in listing.images if row[0] in kept]
    return listing._replace(images=images, folders=())  # unlisted images are intended


def mislabelled(row: tuple[str, int, int], share: float, listing: Listing) -> tuple[str, int, int]:
    """An image of a listing; about `share` of the training images get a wrong class.

    The choice of the images and the classes follow from the paths.
    """
    path, label, split = row
    if split != SPLITS.index("train") or fraction(path, "mislabelled") >= share:
        return row
    n = len(listing.classes)
    return path, (label + 1 + int(fraction(path, "wrong class") * (n - 1))) % n, split
