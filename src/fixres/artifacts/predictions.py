"""Predictions of one network for every validation image: one file per way of cutting crops.

The files are in predictions/, in the folder of an evaluation, or in predictions_released/ with the
released test transform:

| file | |
|---|---|
| k<k_test>.npz | one crop per image |
| k<k_test>_10crops.npz | ten crops per image |
| k<k_test>@<crop_pct>.npz | one crop at a ratio crop_pct |
| k<k_test>@<crop_pct>_masked.npz | the same, only among the classes that have images |

Each file has a key: a digest of the weights, the images and the transform. A file with another key
belongs to something else and is not used. Nothing here imports torch.
"""

from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fixres import jobs
from fixres.artifacts.manifest import Manifest
from fixres.artifacts.per_image import metric

FOLDERS = {"paper": "predictions", "released": "predictions_released"}  # by test_resize


class Cropping(NamedTuple):
    """How an evaluation cuts each image."""

    k: int  # k_test
    crops: int = 1  # of an image: 1, or 10 (§5.1, "an ensemble of 10 crops at test time")
    # Crop over resized image. None: the ratio of the test transform (the paper's or the released).
    crop_pct: float | None = None
    masked: bool = False  # whether only the logits of classes that have images count

    @property
    def suffix(self) -> str:
        """The suffix of the names of metrics and files."""
        ratio = metric("", self.crop_pct, self.masked)
        return ratio if self.crops == 1 else f"_{self.crops}crops"

    def __str__(self) -> str:
        if self.crop_pct:
            return f"{self.k} (crop_pct {self.crop_pct:g}{', masked' * self.masked})"
        return f"{self.k}" if self.crops == 1 else f"{self.k} ({self.crops} crops)"


Predicted = dict[Cropping, np.ndarray]  # (n, 5) classes of the validation images, best first


class Predictions(NamedTuple):
    """The prediction files of one evaluation."""

    weights: Path  # of the network
    test_resize: str  # paper or released
    folder: Path
    keys: dict[Cropping, str]

    def file(self, cropping: Cropping) -> Path:
        return self.folder / f"k{cropping.k}{cropping.suffix}.npz"

    def load(self, quiet: bool = False) -> Predicted:
        """The predictions that earlier jobs wrote. `quiet`: damage is not logged."""
        found = {c: read(self.file(c), key, quiet) for c, key in self.keys.items()}
        return {cropping: top for cropping, top in found.items() if top is not None}

    def parameters(self) -> int | None:
        """The number of the network's parameters, from one of the files; None if unreadable."""
        try:
            with np.load(self.file(next(iter(self.keys))), allow_pickle=False) as archive:
                return int(archive["parameters"])
        except Exception:  # any exception: it depends on the byte that is broken
            return None

    def save(self, data: Manifest, predicted: Predicted, parameters: int) -> None:
        """Write predictions, with paths, true classes, and the network's number of parameters."""
        rows = data.rows("val")
        for cropping, top in predicted.items():
            named = {"path": data.path[rows], "label": data.label[rows], "top": top}
            named |= {"key": np.array(self.keys[cropping]), "parameters": np.array(parameters)}
            with jobs.atomic(self.file(cropping)) as temporary, open(temporary, "wb") as f:
                np.savez(f, **named)


def of_evaluation(folder: Path, config: dict, data: Manifest, weights: Path) -> Predictions:
    """The predictions that the evaluation in this folder needs, by its resolved configuration."""
    ratios, masks = config.get("crop_pct", [None]), (False, True)[: 1 + config.get("masked", False)]
    croppings = [Cropping(k, 1, *at) for k in config["k_test"] for at in product(ratios, masks)]
    croppings += [Cropping(k, 10) for k in config.get("ten_crops", [])]
    resize = config["test_resize"]
    transform = "test DA" if resize == "paper" else f"test DA ({resize})"
    network = (config["network"], str(config["version"]))
    network += (jobs.canonical(config["entry"]),) if "entry" in config else ()
    shared = (*network, data.digest(), jobs.file_digest(weights))
    keys = {c: jobs.digest(f"{transform} {c.k}{c.suffix}", *shared) for c in croppings}
    return Predictions(weights, resize, folder / FOLDERS[resize], keys)


def read(file: Path, key: str, quiet: bool = False) -> np.ndarray | None:
    """(n, 5) predicted classes, best first; None if missing, damaged, or with another key."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            return archive["top"] if str(archive["key"]) == key else None
    except FileNotFoundError:
        return None
    except Exception as error:  # any exception: it depends on the byte that is broken
        if not quiet:
            jobs.log(f"predictions ignored: {file} is damaged ({error})")
        return None
