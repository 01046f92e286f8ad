"""Oxford-IIIT Pets (Parkhi et al., 2012): lists trainval and test; labels from 1 in column two.

The classes are named after the training images: basset_hound_10 belongs to Basset Hound. The image
folder also contains some unlisted images, which are officially not used. Some files are not RGB
JPEG, whatever their name.
"""

from pathlib import Path

from fixres.data.sources.base import Listing, Part, Source
from fixres.data.sources.lists import parsing, read_columns

PAGE = "https://www.robots.ox.ac.uk/~vgg/data/pets/"
IMAGES = "images.tar.gz", "5c4f3ee8e5d25df40f4fd59a7f44e54c"
ANNOTATIONS = "annotations.tar.gz", "95a8c909bbe2e81eed6a22bccdf3f68f"
LISTS = "annotations/trainval.txt", "annotations/test.txt"


def read(folder: Path) -> Listing:
    images: list[tuple[str, int, int]] = []
    breeds: set[tuple[int, str]] = set()
    for split, file in enumerate(LISTS):
        with parsing(folder / file):
            rows = [(name, int(n) - 1) for name, n, *_ in read_columns(folder / file, 4)]
        images += [(f"images/{name}.jpg", label, split) for name, label in rows]
        if split == 0:
            breeds = {(label, name.rpartition("_")[0]) for name, label in rows}
    classes = tuple(breed.replace("_", " ").title() for _, breed in sorted(breeds))
    return Listing(classes, images, LISTS, ("images",), complete=False)


SOURCE = Source(
    name="pets",
    title="Oxford-IIIT Pets",
    where=PAGE,
    terms="CC BY-SA 4.0; the photographs belong to their owners",
    published=(3680, 3669, 37),
    homes=("oxford-iiit-pet",),
    parts=(*(Part(path, *ANNOTATIONS) for path in LISTS), Part("images", *IMAGES)),
    read=read,
    addresses={file: f"{PAGE}data/{file}" for file, _ in (ANNOTATIONS, IMAGES)},
)
