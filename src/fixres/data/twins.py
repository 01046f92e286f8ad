"""Render a pinhole set in the official layout of a dataset: its *twin*.

A twin has the archives, lists and traps of the real files (tars in tars, MATLAB structs, labels from 1, class numbers in another order
than their names, images that are not RGB JPEG, absent images), so that the same parser reads it and can be held against the truth, which
`objects.csv` keeps: one row an image: path in the unpacked layout, r (true apparent size, pixels), split, label (as filed), shows (the
class that is drawn). The same settings give the same bytes.
"""

import argparse
import csv
import gzip
import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fixres import job
from fixres.data import pinhole
from fixres.data.manifest import OBJECTS
from fixres.data.pinhole import SPLITS, Drawing
from fixres.data.sources import SOURCES
from fixres.data.unpack import SUMS
from fixres.job import JobError

NOISE = 2  # Philox key of the wrong tags; 0 and 1 are the splits' images


@dataclass
class Item:
    """One image of a twin."""

    split: str
    index: int
    shows: int  # the class that is drawn
    label: int  # the class that it is filed under
    path: str = ""  # in the unpacked layout; emptied where a layout takes the image away again
    form: str = "RGB"  # see Drawing


def items(settings: dict) -> list[Item]:
    """Every image of both splits: classes in turn, and of the training images a share filed under a wrong class (`mislabelled`)."""
    n, out = len(pinhole.class_names(settings)), []
    for split in SPLITS:
        for index in range(settings[f"{split}_images"]):
            shows = label = index % n
            if split == "train" and settings["mislabelled"]:
                rng = np.random.Generator(np.random.Philox(key=[settings["seed"], NOISE], counter=[0, 0, 0, index]))
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
            raise JobError(f"pinhole.{key}: found {', '.join(strangers)}, expected some of {', '.join(known)}")
    if len(set(names)) < max(len(names), 2):
        raise JobError(f"pinhole: silhouettes × hues give the classes {', '.join(names)}, expected at least 2 and none twice")
    for split in SPLITS:
        if (n := settings[f"{split}_images"]) < len(names):
            raise JobError(f"pinhole.{split}_images: found {n}, expected one at least for each of {len(names)} classes")
    folder.mkdir(parents=True, exist_ok=True)
    layout = folder if source == "imagefolder" else folder / ".layout"
    shutil.rmtree(folder / ".layout", ignore_errors=True)
    made = items(settings)
    finish = TWINS[source](made, names)
    sizes = pinhole.draw(layout, [Drawing(i.path, i.shows, i.split, i.index, i.form) for i in made], settings, processes)
    distributed = finish(layout, folder)
    with open(folder / OBJECTS, "w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(["path", "r", "split", "label", "shows"])
        writer.writerows((i.path, f"{r:.3f}", i.split, i.label, names[i.shows]) for i, r in zip(made, sizes, strict=True) if i.path)
    if distributed:
        sums = (f"{hashlib.md5((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in distributed)
        (folder / SUMS).write_text("".join(sums), encoding="utf-8")
        shutil.rmtree(layout)
    job.log(f"{source}: {len(made)} images of {len(names)} classes in {folder} ({', '.join(distributed) or 'train, val'})")


# --- files with the same bytes every time ---------------------------------------------------------------------------------------


def pack(folder: Path, names: Iterable[str], archive: Path, prefix: str = "") -> None:
    """Put files and folders into a tar (compressed unless its name ends in .tar), with owners and dates left out."""
    plain = archive.suffix == ".tar"
    with open(archive, "wb") as f:
        target = f if plain else gzip.GzipFile("", "wb", compresslevel=1, fileobj=f, mtime=0)
        with target, tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for name in names:
                _add(tar, folder / name, prefix + name)


def _add(tar: tarfile.TarFile, file: Path, name: str) -> None:
    member = tarfile.TarInfo(name)
    if file.is_dir():
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(member)
        for inner in sorted(os.listdir(file)):
            _add(tar, file / inner, f"{name}/{inner}")
    else:
        member.size = file.stat().st_size
        with open(file, "rb") as f:
            tar.addfile(member, f)


def savemat(file: Path, **variables: object) -> None:
    """A MATLAB 5 file whose header holds no date."""
    import scipy.io

    buffer = io.BytesIO()
    scipy.io.savemat(buffer, variables)
    data = bytearray(buffer.getvalue())
    data[:116] = b"MATLAB 5.0 MAT-file, a pinhole twin".ljust(116)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def structs(rows: list[tuple], fields: list[str]) -> np.ndarray:
    """A 1×n MATLAB struct array."""
    out = np.empty((1, len(rows)), [(field, object) for field in fields])
    for i, row in enumerate(rows):
        out[0, i] = row
    return out


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
            pack(layout / "train" / wnid, sorted(os.listdir(layout / "train" / wnid)), layout / f"{wnid}.tar")
        pack(layout, [f"{wnid}.tar" for wnid in inner], out / "ILSVRC2012_img_train.tar")
        pack(layout / "val", sorted(os.listdir(layout / "val")), out / "ILSVRC2012_img_val.tar")
        nothing = np.zeros((1, 0))
        rows = [(n - label, wnids[label], names[label], "rendered", 0, nothing, 0, 0) for label in reversed(range(n))]
        rows.append((n + 1, "n00001740", "entity", "the root of the hierarchy", n, np.arange(1, n + 1), 1, 0))
        fields = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height", "num_train_images"]
        savemat(devkit / "data" / "meta.mat", synsets=structs(rows, fields).T)
        lines(devkit / "data" / "ILSVRC2012_validation_ground_truth.txt", ([n - i.label] for i in made if i.split == "val"))
        pack(layout, [devkit.name], out / "ILSVRC2012_devkit_t12.tar.gz")
        return ["ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"]

    return finish


def cars(made: list[Item], names: list[str]) -> Finish:
    folder = {"train": "cars_train", "val": "cars_test"}
    for item in made:
        item.path = f"{folder[item.split]}/{item.index + 1:05d}.jpg"
        item.form = "L" if item.split == "train" and item.index == 0 else "RGB"

    def finish(layout: Path, out: Path) -> list[str]:
        box = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"]
        for split, file in (("train", layout / "devkit/cars_train_annos.mat"), ("val", out / "cars_test_annos_withlabels.mat")):
            rows = [(1, 1, 2, 2, i.label + 1, os.path.basename(i.path)) for i in made if i.split == split]
            savemat(file, annotations=structs(rows, [*box, "class", "fname"]))
        rows = [(1, 1, 2, 2, os.path.basename(i.path)) for i in made if i.split == "val"]
        savemat(layout / "devkit/cars_test_annos.mat", annotations=structs(rows, [*box, "fname"]))
        savemat(layout / "devkit/cars_meta.mat", class_names=np.array([names], object))
        for archive, content in (("cars_train.tgz", "cars_train"), ("cars_test.tgz", "cars_test"), ("car_devkit.tgz", "devkit")):
            pack(layout, [content], out / archive)
        return ["cars_train.tgz", "cars_test.tgz", "car_devkit.tgz", "cars_test_annos_withlabels.mat"]

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
        savemat(out / "imagelabels.mat", labels=np.array([[i.label + 1 for _, i in numbered]], np.uint8))
        savemat(out / "setid.mat", trnid=np.array([train[::2]]), valid=np.array([train[1::2]]), tstid=np.array([test]))
        pack(layout, ["jpg"], out / "102flowers.tgz")
        return ["102flowers.tgz", "imagelabels.mat", "setid.mat"]

    return finish


def pets(made: list[Item], names: list[str]) -> Finish:
    """Every other class is a cat: its name begins with a capital. One JPEG is CMYK, and one image stands in no list."""
    titles = [(name.capitalize() if label % 2 else name).replace("-", "_") for label, name in enumerate(names)]
    for item in made:
        item.path = f"images/{titles[item.label]}_{item.index + 1 + (item.split == 'val') * 100_000}.jpg"
        item.form = {0: "L", 1: "CMYK"}.get(item.index, "RGB") if item.split == "train" else "RGB"

    def finish(layout: Path, out: Path) -> list[str]:
        shutil.copyfile(layout / made[0].path, layout / "images" / f"{titles[0]}_0.jpg")
        row: dict[str, list[tuple]] = {split: [] for split in SPLITS}
        for i in made:
            row[i.split].append((Path(i.path).stem, i.label + 1, 1 + (i.label + 1) % 2, i.label // 2 + 1))
        folder = layout / "annotations"
        lines(folder / "trainval.txt", row["train"])
        lines(folder / "test.txt", row["val"])
        lines(folder / "list.txt", [("#Image", "CLASS-ID", "SPECIES", "BREED", "ID"), *sorted(row["train"] + row["val"])])
        pack(layout, ["images"], out / "images.tar.gz")
        pack(layout, ["annotations"], out / "annotations.tar.gz")
        return ["images.tar.gz", "annotations.tar.gz"]

    return finish


def birdsnap(made: list[Item], names: list[str]) -> Finish:
    """The images as the dataset's script leaves them: every 17th is absent, and so is the whole last class."""
    folders = [name.replace("-", "_") for name in names]
    for item in made:
        item.path = f"images/{folders[item.label]}/{item.index + (item.split == 'val') * 100_000}.jpg"
        item.form = "L" if item.split == "train" and item.index == 0 else "RGB"

    def finish(layout: Path, out: Path) -> list[str]:
        listed = [(i, hashlib.md5((layout / i.path).read_bytes()).hexdigest(), i.path.removeprefix("images/")) for i in made]
        head = [("url", "md5", "path", "species_id", "bb_x1", "bb_y1", "bb_x2", "bb_y2")]
        rows = [(f"http://images.example/{path}", md5, path, i.label + 1, 1, 1, 2, 2) for i, md5, path in listed]
        lines(layout / "images.txt", head + rows, "\t")
        lines(layout / "test_images.txt", [("path",), *((path,) for i, _, path in listed if i.split == "val")], "\t")
        species = [(label + 1, name, f"Pinhole {name}", folders[label]) for label, name in enumerate(names)]
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


# --- commands -------------------------------------------------------------------------------------------------------------------


def main(arguments: list[str]) -> None:
    args = job.parser("render", __doc__, "out").parse_args(arguments)
    config = job.read_config(args.config, "render", args.made_of)
    write(config["source"], args.out, config["pinhole"], args.threads)


def by_hand(arguments: list[str]) -> None:
    """`python -m fixres twin DATASET OUT`: the render stage without a configuration file."""
    from pydantic import ValidationError

    from fixres.config import Pinhole

    p = argparse.ArgumentParser(prog="python -m fixres twin", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("dataset", choices=SOURCES, metavar="DATASET", help=", ".join(SOURCES))
    p.add_argument("out", type=Path, metavar="OUT", help="folder for the twin; new or empty")
    p.add_argument("--train", type=int, default=480, help="training images (default: %(default)s)")
    p.add_argument("--val", type=int, default=240, help="validation images (default: %(default)s)")
    p.add_argument("--classes", type=int, default=24, help=f"2 to {len(pinhole.SILHOUETTES) * len(pinhole.HUES)} (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="other seeds give other images (default: %(default)s)")
    p.add_argument("--mislabelled", type=float, default=0.0, help="share of training images filed under a wrong class")
    p.add_argument("--shorter-side", type=int, nargs=2, default=[88, 120], metavar="PIXELS", help="range (default: 88 120)")
    p.add_argument("--threads", type=int, default=os.cpu_count(), help="processes that render (default: all)")
    args = p.parse_args(arguments)
    if args.out.exists() and any(args.out.iterdir()):
        raise JobError(f"{args.out}: not empty; name a new folder, or empty this one")
    silhouettes, hues = classes(args.classes)
    try:
        look = Pinhole(seed=args.seed, train_images=args.train, val_images=args.val, shorter_side=args.shorter_side).model_dump()
    except ValidationError as error:
        raise JobError("; ".join(f"{'.'.join(map(str, e['loc']))}: found {e['input']}, {e['msg']}" for e in error.errors())) from None
    write(args.dataset, args.out, look | {"silhouettes": silhouettes, "hues": hues, "mislabelled": args.mislabelled}, args.threads)


def classes(n: int) -> tuple[list[str], list[str]]:
    """Silhouettes and hues whose product has n classes, as evenly as can be. Raises JobError naming the nearest n that works."""
    pairs = {s * h: (s, h) for h in range(1, len(pinhole.HUES) + 1) for s in range(1, len(pinhole.SILHOUETTES) + 1)}
    if n not in pairs or n < 2:
        near = sorted(sorted(pairs.keys() - {1}, key=lambda m: (abs(m - n), m))[:2])
        raise JobError(f"--classes: found {n}, but classes are silhouettes × hues: take {' or '.join(map(str, near))}")
    s, h = pairs[n]
    return list(pinhole.SILHOUETTES[:s]), list(pinhole.HUES)[:h]
