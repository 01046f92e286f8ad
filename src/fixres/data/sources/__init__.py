"""Where a dataset's images and labels come from: one module per source.

`SOURCES` lists the names, and `load` returns a `Source`, which describes the parts that its parser
reads, the official archives with these parts, and how the lists are read. `prepare` finds the parts
below the user's folder, and checks and unpacks the archives. `read` turns the lists into a
`Listing`.
"""

import importlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from fixres.data.sources.base import Listing, Part, Source
from fixres.data.sources.find import has_boxes, lacks_training_images, prepare
from fixres.data.sources.lists import abbreviated, counted, images_below
from fixres.data.sources.picked import picked
from fixres.data.walk import expect_utf8
from fixres.jobs import JobError

SOURCES = ("imagefolder", "imagenet", "tiny-imagenet", "cars", "cub", "flowers", "pets", "birdsnap")
SOURCES += ("fashion-mnist",)


def load(name: str) -> Source:
    """The source with a name from `SOURCES`."""
    if name not in SOURCES:
        expected = f"expected one of {', '.join(SOURCES)}"
        raise JobError(f"source: unknown name (got '{name}', {expected}).")
    return importlib.import_module(f"fixres.data.sources.{name.replace('-', '_')}").SOURCE


def read(source: Source, folder: Path) -> Listing:
    """Read the lists of a prepared folder, and check all that needs no image.

    Raises JobError if a label is out of range, two classes have the same name, an image is listed
    twice, a split is empty, or a name is not UTF-8.
    """
    listing = source.read(folder)
    expect_utf8([*listing.classes, *(path for path, _, _ in listing.images)])
    n, first = len(listing.classes), folder / listing.lists[0]
    if twice := _repeated(listing.classes):
        what = "classes with the same name but different labels"
        raise JobError(f"{first}: {what} (got {abbreviated(twice)}).")
    for path, label, split in listing.images:
        if not 0 <= label < n:
            file = folder / listing.lists[split]
            got = f"got {label + 1}, expected 1 to {n}"
            raise JobError(f"{file}: label of {path} out of range ({got}).")
    if twice := _repeated(path for path, _, _ in listing.images):
        raise JobError(f"{first}: images listed twice (got {abbreviated(twice)}). Remove one each.")
    splits = {split for _, _, split in listing.images}
    for number in listing.splits:
        if number not in splits:
            raise JobError(f"{folder / listing.lists[number]}: no images (expected at least one).")
    return listing


def _repeated(names: Iterable[str]) -> list[str]:
    """The names that occur more than once, in order of appearance."""
    return [name for name, count in Counter(names).items() if count > 1]
