"""The official layouts of the datasets, for rendered images: file names, lists and archives.

Each layout is a function of the images and the class names. It assigns a path to every image, and
returns a function `finish(layout, out)` to call after the images are rendered below `layout`.
`finish` writes the lists, packs the archives into `out`, and returns the names of the distributed
files.

A layout also reproduces the oddities of the real files, which the parser must handle.
"""

import hashlib
import math
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fixres.artifacts.manifest import SPLITS
from fixres.data import idx
from fixres.data.rendered.archives import pack, pack_zip, savemat, structs
from fixres.data.sources.base import Box


@dataclass
class Item:
    """One image of a twin."""

    split: str
    index: int
    shows: int  # the class that is drawn
    label: int  # the class that the image is filed under
    path: str = ""  # in the unpacked layout; empty if a layout removes the image
    form: str = "RGB"  # see `pinhole.Drawing`
    side: int = 0
    # The drawn object: its apparent size in pixels, and the box around it.
    r: float = 0.0
    box: Box = (0.0, 0.0, 1.0, 1.0)


Finish = Callable[[Path, Path], list[str]]  # (layout, out) -> the distributed files


def _write_rows(file: Path, rows: Iterable[Iterable[object]], between: str = " ") -> None:
    """Write a list: one line per row, with `between` between the columns."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(between.join(map(str, row)) + "\n" for row in rows), encoding="utf-8")


def _grey_first(item: Item) -> str:
    """The form of an image if only the first training image is grey."""
    return "L" if item.split == "train" and item.index == 0 else "RGB"


def imagefolder(items: list[Item], names: list[str]) -> Finish:
    for item in items:
        name = names[item.label]
        item.path = f"{item.split}/{name}/{name}_{item.index:06d}.jpg"
    return lambda layout, out: []


# --- ImageNet -----------------------------------------------------------------------------------


def _wordnet_ids(names: list[str]) -> list[str]:
    """The WordNet id of each class, sorted."""
    return [f"n{20_000_000 + 37 * label:08d}" for label in range(len(names))]


def imagenet(items: list[Item], names: list[str]) -> Finish:
    """Four oddities of the real dataset are reproduced.

    The numbers of the classes (ILSVRC2012_ID) do not follow the order of the WordNet ids. Some
    images are grey or CMYK. One file is a PNG, although its name ends in .JPEG. Every second
    training image has no box, and boxes refer to another size than the image's.
    """
    wnids = _wordnet_ids(names)
    for item in items:
        if item.split == "train":
            wnid = wnids[item.label]
            item.path = f"train/{wnid}/{wnid}_{item.index + 1}.JPEG"
            item.form = {0: "L", 1: "CMYK", 2: "PNG"}.get(item.index, "RGB")
        else:
            item.path = f"val/ILSVRC2012_val_{item.index + 1:08d}.JPEG"

    def finish(layout: Path, out: Path) -> list[str]:
        train, val = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
        devkit = "ILSVRC2012_devkit_t12"
        inner = [wnid for wnid in wnids if (layout / "train" / wnid).is_dir()]
        for wnid in inner:
            folder = layout / "train" / wnid
            pack(folder, sorted(os.listdir(folder)), layout / f"{wnid}.tar")
        pack(layout, [f"{wnid}.tar" for wnid in inner], out / train)
        pack(layout / "val", sorted(os.listdir(layout / "val")), out / val)
        _write_devkit(layout / devkit / "data", items, names, wnids)
        pack(layout, [devkit], out / f"{devkit}.tar.gz")
        boxes = {"train": "ILSVRC2012_bbox_train_v2.tar.gz", "val": "ILSVRC2012_bbox_val_v3.tgz"}
        _write_boxes(layout / "boxes", items)
        pack(layout / "boxes/train", inner, out / boxes["train"])
        pack(layout / "boxes", ["val"], out / boxes["val"])
        return [train, val, f"{devkit}.tar.gz", *boxes.values()]

    return finish


def _write_boxes(folder: Path, items: list[Item]) -> None:
    """Write an XML file for each validation image and every second training image.

    Each file has a second, smaller object, whose corners are in the wrong order.
    """
    width, height = 500, 375
    for item in items:
        file = folder / Path(item.path).with_suffix(".xml")
        file.parent.mkdir(parents=True, exist_ok=True)
        if item.split == "train" and item.index % 2:
            continue
        sides = np.array([width, height] * 2)
        x0, y0, x1, y1 = np.rint(item.box * sides).astype(int).tolist()
        boxes = [(x0, y0, x1, y1), (x1, y1, (x0 + x1) // 2, (y0 + y1) // 2)]
        objects = (
            "<object><bndbox>"
            f"<xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax>"
            "</bndbox></object>"
            for a, b, c, d in boxes
        )
        size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
        file.write_text(f"<annotation>{size}{''.join(objects)}</annotation>\n")


def _write_devkit(folder: Path, items: list[Item], names: list[str], wnids: list[str]) -> None:
    """meta.mat, with the classes and one inner node, and the labels of the validation images."""
    n = len(names)
    fields = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children"]
    fields += ["wordnet_height", "num_train_images"]
    no_children = np.zeros((1, 0))
    rows = [
        (n - label, wnids[label], names[label], "rendered", 0, no_children, 0, 0)
        for label in reversed(range(n))
    ]
    children = np.arange(1, n + 1)
    rows.append((n + 1, "n00001740", "entity", "the root of the hierarchy", n, children, 1, 0))
    savemat(folder / "meta.mat", synsets=structs(rows, fields).T)
    _write_rows(
        folder / "ILSVRC2012_validation_ground_truth.txt",
        ([n - item.label] for item in items if item.split == "val"),
    )


# --- Tiny-ImageNet ------------------------------------------------------------------------------


def tiny_imagenet(items: list[Item], names: list[str]) -> Finish:
    """Squares of 64 px, numbered from 0, in training within each class; classes are unsorted."""
    wnids, numbered = _wordnet_ids(names), Counter[str]()
    for item in items:
        wnid = wnids[item.label]
        if item.split == "train":
            item.path = f"train/{wnid}/images/{wnid}_{numbered[wnid]}.JPEG"
            numbered[wnid] += 1
        else:
            item.path = f"val/images/val_{item.index}.JPEG"
        item.form, item.side = _grey_first(item), 64

    def finish(layout: Path, out: Path) -> list[str]:
        lists: dict[str, list[tuple]] = {"wnids.txt": [(w,) for w in wnids[1::2] + wnids[::2]]}
        lists["words.txt"] = [("n00001740", "entity"), *zip(wnids, names, strict=True)]
        for item in items:
            wnid, box = wnids[item.label], _inclusive(item.box, item.side)
            if item.split == "train":
                file, row = f"train/{wnid}/{wnid}_boxes.txt", box
            else:
                file, row = "val/val_annotations.txt", (wnid, *box)
            lists.setdefault(file, []).append((os.path.basename(item.path), *row))
        for name, rows in lists.items():
            _write_rows(layout / name, rows, "\t")
        (layout / "test/images").mkdir(parents=True)
        shutil.copyfile(layout / items[-1].path, layout / "test/images/test_0.JPEG")
        pack_zip(layout, out / "tiny-imagenet-200.zip", "tiny-imagenet-200/")
        return ["tiny-imagenet-200.zip"]

    return finish


def _inclusive(box: Box, side: int) -> tuple[int, ...]:
    """The first and last pixel of a box in a square, from 0; an object outside has one pixel."""
    first = [min(math.floor(edge * side), side - 1) for edge in box[:2]]
    last = [
        max(math.ceil(edge * side) - 1, start) for edge, start in zip(box[2:], first, strict=True)
    ]
    return *first, *last


# --- Stanford Cars, CUB, Flowers ----------------------------------------------------------------


def cars(items: list[Item], names: list[str]) -> Finish:
    folder = {"train": "cars_train", "val": "cars_test"}
    for item in items:
        item.path = f"{folder[item.split]}/{item.index + 1:05d}.jpg"
        item.form = _grey_first(item)

    def finish(layout: Path, out: Path) -> list[str]:
        box, corners = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"], (1, 1, 2, 2)
        train = layout / "devkit/cars_train_annos.mat"
        test = out / "cars_test_annos_withlabels.mat"
        for split, file in (("train", train), ("val", test)):
            shown = [item for item in items if item.split == split]
            rows = [(*corners, item.label + 1, os.path.basename(item.path)) for item in shown]
            savemat(file, annotations=structs(rows, [*box, "class", "fname"]))
        rows = [(*corners, os.path.basename(item.path)) for item in items if item.split == "val"]
        savemat(layout / "devkit/cars_test_annos.mat", annotations=structs(rows, [*box, "fname"]))
        savemat(layout / "devkit/cars_meta.mat", class_names=np.array([names], object))
        archives = {f"{name}.tgz": name for name in folder.values()} | {"car_devkit.tgz": "devkit"}
        for archive, content in archives.items():
            pack(layout, [content], out / archive)
        return [*archives, test.name]

    return finish


def cub(items: list[Item], names: list[str]) -> Finish:
    """Images are numbered by path, which mixes the splits."""
    folders = [f"{label + 1:03d}.{name}" for label, name in enumerate(names)]
    for item in items:
        file = f"{names[item.label]}_{item.index:04d}_{SPLITS.index(item.split)}.jpg"
        item.path = f"images/{folders[item.label]}/{file}"
        item.form = _grey_first(item)

    def finish(layout: Path, out: Path) -> list[str]:
        numbered = list(enumerate(sorted(items, key=lambda i: i.path), 1))
        lists = {
            "images.txt": ((n, i.path.removeprefix("images/")) for n, i in numbered),
            "image_class_labels.txt": ((n, i.label + 1) for n, i in numbered),
            "train_test_split.txt": ((n, int(i.split == "train")) for n, i in numbered),
            "classes.txt": enumerate(folders, 1),
        }
        for name, rows in lists.items():
            _write_rows(layout / name, rows)
        pack(layout, sorted(os.listdir(layout)), out / "CUB_200_2011.tgz", "CUB_200_2011/")
        return ["CUB_200_2011.tgz"]

    return finish


def flowers(items: list[Item], names: list[str]) -> Finish:
    """Images are numbered by class, over all splits.

    The training images are divided into the official train and val.
    """
    numbered = list(enumerate(sorted(items, key=lambda i: (i.label, i.index, i.split)), 1))
    for number, item in numbered:
        item.path = f"jpg/image_{number:05d}.jpg"
        item.form = _grey_first(item)

    def finish(layout: Path, out: Path) -> list[str]:
        train, test = ([number for number, i in numbered if i.split == split] for split in SPLITS)
        labels = np.array([[i.label + 1 for _, i in numbered]], np.uint8)
        splits = {"trnid": train[::2], "valid": train[1::2], "tstid": test}
        savemat(out / "imagelabels.mat", labels=labels)
        savemat(out / "setid.mat", **{key: np.array([ids]) for key, ids in splits.items()})
        pack(layout, ["jpg"], out / "102flowers.tgz")
        return ["102flowers.tgz", "imagelabels.mat", "setid.mat"]

    return finish


# --- Oxford-IIIT Pets ---------------------------------------------------------------------------


def pets(items: list[Item], names: list[str]) -> Finish:
    """Every second class is a cat, whose name begins with a capital letter.

    One JPEG is CMYK, and one image is not listed.
    """
    titles = [name.replace("-", "_") for name in names]
    titles[1::2] = [title.capitalize() for title in titles[1::2]]
    for item in items:
        number = item.index + 1 + (item.split == "val") * 100_000
        item.path = f"images/{titles[item.label]}_{number}.jpg"
        if item.split == "train":
            item.form = {0: "L", 1: "CMYK"}.get(item.index, "RGB")

    def finish(layout: Path, out: Path) -> list[str]:
        shutil.copyfile(layout / items[0].path, layout / "images" / f"{titles[0]}_0.jpg")
        rows: dict[str, list[tuple]] = {split: [] for split in SPLITS}
        for item in items:
            species = 1 + (item.label + 1) % 2  # 1: cat, 2: dog
            row = (Path(item.path).stem, item.label + 1, species, item.label // 2 + 1)
            rows[item.split].append(row)
        head = ("#Image", "CLASS-ID", "SPECIES", "BREED", "ID")
        folder = layout / "annotations"
        _write_rows(folder / "trainval.txt", rows["train"])
        _write_rows(folder / "test.txt", rows["val"])
        _write_rows(folder / "list.txt", [head, *sorted(rows["train"] + rows["val"])])
        pack(layout, ["images"], out / "images.tar.gz")
        pack(layout, ["annotations"], out / "annotations.tar.gz")
        return ["images.tar.gz", "annotations.tar.gz"]

    return finish


# --- Birdsnap -----------------------------------------------------------------------------------


def birdsnap(items: list[Item], names: list[str]) -> Finish:
    """The images as downloaded by the dataset's script.

    Every 17th image and the whole last class are missing.
    """
    folders = [name.replace("-", "_") for name in names]
    for item in items:
        number = item.index + (item.split == "val") * 100_000
        item.path = f"images/{folders[item.label]}/{number}.jpg"
        item.form = _grey_first(item)

    def finish(layout: Path, out: Path) -> list[str]:
        _write_birdsnap_lists(layout, items, names, folders)
        for number, item in enumerate(items):
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


def _write_birdsnap_lists(
    layout: Path, items: list[Item], names: list[str], folders: list[str]
) -> None:
    """Write images.txt, test_images.txt and species.txt, which also list the missing images."""
    images = [("url", "md5", "path", "species_id", "bb_x1", "bb_y1", "bb_x2", "bb_y2")]
    test = [("path",)]
    for item in items:
        md5 = hashlib.md5((layout / item.path).read_bytes()).hexdigest()
        path = item.path.removeprefix("images/")
        images.append((f"http://images.example/{path}", md5, path, item.label + 1, 1, 1, 2, 2))
        if item.split == "val":
            test.append((path,))
    species = [("id", "common", "scientific", "dir")]
    for label, name in enumerate(names):
        species.append((label + 1, name, f"Pinhole {name}", folders[label]))
    _write_rows(layout / "images.txt", images, "\t")
    _write_rows(layout / "test_images.txt", test, "\t")
    _write_rows(layout / "species.txt", species, "\t")


# --- Fashion-MNIST ------------------------------------------------------------------------------


def fashion_mnist(items: list[Item], names: list[str]) -> Finish:
    """Grey squares of 28 px, in four IDX files."""
    for item in items:
        item.path, item.form = f"{item.split}/{item.index:05d}.png", "L"
        item.side = 28

    def finish(layout: Path, out: Path) -> list[str]:
        files = []
        for split, prefix in zip(SPLITS, ("train", "t10k"), strict=True):
            shown = [item for item in items if item.split == split]
            squares = [Image.open(layout / item.path) for item in shown]
            contents = {
                f"{prefix}-images-idx3-ubyte.gz": np.stack([np.asarray(s) for s in squares]),
                f"{prefix}-labels-idx1-ubyte.gz": np.array([item.label for item in shown]),
            }
            for file, content in contents.items():
                (out / file).write_bytes(idx.pack(content))
            files += contents
        return files

    return finish


LAYOUTS = {f.__name__: f for f in (imagefolder, imagenet, cars, cub, flowers, pets, birdsnap)}
LAYOUTS |= {"fashion-mnist": fashion_mnist, "tiny-imagenet": tiny_imagenet}
