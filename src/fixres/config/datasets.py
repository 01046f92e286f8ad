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
    """A rendered dataset (§3.1's imaging model). Sizes without a unit are fractions of sqrt(HW)."""

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
    """layout of the files. imagefolder: train/CLASS/* and val/CLASS/*; the others: the official
    release of that dataset"""
    root: str = ""
    """folder with the archives or files; ~ and $VARIABLES are expanded"""
    rendered: Pinhole | None = None
    """in place of root: the suite renders a pinhole set in that layout"""
    labels: str = ""
    """of an image folder without class folders: the list of its images, a file and its label a
    line, separated by a comma, a semicolon, a tab or blanks; `split` goes with it"""
    classes: str | Count = ""
    """the classes in the order of a network that knows them: imagenet (the 1000 WordNet ids), or a
    file with one a line; empty: the folders' names, sorted. A number: so many, with numbers from 0
    as names"""
    split: Annotated[float, Field(gt=0, le=1)] | None = None
    """share of the images that are for validation, of an image folder with CLASS/* alone; which
    ones follows from their paths (SHA-256). 1: all of them, so that nothing can train"""
    only: Literal["val"] | None = None
    """val: the validation images alone, as where there are no others; so nothing can train"""
    limit: dict[Literal["train", "val"], Count] = Field({})
    """at most so many images, evenly over the classes; which ones follows from their paths"""
    mislabelled: Fraction = 0.0
    """share of the training images that get a wrong class, as noisy tags do; which ones follows
    from their paths"""
    on_bad: Literal["stop", "exclude"] = "stop"
    """a file that cannot be decoded: stops with an error, or is left out and reported on the
    pages"""
    checksums: Literal["published", "listed"] = "published"
    """checksums of the archives. published: the official md5s; listed: those of the md5sums.txt
    beside the archives"""

    @property
    def has_training_images(self) -> bool:
        """Whether anything can train on them."""
        return self.only is None and self.split != 1
