"""Oxford-IIIT Pets (Parkhi et al., 2012): lists trainval and test; labels from 1 in column two.

torchvision parses them. The image folder also holds some images that no list names; they are left
out, as officially. Some files are not RGB JPEG, whatever their name.
"""

import os
from pathlib import Path

from fixres.data.sources.base import Listing, Part, Source
from fixres.data.sources.lists import link_named, parsing

ANNOTATIONS = "annotations.tar.gz", "95a8c909bbe2e81eed6a22bccdf3f68f"


def read(folder: Path) -> Listing:
    from torchvision.datasets import OxfordIIITPet

    lists, images = ("annotations/trainval.txt", "annotations/test.txt"), []
    with link_named(folder, "oxford-iiit-pet") as parent:
        parsed = []
        for number, split in enumerate(("trainval", "test")):
            with parsing(folder / lists[number]):
                parsed.append(OxfordIIITPet(parent, split))
            start = os.path.join(parent, "oxford-iiit-pet")
            images += [
                (os.path.relpath(p, start), label, number)
                for p, label in zip(parsed[-1]._images, parsed[-1]._labels, strict=True)
            ]
    return Listing(tuple(parsed[0].classes), images, lists, ("images",), complete=False)


SOURCE = Source(
    title="Oxford-IIIT Pets",
    where="https://www.robots.ox.ac.uk/~vgg/data/pets/",
    terms="CC BY-SA 4.0; the photographs belong to their owners",
    published=(3680, 3669, 37),
    homes=("oxford-iiit-pet",),
    parts=(
        Part("annotations/trainval.txt", *ANNOTATIONS),
        Part("annotations/test.txt", *ANNOTATIONS),
        Part("images", "images.tar.gz", "5c4f3ee8e5d25df40f4fd59a7f44e54c"),
    ),
    read=read,
)
