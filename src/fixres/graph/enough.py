"""Whether a custom network's images are enough for what is planned, before anything is measured."""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fixres import jobs
from fixres.artifacts import manifest
from fixres.config import ConfigError
from fixres.data import sources
from fixres.graph.graph import JobGraph, images_of, list_images

FEWEST = 20  # validation images of each half; of fewer, an interval says nothing


class Counted(NamedTuple):
    """The images of an image folder, as their list will have them."""

    listing: sources.Listing
    folder: Path

    @property
    def sizes(self) -> tuple[int, int]:
        """Training and validation images."""
        val = int(self.listing.split.sum())
        return len(self.listing.images) - val, val


def count_images(graph: JobGraph) -> Counted | None:
    """The images of an image folder, found by their names alone; None: of another source.

    Raises
    ------
    ConfigError : the folder has another layout, or has too few images for what is planned.
    """
    name = graph.config.dataset
    dataset, folder = graph.config.datasets[name], Path(images_of(graph, name))
    if dataset.source != "imagefolder" or dataset.rendered:
        return None
    # Which classes are the network's is known already (classes.py).
    keys = ("labels", "split", "only", "limit")
    wanted = {key: v for key, v in list_images(graph, name).config.items() if key in keys}
    try:
        listing = sources.read(sources.picked(sources.load(dataset.source), wanted), folder)
    except jobs.JobError as error:
        raise ConfigError(str(error)) from None
    counted = Counted(listing, folder)
    val = np.array([os.fsencode(path) for path, _, split in listing.images if split], object)
    check_images(graph, counted.sizes[0], val)
    return counted


def listed(graph: JobGraph) -> manifest.Manifest | None:
    """The list of the images, where it is made already, and as this configuration wants it."""
    job = list_images(graph, graph.config.dataset)
    try:
        made = Path("results", job.id, "config.json").read_text(encoding="utf-8")
        same = made == jobs.canonical(job.config) + "\n"
        return manifest.read(Path("results", job.outputs["manifest"])) if same else None
    except (OSError, ValueError, jobs.JobError):
        return None  # the job that reads it says what is wrong


def check_listed_images(graph: JobGraph) -> None:
    """Raise ConfigError where the images are too few for what is planned.

    The images are counted in the manifest, or in the folder before a manifest is made.
    """
    if not graph.config.custom:
        return
    data = listed(graph)
    if not data:
        count_images(graph)
        return
    try:
        check_images(graph, len(data.rows("train")), data.path[data.rows("val")])
    except ConfigError as error:
        again = "fixres relist lists the images again, once there are others"
        raise ConfigError(f"{error} ({again})") from None


def check_images(graph: JobGraph, train: int, val: np.ndarray) -> None:
    """Raise ConfigError where there are too few of them.

    Parameters
    ----------
    train : the number of training images.
    val : (n,) bytes, the paths of the validation images.
    """
    c = graph.config
    check_halves(first_half(val), c.dataset)
    if not c.datasets[c.dataset].has_training_images:
        return
    tuned = c.fine_tuning
    sizes = {"fine_tuning": (tuned.batch_size, min(tuned.images or train, train))}
    if c.custom.train:
        trained = c.base_training
        sizes["base_training"] = trained.batch_size, trained.samples_per_epoch or train
    for name, (size, images) in sizes.items():
        if size > images:
            raise ConfigError(
                f"{name}.batch_size: an epoch does not fill one batch (got {size}, expected at "
                f"most {images}: {c.dataset} has {train} training images). Give a smaller one"
            )


def first_half(images: np.ndarray) -> np.ndarray:
    """(n,) bool: whether an image is of the first half, or of the second.

    A setting is chosen on one half and measured on the other, both ways (pages/recommend/).

    images : (n,) bytes, paths.
    """
    # Salted: datasets.….split and limit draw by paths, too, and independently of this.
    firsts = (hashlib.sha256(b"choice " + path).digest()[:8] for path in images.tolist())
    return np.array([int.from_bytes(first, "big") < 2**63 for first in firsts], bool)


def check_halves(first: np.ndarray, dataset: str) -> None:
    """Raise ConfigError where one half has too few images to choose on, or to measure on.

    first : (n,) bool, `first_half` of the validation images.
    """
    halves = int(first.sum()), int((~first).sum())
    if min(halves) < FEWEST:
        raise ConfigError(
            f"{dataset}: too few validation images (got {len(first)}, in halves of {halves[0]} and "
            f"{halves[1]} by their paths, expected at least {FEWEST} in each half). Add validation "
            "images"
        )
