"""TODO."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fixres.data.rendered.archives import pack, savemat, structs
from fixres.data.rendered.pinhole import SPLITS


@dataclass
class Item:
    """One image of a twin."""

    split: str
    index: int
    shows: int  # the class that is drawn
    label: int  # the class that it is filed under
    path: str = ""  # in the unpacked layout; emptied where a layout takes the image away again
    form: str = "RGB"  # see Drawing


def lines(file: Path, rows: Iterable[Iterable[object]], between: str = " ") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(between.join(map(str, row)) + "\n" for row in rows), encoding="utf-8")


# --- the layouts: each names the files of the images, and returns what writes the lists and archives once they are rendered ---------------


Finish = Callable[[Path, Path], list[str]]  # (layout, out) -> the distributed files


def imagefolder(made: list[Item], names: list[str]) -> Finish:
    for item in made:
        item.path = f"{item.split}/{names[item.label]}/{names[item.label]}_{item.index:06d}.jpg"
    return lambda layout, out: []


def imagenet(made: list[Item], names: list[str]) -> Finish:
    """A class's number (ILSVRC2012_ID) falls as its WordNet id rises; some image is grey, CMYK or a PNG named .JPEG, as in the real set."""
    n = len(names)
    wnids = [f"n{20_000_000 + 37 * label:08d}" for label in range(n)]
    for item in made:
        if item.split == "train":
            item.path = f"train/{wnids[item.label]}/{wnids[item.label]}_{item.index + 1}.JPEG"
            item.form = {0: "L", 1: "CMYK", 2: "PNG"}.get(item.index, "RGB")
        else:
            item.path = f"val/ILSVRC2012_val_{item.index + 1:08d}.JPEG"

    def finish(layout: Path, out: Path) -> list[str]:
        devkit = layout / "ILSVRC2012_devkit_t12"
        inner = [wnid for wnid in wnids if (layout / "train" / wnid).is_dir()]
        for wnid in inner:
            pack(
                layout / "train" / wnid,
                sorted(os.listdir(layout / "train" / wnid)),
                layout / f"{wnid}.tar",
            )
        pack(layout, [f"{wnid}.tar" for wnid in inner], out / "ILSVRC2012_img_train.tar")
        pack(layout / "val", sorted(os.listdir(layout / "val")), out / "ILSVRC2012_img_val.tar")
        nothing = np.zeros((1, 0))
        rows = [
            (n - label, wnids[label], names[label], "rendered", 0, nothing, 0, 0)
            for label in reversed(range(n))
        ]
        rows.append(
            (
                n + 1,
                "n00001740",
                "entity",
                "the root of the hierarchy",
                n,
                np.arange(1, n + 1),
                1,
                0,
            )
        )
        fields = [
            "ILSVRC2012_ID",
            "WNID",
            "words",
            "gloss",
            "num_children",
            "children",
            "wordnet_height",
            "num_train_images",
        ]
        savemat(devkit / "data" / "meta.mat", synsets=structs(rows, fields).T)
        lines(
            devkit / "data" / "ILSVRC2012_validation_ground_truth.txt",
            ([n - i.label] for i in made if i.split == "val"),
        )
        pack(layout, [devkit.name], out / "ILSVRC2012_devkit_t12.tar.gz")
        return [
            "ILSVRC2012_img_train.tar",
            "ILSVRC2012_img_val.tar",
            "ILSVRC2012_devkit_t12.tar.gz",
        ]

    return finish


def cars(made: list[Item], names: list[str]) -> Finish:
    folder = {"train": "cars_train", "val": "cars_test"}
    for item in made:
        item.path = f"{folder[item.split]}/{item.index + 1:05d}.jpg"
        item.form = "L" if item.split == "train" and item.index == 0 else "RGB"

    def finish(layout: Path, out: Path) -> list[str]:
        box = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"]
        for split, file in (
            ("train", layout / "devkit/cars_train_annos.mat"),
            ("val", out / "cars_test_annos_withlabels.mat"),
        ):
            rows = [
                (1, 1, 2, 2, i.label + 1, os.path.basename(i.path))
                for i in made
                if i.split == split
            ]
            savemat(file, annotations=structs(rows, [*box, "class", "fname"]))
        rows = [(1, 1, 2, 2, os.path.basename(i.path)) for i in made if i.split == "val"]
        savemat(layout / "devkit/cars_test_annos.mat", annotations=structs(rows, [*box, "fname"]))
        savemat(layout / "devkit/cars_meta.mat", class_names=np.array([names], object))
        for archive, content in (
            ("cars_train.tgz", "cars_train"),
            ("cars_test.tgz", "cars_test"),
            ("car_devkit.tgz", "devkit"),
        ):
            pack(layout, [content], out / archive)
        return [
            "cars_train.tgz",
            "cars_test.tgz",
            "car_devkit.tgz",
            "cars_test_annos_withlabels.mat",
        ]

    return finish


def cub(made: list[Item], names: list[str]) -> Finish:
    """Images are numbered by path, so that the splits are mixed."""
    folders = [f"{label + 1:03d}.{name}" for label, name in enumerate(names)]
    for item in made:
        item.path = f"images/{folders[item.label]}/{names[item.label]}_{item.index:04d}_{SPLITS.index(item.split)}.jpg"
        item.form = "L" if item.split == "train" and item.index == 0 else "RGB"

    def finish(layout: Path, out: Path) -> list[str]:
        numbered = list(enumerate(sorted(made, key=lambda i: i.path), 1))
        lines(layout / "images.txt", ((n, i.path.removeprefix("images/")) for n, i in numbered))
        lines(layout / "image_class_labels.txt", ((n, i.label + 1) for n, i in numbered))
        lines(layout / "train_test_split.txt", ((n, int(i.split == "train")) for n, i in numbered))
        lines(layout / "classes.txt", enumerate(folders, 1))
        pack(layout, sorted(os.listdir(layout)), out / "CUB_200_2011.tgz", "CUB_200_2011/")
        return ["CUB_200_2011.tgz"]

    return finish


def flowers(made: list[Item], names: list[str]) -> Finish:
    """Images are numbered by class, over all splits; the training images are shared between the official train and val."""
    numbered = list(enumerate(sorted(made, key=lambda i: (i.label, i.index, i.split)), 1))
    for number, item in numbered:
        item.path = f"jpg/image_{number:05d}.jpg"
        item.form = "L" if item.split == "train" and item.index == 0 else "RGB"

    def finish(layout: Path, out: Path) -> list[str]:
        train, test = ([number for number, i in numbered if i.split == split] for split in SPLITS)
        savemat(
            out / "imagelabels.mat", labels=np.array([[i.label + 1 for _, i in numbered]], np.uint8)
        )
        savemat(
            out / "setid.mat",
            trnid=np.array([train[::2]]),
            valid=np.array([train[1::2]]),
            tstid=np.array([test]),
        )
        pack(layout, ["jpg"], out / "102flowers.tgz")
        return ["102flowers.tgz", "imagelabels.mat", "setid.mat"]

    return finish


def pets(made: list[Item], names: list[str]) -> Finish:
    """Every other class is a cat: its name begins with a capital. One JPEG is CMYK, and one image stands in no list."""
    titles = [
        (name.capitalize() if label % 2 else name).replace("-", "_")
        for label, name in enumerate(names)
    ]
    for item in made:
        item.path = (
            f"images/{titles[item.label]}_{item.index + 1 + (item.split == 'val') * 100_000}.jpg"
        )
        item.form = {0: "L", 1: "CMYK"}.get(item.index, "RGB") if item.split == "train" else "RGB"

    def finish(layout: Path, out: Path) -> list[str]:
        shutil.copyfile(layout / made[0].path, layout / "images" / f"{titles[0]}_0.jpg")
        row: dict[str, list[tuple]] = {split: [] for split in SPLITS}
        for i in made:
            row[i.split].append(
                (Path(i.path).stem, i.label + 1, 1 + (i.label + 1) % 2, i.label // 2 + 1)
            )
        folder = layout / "annotations"
        lines(folder / "trainval.txt", row["train"])
        lines(folder / "test.txt", row["val"])
        lines(
            folder / "list.txt",
            [("#Image", "CLASS-ID", "SPECIES", "BREED", "ID"), *sorted(row["train"] + row["val"])],
        )
        pack(layout, ["images"], out / "images.tar.gz")
        pack(layout, ["annotations"], out / "annotations.tar.gz")
        return ["images.tar.gz", "annotations.tar.gz"]

    return finish


def birdsnap(made: list[Item], names: list[str]) -> Finish:
    """The images as the dataset's script leaves them: every 17th is absent, and so is the whole last class."""
    folders = [name.replace("-", "_") for name in names]
    for item in made:
        item.path = (
            f"images/{folders[item.label]}/{item.index + (item.split == 'val') * 100_000}.jpg"
        )
        item.form = "L" if item.split == "train" and item.index == 0 else "RGB"

    def finish(layout: Path, out: Path) -> list[str]:
        listed = [
            (
                i,
                hashlib.md5((layout / i.path).read_bytes()).hexdigest(),
                i.path.removeprefix("images/"),
            )
            for i in made
        ]
        head = [("url", "md5", "path", "species_id", "bb_x1", "bb_y1", "bb_x2", "bb_y2")]
        rows = [
            (f"http://images.example/{path}", md5, path, i.label + 1, 1, 1, 2, 2)
            for i, md5, path in listed
        ]
        lines(layout / "images.txt", head + rows, "\t")
        lines(
            layout / "test_images.txt",
            [("path",), *((path,) for i, _, path in listed if i.split == "val")],
            "\t",
        )
        species = [
            (label + 1, name, f"Pinhole {name}", folders[label]) for label, name in enumerate(names)
        ]
        lines(layout / "species.txt", [("id", "common", "scientific", "dir"), *species], "\t")
        for number, (item, _, _) in enumerate(listed):
            if number % 17 == 11 or item.label == len(names) - 1:
                (layout / item.path).unlink()
                item.path = ""
        shutil.rmtree(layout / "images" / folders[-1], ignore_errors=True)
        shutil.rmtree(out / "download", ignore_errors=True)
        (out / "download").mkdir()
        (layout / "images").rename(out / "download" / "images")
        pack(layout, sorted(os.listdir(layout)), out / "birdsnap.tgz", "birdsnap/")
        return ["birdsnap.tgz"]

    return finish


TWINS = {f.__name__: f for f in (imagefolder, imagenet, cars, cub, flowers, pets, birdsnap)}
