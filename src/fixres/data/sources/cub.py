"""CUB-200-2011 (Wah et al., 2011): four lists keyed by image number. Folder names begin with the class number, class names here do not."""

from pathlib import Path

from fixres.data.sources import Listing, Part, Source, columns, errors_of
from fixres.jobs import JobError

ARCHIVE = "CUB_200_2011.tgz", "97eceeb196236b17998738112f37df78", "CUB_200_2011"
NAMES, LABELS, SPLITS, CLASSES = (
    "images.txt",
    "image_class_labels.txt",
    "train_test_split.txt",
    "classes.txt",
)


def read(folder: Path) -> Listing:
    names = dict(columns(folder / NAMES, 2))
    label, training = (dict(columns(folder / file, 2)) for file in (LABELS, SPLITS))
    for file, known in ((LABELS, label), (SPLITS, training)):
        if strangers := names.keys() ^ known.keys():
            image = min(strangers, key=lambda image: (len(image), image))
            missing, other = (file, NAMES) if image in names else (NAMES, file)
            raise JobError(
                f"{folder / missing}: image {image} ({names.get(image, 'no name')}) is missing, but {other} has it"
            )
    for image, value in training.items():
        if value not in ("0", "1"):
            raise JobError(
                f"{folder / SPLITS}: image {image}: found {value}, expected 1 (train) or 0 (test)"
            )
    with errors_of(folder / CLASSES):
        classes = sorted(columns(folder / CLASSES, 2), key=lambda row: int(row[0]))
    with errors_of(folder / LABELS):
        images = [
            (f"images/{path}", int(label[i]) - 1, 0 if training[i] == "1" else 1)
            for i, path in names.items()
        ]
    return Listing(
        tuple(name.split(".", 1)[-1] for _, name in classes), images, (LABELS, LABELS), ("images",)
    )


SOURCE = Source(
    title="CUB-200-2011",
    where="https://www.vision.caltech.edu/datasets/cub_200_2011/",
    terms="non-commercial research and education; the photographs belong to their owners",
    published=(5994, 5794, 200),
    homes=("CUB_200_2011",),
    parts=tuple(Part(path, *ARCHIVE) for path in (NAMES, LABELS, SPLITS, CLASSES, "images")),
    read=read,
)
