"""Render a pinhole dataset in the official layout of another dataset: its *twin*.

A twin has the archives, lists and traps of the real files: tars in tars, MATLAB structs, labels
from 1, class numbers in another order than the class names, images that are not RGB JPEG, missing
images. So the parser of the real dataset can also read the twin, and its result can be compared
with the truth.

The truth is in `objects.csv`, one row per image: path in the unpacked layout, r (true apparent
size, pixels), split, label (as filed), shows (the class that is drawn). The same settings give the
same bytes.
"""

import csv
import hashlib
import shutil
from pathlib import Path

import numpy as np

from fixres import jobs
from fixres.artifacts.manifest import SPLITS
from fixres.data.building import OBJECTS
from fixres.data.rendered import pinhole
from fixres.data.rendered.layouts import LAYOUTS, Item
from fixres.data.rendered.pinhole import Drawing
from fixres.data.unpack import SUMS
from fixres.jobs import JobError

WRONG_LABELS = 2  # Philox key of the wrong labels; 0 and 1 are the keys for images of the splits


def items(settings: dict) -> list[Item]:
    """Every image of both splits, with the classes in rotation.

    A share `mislabelled` of the training images is filed under a wrong class.
    """
    n, out = len(pinhole.class_names(settings)), []
    for split in SPLITS:
        for index in range(settings[f"{split}_images"]):
            shows = label = index % n
            if split == "train" and settings["mislabelled"]:
                key, counter = [settings["seed"], WRONG_LABELS], [0, 0, 0, index]
                rng = np.random.Generator(np.random.Philox(key=key, counter=counter))
                if rng.random() < settings["mislabelled"] and n > 1:
                    label = (shows + 1 + int(rng.integers(n - 1))) % n
            out.append(Item(split, index, shows, label))
    return out


def write(source: str, folder: Path, settings: dict, processes: int = 1) -> None:
    """Render the twin of `source` into `folder`, with the settings of `pinhole.render`.

    Raises JobError for unknown shapes or hues, or too few classes or images.
    """
    names = pinhole.class_names(settings)
    _check(settings, names)
    folder.mkdir(parents=True, exist_ok=True)
    layout = folder if source == "imagefolder" else folder / ".layout"
    shutil.rmtree(folder / ".layout", ignore_errors=True)
    images = items(settings)
    finish = LAYOUTS[source](images, names)
    drawings = [Drawing(i.path, i.shows, i.split, i.index, i.form, i.side) for i in images]
    truths = pinhole.draw(layout, drawings, settings, processes)
    for item, truth in zip(images, truths, strict=True):
        item.r, item.box = truth
    distributed = finish(layout, folder)
    _write_objects(folder / OBJECTS, images, names)
    if distributed:
        sums = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in distributed}
        lines = [f"{md5}  {name}\n" for name, md5 in sums.items()]
        (folder / SUMS).write_text("".join(lines), encoding="utf-8")
        shutil.rmtree(layout)
    files = ", ".join(distributed) or "train, val"
    jobs.log(f"{source}: {len(images)} images of {len(names)} classes in {folder} ({files})")


def _check(settings: dict, names: list[str]) -> None:
    """Raise JobError if the settings cannot be rendered."""
    for key, known in (("silhouettes", pinhole.SILHOUETTES), ("hues", pinhole.HUES)):
        if unknown := sorted(set(settings[key]) - set(known)):
            expected = f"expected some of {', '.join(known)}"
            raise JobError(f"pinhole.{key}: unknown names (got {', '.join(unknown)}, {expected}).")
    if len(set(names)) < max(len(names), 2):
        got = f"got {', '.join(names)} from silhouettes × hues"
        raise JobError(f"pinhole: unusable classes ({got}, expected at least 2, all different).")
    for split in SPLITS:
        if (n := settings[f"{split}_images"]) < len(names):
            expected = f"expected at least one for each of {len(names)} classes"
            raise JobError(f"pinhole.{split}_images: too few images (got {n}, {expected}).")


def _write_objects(file: Path, images: list[Item], names: list[str]) -> None:
    """Write the truth about every image that the layout has not removed."""
    with open(file, "w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(["path", "r", "split", "label", "shows"])
        for item in images:
            if item.path:
                row = [item.path, f"{item.r:.3f}", item.split, item.label, names[item.shows]]
                writer.writerow(row)
