"""Settings of the datasets: where images come from, and what rendered images look like."""

from typing import Annotated, Literal

from pydantic import Field

from fixres.config.fields import Count, Fraction, Pair, Pixels, Section, Seed, Several, Size

Silhouette = Literal[
    "bar", "cross", "triangle", "square", "pentagon", "hexagon", "heptagon", "octagon",
    "star5", "star6", "star7", "star8", "star9",
]  # fmt: skip
Hue = Literal["red", "orange", "yellow", "green", "cyan", "blue", "violet", "pink"]


class Pinhole(Section):
    """A rendered dataset (imaging model of §3.1). Sizes without unit are fractions of sqrt(HW)."""

    seed: Seed = 0
    train_images: Count = Field(7200, description="training images, spread evenly over the classes")
    val_images: Count = Field(2400, description="validation images, spread evenly over the classes")
    silhouettes: Several[Silhouette] = Field(
        ["bar", "triangle", "hexagon", "cross", "star5", "star7"]
    )
    """a class is one silhouette in one hue"""
    hues: Several[Hue] = Field(["red", "green", "blue", "yellow"])
    mislabelled: Fraction = 0.0
    """share of the training images with a wrong class: noisy tags"""
    shorter_side: Pair[Pixels] = Field([88, 120])
    """range of an image's shorter side, pixels"""
    r1_median: Size = 0.25
    """median of the log-normal r1 = R/Z: the object's size over sqrt(HW)"""
    r1_sigma: float = Field(0.35, ge=0, le=10, description="standard deviation of ln r1")
    r1_largest: Size = Field(0.46, description="upper limit of r1")
    off_centre: float = Field(0.08, ge=0, le=10)
    """standard deviation of the object's offset from the centre"""
    jpeg_quality: int = Field(90, ge=1, le=100)


class Dataset(Section):
    """A set of images: folder, layout, and how to treat bad files (docs/datasets.md)."""

    source: Literal[
        "imagefolder", "imagenet", "tiny-imagenet", "cars", "cub", "flowers", "pets", "birdsnap",
        "fashion-mnist",
    ] = "imagefolder"  # fmt: skip
    """layout of the files. imagefolder: train/CLASS/* and val/CLASS/*; otherwise the official
    release of the dataset"""
    root: str = ""
    """folder with the archives or files; ~ and $VARIABLES are expanded"""
    rendered: Pinhole | None = None
    """instead of root: the suite renders a pinhole dataset in that layout"""
    labels: str = ""
    """for an image folder without class folders: a file that lists one image and its label per
    line, separated by a comma, a semicolon, a tab or blanks; needs `split`"""
    classes: str | Count = ""
    """the classes in the network's order: imagenet (the 1000 WordNet ids), or a file with one class
    per line; empty: the sorted names of the folders. A number: that many classes, named 0, 1, …"""
    split: Annotated[float, Field(gt=0, le=1)] | None = None
    """share of the images used for validation, for an image folder that has only CLASS/*; the
    choice follows from the paths (SHA-256). 1: all images, so nothing can train"""
    only: Literal["val"] | None = None
    """val: use only the validation images, so nothing can train"""
    limit: dict[Literal["train", "val"], Count] = Field({})
    """maximum number of images, spread evenly over the classes; the choice follows from the
    paths"""
    mislabelled: Fraction = 0.0
    """share of the training images that get a wrong class, like noisy tags; the choice follows from
    the paths"""
    on_bad: Literal["stop", "exclude"] = "stop"
    """what to do with a file that cannot be decoded: stop with an error, or exclude it and report
    it on the pages"""
    checksums: Literal["published", "listed"] = "published"
    """checksums of the archives. published: the official md5s; listed: the md5s in md5sums.txt,
    next to the archives"""

    @property
    def has_training_images(self) -> bool:
        """Whether anything can train on this dataset."""
        return self.only is None and self.split != 1
