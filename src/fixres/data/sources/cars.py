"""Stanford Cars (Krause et al., 2013): lists in MATLAB files, labels from 1.

torchvision parses them.
"""

import os
from pathlib import Path

from fixres.data.sources.base import Listing, Part, Source
from fixres.data.sources.lists import link_named, parsing, read_mat

DEVKIT = "car_devkit.tgz", "c3b158d763b6e2245038c8ad08e45376"


def read(folder: Path) -> Listing:
    from torchvision.datasets import StanfordCars

    classes = tuple(map(str, read_mat(folder / "devkit/cars_meta.mat", "class_names")))
    lists, images = ("devkit/cars_train_annos.mat", "cars_test_annos_withlabels.mat"), []
    with link_named(folder, "stanford_cars") as parent:
        for number, split in enumerate(("train", "test")):
            with parsing(folder / lists[number]):
                data = StanfordCars(parent, split)
            start = os.path.join(parent, "stanford_cars")
            images += [
                (os.path.relpath(path, start), int(label), number) for path, label in data._samples
            ]
    return Listing(classes, images, lists, ("cars_train", "cars_test"))


SOURCE = Source(
    title="Stanford Cars",
    where="https://ai.stanford.edu/~jkrause/cars/car_dataset.html (its download links no longer "
    "work: use a copy of the four files; their checksums are checked)",
    terms="published for research; the photographs belong to their owners",
    published=(8144, 8041, 196),
    homes=("stanford_cars",),
    parts=(
        Part("cars_train", "cars_train.tgz", "065e5b463ae28d29e77c1b4b166cfe61"),
        Part("cars_test", "cars_test.tgz", "4ce7ebf6a94d07f1952d94dd34c4d501"),
        Part("devkit/cars_meta.mat", *DEVKIT),
        Part("devkit/cars_train_annos.mat", *DEVKIT),
        Part("cars_test_annos_withlabels.mat", md5="b0a2b23655a3edd16d84508592a98d10"),
    ),
    read=read,
)
