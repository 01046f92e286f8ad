"""From the official files to a manifest: labels and splits of every source, against its twin."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts_shared import CLASSES, everything, rows_of, state

from fixres.artifacts import manifest
from fixres.data import building, sources, unpack
from shared import textured


@pytest.mark.parametrize("source", sources.SOURCES)
def test_archives_give_the_labels_that_were_drawn(made, source):
    twin = made(source)
    assert rows_of(twin.manifest) == {
        row["path"]: (int(row["label"]), row["split"]) for row in twin.truth
    }
    size = {row["path"]: float(row["r"]) for row in twin.truth}
    assert np.allclose(
        twin.manifest.object_size, [size[os.fsdecode(p)] for p in twin.manifest.path]
    )
    # The files of Fashion-MNIST have no names of classes: they are always ten.
    assert len(twin.manifest.classes) == (10 if source == "fashion-mnist" else CLASSES)
    assert np.all(np.diff(twin.manifest.split.astype(int)) >= 0)
    assert state(twin.root) == twin.before  # the data folder is only read
    assert all(os.path.isfile(f) for f in twin.manifest.files(np.arange(len(twin.manifest.path))))
    assert ("rendered by this suite" in " ".join(twin.manifest.notes)) == (source != "imagefolder")
    for split in manifest.SPLITS:
        assert f"| {split} | {len(twin.manifest.rows(split))} |" in twin.report
    if source != "imagefolder":
        grey = len(twin.manifest.path) if source == "fashion-mnist" else 1
        assert f"## grey ({grey})" in twin.report
        assert ("\nAll images.\n" in twin.report) == (source == "fashion-mnist")


@pytest.mark.parametrize("source", sources.SOURCES)
@pytest.mark.parametrize("at_home", [False, True])
def test_an_unpacked_layout_is_read_where_it_lies(made, source, at_home, tmp_path, no_md5s):
    """In the folder itself, or below the name that the archives unpack to. Nothing is unpacked."""
    home = (*sources.load(source).homes, "")[0] if at_home else ""
    twin, folder = made(source), made(source).unpacked(tmp_path / "a é" / home)
    again = building.build(tmp_path / "a é", source)
    assert again.folder == folder
    assert again.digest() == twin.manifest.digest()
    if source == "cub":
        train, test = "48 training images (published: 5994)", "24 test images (published: 5794)"
        classes = "6 classes (published: 200)"
        assert again.notes == (f"CUB-200-2011: {train}, {test}, {classes}.",)


@pytest.mark.parametrize(("source", "packed"), [("cub", False), ("cub", True), ("pets", False)])
def test_a_folder_of_another_dataset_beside_it_is_not_taken_for_its_own(
    made, source, packed, tmp_path
):
    twin = made(source)
    (tmp_path / "images").mkdir()
    textured(20, 20).save(tmp_path / "images" / "other.jpg")
    home = tmp_path / sources.load(source).homes[0]
    if packed:  # one archive holds its images and its lists
        for name in ("CUB_200_2011.tgz", "md5sums.txt"):
            shutil.copy(twin.root / name, tmp_path)
    else:
        twin.unpacked(home)
    again = building.build(
        tmp_path, source, tmp_path / "work", checksums="listed" if packed else "published"
    )
    assert again.digest() == twin.manifest.digest()


@pytest.mark.parametrize("packed", [True, False])
def test_imagenets_validation_images_need_no_training_images(made, packed, tmp_path, no_md5s):
    """The archive and the devkit; or the images of the archive in one folder, and the devkit."""
    twin, root = made("imagenet"), tmp_path / "imagenet"
    if packed:
        root.mkdir()
        for name in ("ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz", "md5sums.txt"):
            shutil.copy(twin.root / name, root)
    else:
        shutil.rmtree(twin.unpacked(root) / "train")
    wanted = sources.picked(sources.load("imagenet"), {"only": "val"})
    data = building.build(root, wanted, tmp_path / "work", checksums="listed" if packed else "")
    of_val = {path: row for path, row in rows_of(twin.manifest).items() if row[1] == "val"}
    assert rows_of(data) == of_val
    assert data.classes == twin.manifest.classes
    [note] = data.notes
    assert "24 test images (published: 50000)" in note
    assert "training" not in note


@pytest.mark.parametrize("source", sources.SOURCES)
def test_validation_images_alone_of_every_source(made, source, tmp_path):
    """With their labels; that training images are there is no remark of the report."""
    twin, report = made(source), tmp_path / "report.md"
    wanted = sources.picked(sources.load(source), {"only": "val"})
    listed = "published" if source == "imagefolder" else "listed"
    data = building.build(twin.root, wanted, tmp_path / "work", checksums=listed, report=report)
    of_val = {path: row for path, row in rows_of(twin.manifest).items() if row[1] == "val"}
    assert rows_of(data) == of_val
    assert data.classes == twin.manifest.classes
    text = report.read_text(encoding="utf-8")
    assert "| train |" not in text
    trained = next(path for path, row in rows_of(twin.manifest).items() if row[1] == "train")
    assert trained not in text


def test_imagenet_agrees_with_torchvisions_own_reader(made, tmp_path, monkeypatch):
    from torchvision.datasets import imagenet

    twin = made("imagenet")
    sums = unpack.listed(twin.root)
    meta = {k: (name, sums[name]) for k, (name, _) in imagenet.ARCHIVE_META.items()}
    monkeypatch.setattr(imagenet, "ARCHIVE_META", meta)
    for name, _ in meta.values():
        shutil.copy(twin.root / name, tmp_path)
    theirs = {}
    for split in ("train", "val"):
        samples = imagenet.ImageNet(str(tmp_path), split).samples
        theirs |= {(split, Path(path).name): label for path, label in samples}

    def ours(data: manifest.Manifest) -> dict:
        return {(split, Path(p).name): label for p, (label, split) in rows_of(data).items()}

    assert theirs == ours(twin.manifest)
    # torchvision has unpacked both splits with a folder for each class: the usual unpacked form.
    assert ours(building.build(tmp_path, "imagenet")) == theirs


def test_flowers_agree_with_torchvisions_own_reader(made, tmp_path, monkeypatch):
    from torchvision.datasets import Flowers102

    twin = made("flowers")
    sums = unpack.listed(twin.root)
    files = {k: (name, sums[name]) for k, (name, _) in Flowers102._file_dict.items()}
    monkeypatch.setattr(Flowers102, "_file_dict", files)
    twin.unpacked(tmp_path / "flowers-102")
    theirs = {}
    for split, ours in (("train", "train"), ("val", "train"), ("test", "val")):
        data = Flowers102(str(tmp_path), split)
        samples = zip(data._image_files, data._labels, strict=True)
        theirs |= {f"jpg/{Path(p).name}": (label, ours) for p, label in samples}
    assert theirs == rows_of(twin.manifest)


def test_cars_agree_with_torchvisions_own_reader(made, tmp_path):
    from torchvision.datasets import StanfordCars

    twin = made("cars")
    twin.unpacked(tmp_path / "stanford_cars")
    theirs = {}
    for split, ours in (("train", "train"), ("test", "val")):
        data = StanfordCars(str(tmp_path), split)
        for path, label in data._samples:
            theirs[str(Path(path).relative_to(tmp_path / "stanford_cars"))] = (label, ours)
        assert tuple(map(str, data.classes)) == twin.manifest.classes
    assert theirs == rows_of(twin.manifest)


def test_pets_agree_with_torchvisions_own_reader(made, tmp_path):
    from torchvision.datasets import OxfordIIITPet

    twin = made("pets")
    twin.unpacked(tmp_path / "oxford-iiit-pet")
    theirs = {}
    for split, ours in (("trainval", "train"), ("test", "val")):
        data = OxfordIIITPet(str(tmp_path), split)
        for path, label in zip(data._images, data._labels, strict=True):
            theirs[f"images/{path.name}"] = (label, ours)
        assert tuple(data.classes) == twin.manifest.classes
    assert theirs == rows_of(twin.manifest)


def test_imagenet_of_files_that_are_no_plain_jpegs(made):
    report = made("imagenet").report
    assert "1 not JPEG, 1 CMYK, 1 grey, 0 duplicate" in report
    assert "_3.JPEG`: PNG" in report


def test_birdsnap_keeps_its_labels_where_images_and_a_class_are_absent(made):
    twin = made("birdsnap")
    assert len(twin.manifest.path) < 72
    assert CLASSES - 1 not in twin.manifest.label
    assert any("this copy lacks" in note for note in twin.manifest.notes)
    assert any(
        "no train image of 1 of 6 classes: star5-red" in note for note in twin.manifest.notes
    )
    assert "## absent (" in twin.report


images = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=30).filter(
    lambda rows: len({s for _, s in rows}) == 2
)


@given(rows=images, shuffle=st.randoms(use_true_random=False))
@everything
def test_cub_lists_in_any_order(tmp_path, rows, shuffle):
    """Each image keeps its label and its split, for any numbers and any order of lines."""

    def write(name, lines):
        shuffle.shuffle(lines)
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    write("classes.txt", [f"{i + 1} {i + 1:03d}.Bird_{i}" for i in range(5)])
    write(
        "images.txt",
        [f"{10 * i + 1} {x + 1:03d}.Bird_{x}/é {i}.jpg" for i, (x, _) in enumerate(rows)],
    )
    write("image_class_labels.txt", [f"{10 * i + 1} {x + 1}" for i, (x, _) in enumerate(rows)])
    write(
        "train_test_split.txt", [f"{10 * i + 1} {int(train)}" for i, (_, train) in enumerate(rows)]
    )
    found = sources.read(sources.load("cub"), tmp_path)
    assert set(found.images) == {
        (f"images/{x + 1:03d}.Bird_{x}/é {i}.jpg", x, int(not train))
        for i, (x, train) in enumerate(rows)
    }
    assert found.classes == tuple(f"Bird_{i}" for i in range(5))
