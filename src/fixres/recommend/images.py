"""Look at a folder of images: its layout, how many there are, and whose classes they are."""

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from fixres.artifacts import manifest
from fixres.artifacts.manifest import SPLITS
from fixres.config.datasets import Dataset
from fixres.data import image_files, sources
from fixres.data.sources import abbreviated
from fixres.data.validate import checksum_of
from fixres.data.walk import folders_in
from fixres.graph.checks import expanded
from fixres.graph.classes import IMAGENET, RELEASE, WHAT_TO_GIVE, WORDNET, absent_classes
from fixres.graph.enough import Counted, count_images, listed
from fixres.graph.graph import JobGraph
from fixres.graph.recommendation import LEAKED, to_fix
from fixres.jobs import JobError

NO_TRAINING = "expected train/ and val/, or CLASS/* or --labels with --split"
TO_TRAIN = "Give them, or leave --train out"
LOOKED_AT = 100_000  # images; to look at more of them for copies takes minutes


def look_at_images(args: argparse.Namespace, outputs: int) -> tuple[dict, tuple[int, int]]:
    """The entry of `datasets`, and the numbers of training and validation images.

    Raises
    ------
    JobError or ConfigError : another layout, or classes that the network does not know.
    """
    root = Path(expanded(args.images))
    dataset: dict[str, Any] = {"source": args.source, "root": str(root.absolute())}
    dataset |= layout(args, root) if args.source == "imagefolder" else official(args, root)
    if args.train and not Dataset(**dataset).has_training_images:
        raise JobError(f"--train: no training images (got {root}, {NO_TRAINING}). {TO_TRAIN}")
    if args.source == "imagefolder":
        listing = sources.read(sources.picked(sources.load("imagefolder"), wanted(dataset)), root)
        if listing.skipped:
            print(f"{root}: skipped: {sources.counted(listing.skipped)}")
        expect_libraries(root, [path for path, _, _ in listing.images])
        sizes, classes = Counted(listing, root).sizes, listing.classes
    else:
        train, val, n = sources.load(args.source).published
        sizes = 0 if "only" in dataset else train, val
        classes = [f"class {i}" for i in range(n)]
    if not args.train:
        dataset |= class_list(args, classes, outputs)
        absent_classes(Dataset(**dataset), "--classes", outputs)
    doing = "trains on them first" if args.train else "knows them"
    images = f"{sizes[0]:,} training and {sizes[1]:,} validation images"
    images = images if sizes[0] else f"{sizes[1]:,} validation images, no training images"
    print(f"{root}: {images}, {len(classes)} classes; the network {doing}")
    return dataset, sizes


def official(args: argparse.Namespace, root: Path) -> dict[str, Any]:
    """Which parts of an official release are taken, as the key `only` of a dataset.

    Raises JobError where files are missing, or the network's order of the classes is not known.
    """
    source = sources.load(args.source)
    for option in ("split", "labels"):
        if getattr(args, option):
            raise JobError(
                f"--{option}: given with --source {args.source}, which has its own split and "
                "labels. Remove it."
            )
    if not (args.train or args.classes or source.wordnet):
        raise JobError(
            f"--source {args.source}: the network's order of classes is not known. If it has the "
            "order of the release's labels, as the datasets of torchvision do, add --classes "
            f"{RELEASE}; for another order, --classes FILE ({WHAT_TO_GIVE}); for a network that "
            "does not know these classes, --train"
        )
    lacks = sources.lacks_training_images(source, root, "--images")
    return {"only": "val"} if args.only or lacks else {}


def wanted(dataset: dict[str, Any]) -> dict[str, Any]:
    """What `sources.picked` is to pick of a dataset, its classes aside."""
    content = {key: dataset[key] for key in ("split", "only") if key in dataset}
    file = dataset.get("labels")
    return content | ({"labels": {"file": file, "sha256": ""}} if file else {})


def layout(args: argparse.Namespace, root: Path) -> dict[str, Any]:
    """How an image folder is laid out, as the keys `labels`, `split` and `only` of a dataset.

    Class folders alone, images of a list, or val/ alone, are validation images.

    Raises JobError for a folder that is not laid out as the options say.
    """
    if args.labels and args.only:
        raise JobError(
            "--only val: given with --labels, whose images are all for validation unless --split "
            "is given. Remove --only"
        )
    if args.labels:
        return {"labels": str(Path(expanded(args.labels)).absolute()), "split": args.split or 1.0}
    parts = [part for part in SPLITS if (root / part).is_dir()]
    if args.only and (args.split or "val" not in parts):
        raise JobError(
            f"--only val: for an image folder with val/ (got {root}"
            f"{' with --split' if args.split else ' without val/'}). Remove --only: class folders "
            "alone are validation images, unless --split is given"
        )
    there = " and ".join(f"{part}/" for part in parts)
    if parts and args.split:
        way = f"Give --images {root / parts[0]}, or leave --split out"
        raise JobError(
            f"--split {args.split:g}: not of such a folder (got {root} with {there}, expected "
            f"CLASS/* alone). {way if len(parts) == 1 else 'Leave it out'}"
        )
    if parts == ["train"]:
        raise JobError(
            f"{root}: no validation images (got train/ alone, expected val/, too). To set a part "
            f"of them aside: --images {root / 'train'} --split 0.2"
        )
    if args.only or parts == ["val"]:
        return {"only": "val"}
    if not parts and not folders_in(root):
        raise JobError(
            f"{root}: no folders (expected train/CLASS/* and val/CLASS/*, or CLASS/* alone). "
            "Put the images of each class into a folder of its name, or list their labels: --labels"
        )
    return {} if parts else {"split": args.split or 1.0}


def expect_libraries(root: Path, images: list[str]) -> None:
    """Raise JobError for a format that this Pillow cannot read: one image is tried for each ending.

    Only of formats that take a library; whatever else is wrong with an image, its listing finds.
    """
    first = {Path(image).suffix.lower(): image for image in reversed(images)}
    for ending in (e for name in image_files.LIBRARIES for e in image_files.FORMATS[name]):
        if ending in first:
            try:
                image_files.load((root / first[ending]).read_bytes())
            except image_files.UnsupportedError as error:
                raise JobError(f"{root / first[ending]}: {error}") from None
            except Exception:
                continue


def class_list(args: argparse.Namespace, folders: Sequence[str], outputs: int) -> dict[str, Any]:
    """The key `classes` of a dataset, where it is given or the classes' names tell it."""
    if args.classes == RELEASE:
        if args.source == "imagefolder":
            raise JobError(
                f"--classes {RELEASE}: for an official release (got an image folder, expected "
                "--source with the name of one). Give a file with the classes, or remove it"
            )
        if len(folders) != outputs:
            raise JobError(
                f"--classes {RELEASE}: the network has other classes than the release (got "
                f"{outputs:,}, expected {len(folders):,}). Give --classes FILE, {WHAT_TO_GIVE}; or "
                "--train"
            )
        return {}
    if args.classes:
        given = args.classes == "imagenet"
        return {"classes": "imagenet" if given else str(Path(expanded(args.classes)).absolute())}
    if args.labels and all(name.isascii() and name.isdecimal() for name in folders):
        print(f"{args.labels}: labels are numbers; the network's {outputs:,} classes count from 0")
        return {"classes": outputs}
    wordnet = all(WORDNET.fullmatch(name) for name in folders)
    wordnet = wordnet or sources.load(args.source).wordnet
    if outputs != IMAGENET and args.source != "imagefolder":
        raise JobError(
            f"--source {args.source}: the network does not have ImageNet's classes (got {outputs:,}"
            f" classes, expected {IMAGENET:,}). Give --classes FILE, {WHAT_TO_GIVE}; or --train"
        )
    return {"classes": "imagenet"} if outputs == IMAGENET and wordnet else {}


# --- what the plan says of them ------------------------------------------------------------------


def remarks(graph: JobGraph) -> Iterator[str]:
    """What to know of the images before anything is measured; the page says it again."""
    custom, name = graph.config.custom, graph.config.dataset
    dataset, outputs = graph.config.datasets[name], custom.network.outputs
    absent = 0 if custom.train else absent_classes(dataset, f"datasets.{name}.classes", outputs)
    if way := to_fix(dataset):
        yield (
            "no training images: the network is measured as it is, on images that it must not have "
            f"learned from. To measure what fixing adds: {way}"
        )
    if absent:
        unlearns = f"; a fine-tuning unlearns the {absent:,}" * dataset.has_training_images
        yield (
            f"{absent:,} of the network's {outputs:,} classes have no image. Accuracies and gains "
            f"will count its logits of the other {outputs - absent:,} alone{unlearns}"
        )
    if data := listed(graph):
        yield from dict.fromkeys([*data.notes, *manifest.leak(data, name)])
    elif counted := count_images(graph):
        if not dataset.has_training_images:
            return
        yield from one_sided(counted.listing)
        if len(counted.listing.images) > LOOKED_AT:
            yield "copies of training images in val/ are counted when the images are listed"
        elif leaked := count_leaked(counted):
            yield (
                f"{leaked:,} of {counted.sizes[1]:,} validation images are, byte for byte, "
                f"training images; above {LEAKED:.0%}, no fine-tuning is recommended"
            )


def one_sided(listing: sources.Listing) -> Iterator[str]:
    """The classes that only one part of the images has."""
    label, split, n = listing.label, listing.split, len(listing.classes)
    counts = [np.bincount(label[split == part], minlength=n) for part in (0, 1)]
    lacking = {
        "training": "no fine-tuning can learn them, and it unlearns what the network knows of them",
        "validation": "nothing measures them",
    }
    for (part, so), own, others in zip(lacking.items(), counts, reversed(counts), strict=True):
        names = [listing.classes[i] for i in np.flatnonzero((own == 0) & (others > 0))]
        if names:
            yield f"no {part} image of {len(names)} classes ({abbreviated(names)}): {so}"


def count_leaked(counted: Counted) -> int:
    """How many validation images are, byte for byte, among the training images.

    Only files with the size of one of the other part are read.
    """
    files = [(counted.folder / path, split) for path, _, split in counted.listing.images]
    for look in (os.path.getsize, lambda file: checksum_of(file.read_bytes())):
        seen: dict[int, list] = {}
        for file, split in files:
            with suppress(OSError):  # that it is gone, or may not be read, the listing says
                seen.setdefault(look(file), []).append((file, split))
        alike = (found for found in seen.values() if len({split for _, split in found}) > 1)
        files = [one for found in alike for one in found]
    return sum(split for _, split in files)
