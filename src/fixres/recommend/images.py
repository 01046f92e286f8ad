"""Look at a folder of images: its layout, how many there are, and whose classes they are."""

import argparse
import re
from pathlib import Path
from typing import Any

from fixres.artifacts.manifest import SPLITS
from fixres.data import image_files, sources
from fixres.data.walk import folders_in
from fixres.graph.checks import expanded
from fixres.jobs import JobError


def look_at_images(args: argparse.Namespace, outputs: int) -> tuple[dict, tuple[int, int]]:
    """The entry of `datasets`, and the numbers of training and validation images.

    Raises
    ------
    JobError : no folder, another layout, or classes that the network does not know.
    """
    root = Path(expanded(args.images))
    if not root.is_dir():
        raise JobError(f"--images: no folder {root}; expected one with train/ and val/")
    dataset: dict[str, Any] = {"source": args.source, "root": str(root.absolute())}
    published = sources.load(args.source).published
    if args.source == "imagefolder":
        sizes, classes = count_folder(args, root)
        dataset |= {"split": args.split} if args.split else {}
    elif published is None or not args.train:
        reason = "a network that knows its classes is given as an image folder"
        raise JobError(f"--source {args.source}: give --train, too: {reason}")
    else:
        sizes, classes = published[:2], [f"class {n}" for n in range(published[2])]
    known = class_list(args, classes, outputs)
    dataset |= {"classes": known} if known else {}
    doing = "trains on them first" if args.train else "knows them"
    images = f"{sizes[0]:,} training and {sizes[1]:,} validation images"
    print(f"{root}: {images}, {len(classes)} classes; the network {doing}")
    return dataset, sizes


def count_folder(args: argparse.Namespace, root: Path) -> tuple[tuple[int, int], list[str]]:
    """Training and validation images of an image folder, and its classes."""
    parts = [part for part in SPLITS if (root / part).is_dir()]
    wanted = "expected train/ and val/"
    if len(parts) == 1:
        wanted += ", or neither of them and --split 0.2"
        raise JobError(f"{root}: found {parts[0]}/ alone; {wanted}")
    if not parts and args.split is None:
        found = ", ".join(folders_in(root)[:3]) or "no folders"
        raise JobError(
            f"{root}: found {found}; {wanted} with a folder for each class. A folder with one "
            "folder for each class is split by --split 0.2"
        )
    if parts and args.split:
        raise JobError(f"--split {args.split:g}: {root} has train/ and val/ already; leave it out")
    by_share = {} if parts else {"split": args.split}
    listing = sources.picked(sources.load("imagefolder"), by_share).read(root)
    train, val = (int((listing.split == number).sum()) for number in (0, 1))
    if not train or not val:
        wanted = "expected some of each in a folder for each class"
        raise JobError(f"{root}: found {train} training and {val} validation images; {wanted}")
    if listing.skipped:
        print(f"{root}: skipped: {sources.counted(listing.skipped)}")
    expect_libraries(root, [path for path, _, _ in listing.images])
    return (train, val), list(listing.classes)


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


def class_list(args: argparse.Namespace, folders: list[str], outputs: int) -> str | None:
    """What `datasets.….classes` is to be: where the network's order of classes comes from."""
    if args.train:
        return None
    if args.classes:
        return args.classes if args.classes == "imagenet" else str(Path(args.classes).absolute())
    if outputs == 1000 and all(re.fullmatch(r"n\d{8}", name) for name in folders):
        return "imagenet"
    if len(folders) == outputs:
        return None
    some = ", ".join(folders[:3]) + (", …" if len(folders) > 3 else "")
    raise JobError(
        f"the network has {outputs} classes, the folder {len(folders)} ({some}). Give --classes "
        "FILE with the network's classes, one a line in its order; or --train, to train the "
        "network on these classes first"
    )
