"""Stanford Cars (Krause et al., 2013): lists in MATLAB files, labels from 1."""

from pathlib import Path

from fixres.data.sources.base import Listing, Part, Source
from fixres.data.sources.lists import parsing, read_mat

DEVKIT = "car_devkit.tgz", "c3b158d763b6e2245038c8ad08e45376"
LISTS = "devkit/cars_train_annos.mat", "cars_test_annos_withlabels.mat"
FOLDERS = "cars_train", "cars_test"


def read(folder: Path) -> Listing:
    classes = tuple(map(str, read_mat(folder / "devkit/cars_meta.mat", "class_names")))
    images: list[tuple[str, int, int]] = []
    for split, file in enumerate(LISTS):
        with parsing(folder / file):
            images += [
                (f"{FOLDERS[split]}/{image['fname']}", int(image["class"]) - 1, split)
                for image in read_mat(folder / file, "annotations")
            ]
    return Listing(classes, images, LISTS, FOLDERS)


SOURCE = Source(
    name="cars",
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
        Part(LISTS[0], *DEVKIT),
        Part(LISTS[1], md5="b0a2b23655a3edd16d84508592a98d10"),
    ),
    read=read,
)
