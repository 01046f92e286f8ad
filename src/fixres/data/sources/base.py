"""The description of a dataset: a `Source` has `Part`s, and its lists become a `Listing`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np

Packing = Literal["tar", "tars", "zip", "idx"]


# x0, y0, x1, y1 of an object's edges, as shares of the image's width and height.
Box = tuple[float, float, float, float]


class Part(NamedTuple):
    """A file or folder that the parser reads."""

    path: str  # in the official unpacked layout
    archive: str | None = None  # the distributed file that contains it; None: not packed
    # The published checksum of the distributed file, and checksums of copies compressed by others.
    md5: str | tuple[str, ...] = ()
    # The folder in the archive that `path` is relative to. None: the whole content of the archive
    # is this part.
    inside: str | None = ""
    packing: Packing = "tar"  # tars: a tar with a tar for each class. idx: MNIST's format
    also: tuple[str, ...] = ()  # other common paths of the part
    unless: str = ""  # the part is not needed if this folder contains class folders
    optional: bool = False  # the parser can do without it, for example without boxes
    training: bool = False  # whether it is only about training images

    @property
    def distributed(self) -> str:
        """The name of the distributed file: the archive, or the part itself."""
        return self.archive or self.path

    @property
    def md5s(self) -> tuple[str, ...]:
        """The checksums that the distributed file may have; empty if none is known."""
        return (self.md5,) if isinstance(self.md5, str) else self.md5


class Listing(NamedTuple):
    """The content of a dataset's lists."""

    classes: tuple[str, ...]  # in label order
    # (path below the layout folder, label from 0, split: 0 train, 1 val)
    images: list[tuple[str, int, int]]
    lists: tuple[str, str]  # the list files of train and of val, for messages
    folders: tuple[str, ...] = ()  # image folders, whose unlisted images are reported
    complete: bool = True  # whether the official lists name every image in `folders`
    partial: bool = False  # whether every copy of the dataset lacks listed images (Birdsnap)
    md5: dict[str, str] | None = None  # path -> checksum of the image, if the lists have one
    # path -> the box around the object of the image, if the dataset has one.
    boxes: Mapping[str, Box] = MappingProxyType({})
    # What is skipped in class folders (an ending, hidden files, …) -> how many.
    skipped: Mapping[str, int] = MappingProxyType({})
    splits: tuple[int, ...] = (0, 1)  # the splits that must have images

    @property
    def label(self) -> np.ndarray:
        """(n,) int32, label of each image."""
        return np.fromiter((label for _, label, _ in self.images), np.int32, len(self.images))

    @property
    def split(self) -> np.ndarray:
        """(n,) uint8, split of each image."""
        return np.fromiter((split for _, _, split in self.images), np.uint8, len(self.images))


class Source(NamedTuple):
    """A dataset as its authors distribute it."""

    name: str  # as in SOURCES
    title: str
    where: str  # the page to get it from, with instructions
    terms: str
    parts: tuple[Part, ...]
    read: Callable[[Path], Listing]  # reads a folder that has every part at its path
    # Reads only the validation images, without the parts about training images; None: there are no
    # such parts.
    read_val: Callable[[Path], Listing] | None = None
    # train images, val images (official test), classes
    published: tuple[int, int, int] | None = None
    homes: tuple[str, ...] = ()  # folders that the archives, or torchvision, unpack to
    wordnet: bool = False  # whether its classes are WordNet ids, like ImageNet's
    boxes: bool = False  # whether objects have boxes (in the optional parts, if there are any)
    # distributed file -> its address, if all files of the dataset are freely available.
    addresses: Mapping[str, str] = MappingProxyType({})

    def fetched_into(self, folder: str = "FOLDER") -> str:
        """The command that downloads the dataset, or "" if there is none."""
        return f"fixres download {self.name} {folder}" if self.addresses else ""
