"""CUB-200-2011 (Wah et al., 2011): four lists, keyed by the number of the image.

The names of the class folders begin with the number of the class, which class names here omit.
"""

from pathlib import Path

from fixres.data.sources.base import Listing, Part, Source
from fixres.data.sources.lists import parsing, read_columns
from fixres.jobs import JobError

ARCHIVE = "CUB_200_2011.tgz", "97eceeb196236b17998738112f37df78", "CUB_200_2011"
ADDRESS = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"
NAMES, LABELS = "images.txt", "image_class_labels.txt"
SPLITS, CLASSES = "train_test_split.txt", "classes.txt"


def read(folder: Path) -> Listing:
    names = dict(read_columns(folder / NAMES, 2))
    label, training = (dict(read_columns(folder / file, 2)) for file in (LABELS, SPLITS))
    for file, known in ((LABELS, label), (SPLITS, training)):
        if unmatched := names.keys() ^ known.keys():
            image = min(unmatched, key=lambda image: (len(image), image))
            missing, other = (file, NAMES) if image in names else (NAMES, file)
            which = f"image {image} ({names.get(image, 'no name')})"
            fix = "Get both lists again."
            raise JobError(f"{folder / missing}: {which} is missing, but in {other}. {fix}")
    for image, value in training.items():
        if value not in ("0", "1"):
            got = f"got {value}, expected 1 (train) or 0 (test)"
            raise JobError(f"{folder / SPLITS}: invalid split of image {image} ({got}).")
    with parsing(folder / CLASSES):
        classes = sorted(read_columns(folder / CLASSES, 2), key=lambda row: int(row[0]))
    with parsing(folder / LABELS):
        images = [
            (f"images/{path}", int(label[i]) - 1, 0 if training[i] == "1" else 1)
            for i, path in names.items()
        ]
    class_names = tuple(name.split(".", 1)[-1] for _, name in classes)
    return Listing(class_names, images, (LABELS, LABELS), ("images",))


SOURCE = Source(
    name="cub",
    title="CUB-200-2011",
    where="https://www.vision.caltech.edu/datasets/cub_200_2011/",
    terms="non-commercial research and education; the photographs belong to their owners",
    published=(5994, 5794, 200),
    homes=("CUB_200_2011",),
    parts=tuple(Part(path, *ARCHIVE) for path in (NAMES, LABELS, SPLITS, CLASSES, "images")),
    read=read,
    addresses={ARCHIVE[0]: ADDRESS},
)
