"""Render a pinhole set in the official layout of a dataset: its *twin*.

A twin has the archives, lists and traps of the real files (tars in tars, MATLAB structs, labels from 1, class numbers in another order
than their names, images that are not RGB JPEG, absent images), so that the same parser reads it and can be held against the truth, which
`objects.csv` keeps: one row an image: path in the unpacked layout, r (true apparent size, pixels), split, label (as filed), shows (the
class that is drawn). The same settings give the same bytes.
"""

import csv
import hashlib
import shutil
from pathlib import Path

import numpy as np

from fixres import jobs
from fixres.data.manifest import OBJECTS
from fixres.data.rendered import pinhole
from fixres.data.rendered.layouts import TWINS, Item
from fixres.data.rendered.pinhole import SPLITS, Drawing
from fixres.data.unpack import SUMS
from fixres.jobs import JobError

NOISE = 2  # Philox key of the wrong tags; 0 and 1 are the splits' images


def items(settings: dict) -> list[Item]:
    """Every image of both splits: classes in turn, and of the training images a share filed under a wrong class (`mislabelled`)."""
    n, out = len(pinhole.class_names(settings)), []
    for split in SPLITS:
        for index in range(settings[f"{split}_images"]):
            shows = label = index % n
            if split == "train" and settings["mislabelled"]:
                rng = np.random.Generator(
                    np.random.Philox(key=[settings["seed"], NOISE], counter=[0, 0, 0, index])
                )
                if rng.random() < settings["mislabelled"] and n > 1:
                    label = (shows + 1 + int(rng.integers(n - 1))) % n
            out.append(Item(split, index, shows, label))
    return out


def write(source: str, folder: Path, settings: dict, processes: int = 1) -> None:
    """Render the twin of `source` into `folder`.

    Parameters
    ----------
    settings : the pinhole section of the configuration (`fixres.config.Pinhole`), as a dict.
    """
    names = pinhole.class_names(settings)
    for key, known in (("silhouettes", pinhole.SILHOUETTES), ("hues", pinhole.HUES)):
        if strangers := sorted(set(settings[key]) - set(known)):
            raise JobError(
                f"pinhole.{key}: found {', '.join(strangers)}, expected some of {', '.join(known)}"
            )
    if len(set(names)) < max(len(names), 2):
        raise JobError(
            f"pinhole: silhouettes × hues give the classes {', '.join(names)}, expected at least 2 and none twice"
        )
    for split in SPLITS:
        if (n := settings[f"{split}_images"]) < len(names):
            raise JobError(
                f"pinhole.{split}_images: found {n}, expected one at least for each of {len(names)} classes"
            )
    folder.mkdir(parents=True, exist_ok=True)
    layout = folder if source == "imagefolder" else folder / ".layout"
    shutil.rmtree(folder / ".layout", ignore_errors=True)
    made = items(settings)
    finish = TWINS[source](made, names)
    sizes = pinhole.draw(
        layout,
        [Drawing(i.path, i.shows, i.split, i.index, i.form) for i in made],
        settings,
        processes,
    )
    distributed = finish(layout, folder)
    with open(folder / OBJECTS, "w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(["path", "r", "split", "label", "shows"])
        writer.writerows(
            (i.path, f"{r:.3f}", i.split, i.label, names[i.shows])
            for i, r in zip(made, sizes, strict=True)
            if i.path
        )
    if distributed:
        sums = (
            f"{hashlib.md5((folder / name).read_bytes()).hexdigest()}  {name}\n"
            for name in distributed
        )
        (folder / SUMS).write_text("".join(sums), encoding="utf-8")
        shutil.rmtree(layout)
    jobs.log(
        f"{source}: {len(made)} images of {len(names)} classes in {folder} ({', '.join(distributed) or 'train, val'})"
    )
