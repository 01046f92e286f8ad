"""Fashion-MNIST (Xiao, Rasul, Vollgraf, 2017): 70,000 grey 28×28 photographs of clothes.

Four IDX files contain images and labels. The images are written as PNGs.
"""

from pathlib import Path

from fixres.data import idx
from fixres.data.sources.base import Listing, Part, Source
from fixres.data.sources.lists import parsing

SERVER = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
LABELS = "train-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
IMAGES = "train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"
FOLDERS = "train", "val"
# The checksum from the README of the dataset, and the checksum of Debian's copy, which has the same
# compressed bytes after a header without the file's name.
MD5S = {
    LABELS[0]: ("25c81989df183df01b3e8a0aad5dffbe", "10bea18fdb374794d4bb42e356e600c9"),
    LABELS[1]: ("bb300cfdad3c16e7a12a480ee83cd310", "0d30e22e447f3c33dab9ed536400ac01"),
    IMAGES[0]: ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "cf8536b0aa1a6ac5fa3f23001093305c"),
    IMAGES[1]: ("bef4ecab320f06d8554ea6380940ec79", "f78720b4224f21cce2f2ccf2d7a94c9a"),
}
# From the README of the dataset; its files do not contain them.
CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat")
CLASSES += ("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def read(folder: Path) -> Listing:
    images: list[tuple[str, int, int]] = []
    for split, file in enumerate(LABELS):
        with parsing(folder / file), open(folder / file, "rb") as f:
            labels = idx.read(f).tolist()
        names = (f"{FOLDERS[split]}/{idx.png_name(i)}" for i in range(len(labels)))
        images += [(name, label, split) for name, label in zip(names, labels, strict=True)]
    return Listing(CLASSES, images, LABELS, FOLDERS)


SOURCE = Source(
    name="fashion-mnist",
    title="Fashion-MNIST",
    where="https://github.com/zalandoresearch/fashion-mnist (four files, 31 MB); or Debian's "
    "package dataset-fashion-mnist, which has them in /usr/share/datasets/fashion-mnist",
    terms="MIT licence",
    published=(60_000, 10_000, 10),
    homes=("FashionMNIST/raw", "fashion-mnist"),
    parts=(
        *(Part(file, md5=MD5S[file]) for file in LABELS),
        Part(FOLDERS[0], IMAGES[0], MD5S[IMAGES[0]], inside=None, packing="idx"),
        Part(FOLDERS[1], IMAGES[1], MD5S[IMAGES[1]], inside=None, packing="idx"),
    ),
    read=read,
    addresses={file: SERVER + file for file in MD5S},
)
