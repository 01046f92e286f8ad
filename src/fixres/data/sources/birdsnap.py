"""Birdsnap (Berg et al., 2014), release 1.1: lists of addresses, and a script to download them.

Many addresses are dead, so every copy lacks images, and some copies lack whole classes. Therefore
labels come from species.txt, not from the existing folders. Each image is compared with its MD5 in
the list.
"""

import csv
from pathlib import Path

from fixres.data.sources.base import Listing, Part, Source
from fixres.data.sources.lists import parsing
from fixres.jobs import JobError

SPECIES, IMAGES, TEST = "species.txt", "images.txt", "test_images.txt"
ARCHIVE = "birdsnap.tgz", (), "birdsnap"


def read(folder: Path) -> Listing:
    with parsing(folder / SPECIES):
        species = {int(row["id"]): row["common"] for row in _rows(folder / SPECIES)}
    if not species or sorted(species) != list(range(1, len(species) + 1)):
        got = f"got {len(species)} ids up to {max(species, default=0)}"
        raise JobError(f"{folder / SPECIES}: ids with gaps ({got}, expected 1 to their number).")
    listed = _rows(folder / IMAGES)
    with parsing(folder / TEST):
        test = {row["path"] for row in _rows(folder / TEST)}
    with parsing(folder / IMAGES):
        images = [
            (f"images/{row['path']}", int(row["species_id"]) - 1, int(row["path"] in test))
            for row in listed
        ]
        md5 = {f"images/{row['path']}": row["md5"] for row in listed}
    if unlisted := sorted(test - {row["path"] for row in listed}):
        what = f"{unlisted[0]} is missing, but listed in {TEST} ({len(unlisted)} such images)"
        raise JobError(f"{folder / IMAGES}: {what}. Get both lists again.")
    classes, lists = tuple(species[i] for i in sorted(species)), (IMAGES, IMAGES)
    return Listing(classes, images, lists, ("images",), complete=False, partial=True, md5=md5)


def _rows(file: Path) -> list[dict[str, str]]:
    """The rows of a tab-separated list whose first line names the columns."""
    with open(file, newline="", encoding="utf-8", errors="surrogateescape") as f, parsing(file):
        return list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True))


SOURCE = Source(
    name="birdsnap",
    title="Birdsnap",
    where="https://thomasberg.org (release 1.1): birdsnap.tgz; its script get_birdsnap.py then "
    "downloads the images to download/images",
    terms="published for research; the photographs belong to their owners on Flickr",
    published=(47_386, 2443, 500),
    homes=("birdsnap",),
    parts=(
        *(Part(path, *ARCHIVE) for path in (SPECIES, IMAGES, TEST)),
        Part("images", also=("download/images",)),
    ),
    read=read,
)
