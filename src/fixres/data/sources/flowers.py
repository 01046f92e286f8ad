"""Oxford Flowers 102 (Nilsback and Zisserman, 2008): two MATLAB files with labels and splits.

The training set is the official train + val (1,020 images each), as in published results.
torchvision's Flowers102 has no such split and accepts only the published label files, so this
module reads the two files.
"""

from pathlib import Path

from fixres.data.sources.base import Listing, Part, Source
from fixres.data.sources.lists import parsing, read_mat
from fixres.jobs import JobError

PAGE = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
IMAGES, LABELS, SPLITS = "102flowers.tgz", "imagelabels.mat", "setid.mat"


def read(folder: Path) -> Listing:
    with parsing(folder / LABELS):
        labels = [int(label) for label in read_mat(folder / LABELS, "labels")]
    with parsing(folder / SPLITS):
        split = [
            (int(i), number)
            for number, key in ((0, "trnid"), (0, "valid"), (1, "tstid"))
            for i in read_mat(folder / SPLITS, key)
        ]
    for i, _ in split:
        if not 1 <= i <= len(labels):
            expected = f"expected 1 to {len(labels)}, the images in {LABELS}"
            raise JobError(f"{folder / SPLITS}: image without a label (got {i}, {expected}).")
    # Classes are numbered from 1 without gaps.
    n = next(i for i in range(len(labels) + 1) if i + 1 not in labels)
    if wrong := [label for label in labels if not 1 <= label <= n]:
        why = f"because class {n + 1} has no images"
        got = f"got {wrong[0]}, expected 1 to {n}, {why}"
        raise JobError(f"{folder / LABELS}: label out of range ({got}).")
    images = [(f"jpg/image_{i:05d}.jpg", labels[i - 1] - 1, number) for i, number in split]
    classes = tuple(f"{i:03d}" for i in range(1, n + 1))  # the files contain no names
    return Listing(classes, images, (LABELS, LABELS), ("jpg",))


SOURCE = Source(
    name="flowers",
    title="Oxford Flowers 102",
    where=PAGE,
    terms="published for research; the photographs belong to their owners",
    published=(2040, 6149, 102),
    homes=("flowers-102",),
    parts=(
        Part(LABELS, md5="e0620be6f572b9609742df49c70aed4d"),
        Part(SPLITS, md5="a5357ecc9cb78c4bef273ce3793fc85c"),
        Part("jpg", IMAGES, "52808999861908f626f3c1f4e79d11fa"),
    ),
    read=read,
    addresses={file: PAGE + file for file in (LABELS, SPLITS, IMAGES)},
)
