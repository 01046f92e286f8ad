"""Lists that contradict each other or the images, and images that cannot be used."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from layouts_shared import CLASSES, OFFICIAL, rows_of
from scipy.io import loadmat, savemat

from fixres.artifacts import manifest
from fixres.data import building
from fixres.jobs import JobError
from shared import textured


def edit(file: Path, old: str, new: str) -> None:
    """Replace the first occurrence of `old` in a list."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def relabel(root: Path, source: str, label: int) -> None:
    """Give one image a label (counted from 1) in the official list."""
    if source == "cars":
        file = root / "cars_test_annos_withlabels.mat"
        rows = loadmat(file)["annotations"]
        rows[0, 4]["class"] = np.array([[label]])
        savemat(file, {"annotations": rows})
    elif source == "flowers":
        labels = loadmat(root / "imagelabels.mat")["labels"]
        labels[0, 7] = label
        savemat(root / "imagelabels.mat", {"labels": labels})
    elif source == "cub":
        edit(root / "image_class_labels.txt", "\n7 1\n", f"\n7 {label}\n")
    elif source == "pets":
        edit(root / "annotations/test.txt", "Bar_green_100002 2 ", f"Bar_green_100002 {label} ")
    elif source == "imagenet":
        file = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
        edit(root / file, "\n3\n", f"\n{label}\n")
    elif source == "birdsnap":
        edit(root / "images.txt", "bar_green/7.jpg\t2\t", f"bar_green/7.jpg\t{label}\t")


NUMBERED = [name for name in OFFICIAL if name not in ("fashion-mnist", "tiny-imagenet")]


@pytest.mark.parametrize("source", NUMBERED)
@pytest.mark.parametrize("label", [0, CLASSES + 2])
def test_a_label_out_of_range_is_named_with_its_list(made, tmp_path, no_md5s, source, label):
    root = made(source).unpacked(tmp_path)
    relabel(root, source, label)
    with pytest.raises(JobError) as caught:
        building.build(root, source)
    file = {
        "cars": "cars_test_annos_withlabels.mat",
        "flowers": "imagelabels.mat",
        "cub": "image_class_labels.txt",
        "pets": "annotations/test.txt",
        "imagenet": "ILSVRC2012_validation_ground_truth.txt",
        "birdsnap": "images.txt",
    }
    assert file[source] in str(caught.value)
    assert f"got {label}" in str(caught.value)
    assert f"1 to {CLASSES}" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "file", "old", "new", "expected"),
    [
        (
            "cub",
            "image_class_labels.txt",
            "\n7 1\n",
            "\n",
            "image 7 (001.bar-blue/bar-blue_0018_0.jpg) is missing, but in images.txt",
        ),
        ("cub", "images.txt", "\n7 ", "\n7777 ", "image 7 (no name) is missing"),
        (
            "cub",
            "train_test_split.txt",
            "\n7 1\n",
            "\n7 3\n",
            "invalid split of image 7 (got 3, expected 1 (train) or 0 (test)",
        ),
        (
            "cub",
            "image_class_labels.txt",
            "\n7 1\n",
            "\n7\n",
            "line 7: wrong number of columns (got '7', expected 2 columns",
        ),
        (
            "birdsnap",
            "images.txt",
            "bar_green/100001.jpg\t2",
            "bar_green/5.jpg\t2",
            "bar_green/100001.jpg is missing, but listed in test_images.txt",
        ),
        ("birdsnap", "species.txt", "\n2\t", "\n9\t", "got 6 ids up to 9"),
        (
            "pets",
            "annotations/trainval.txt",
            "Bar_green_2 2",
            "Bar_green_2 7",
            "classes with the same name but different labels (got Bar Green",
        ),
        (
            "pets",
            "annotations/test.txt",
            "Bar_green_100002 ",
            "Bar_green_2 ",
            "listed twice (got images/Bar_green_2.jpg",
        ),
    ],
)
def test_lists_at_odds_with_each_other(made, tmp_path, source, file, old, new, expected):
    root = made(source).unpacked(tmp_path)
    edit(root / file, old, new)
    with pytest.raises(JobError) as caught:
        building.build(root, source)
    assert expected in str(caught.value)


def test_flowers_beyond_the_labels(made, tmp_path, no_md5s):
    root = made("flowers").unpacked(tmp_path)
    labels = loadmat(root / "imagelabels.mat")["labels"]
    savemat(root / "imagelabels.mat", {"labels": labels[:, :-1]})
    with pytest.raises(JobError, match=r"got 72, expected 1 to 71, the images in imagelabels\.mat"):
        building.build(root, "flowers")


def test_imagenet_of_other_classes_than_its_devkit(made, tmp_path):
    root = made("imagenet").unpacked(tmp_path)
    (root / "train" / "n20000000").rename(root / "train" / "n19999999")
    with pytest.raises(JobError, match="only one has n19999999, n20000000"):
        building.build(root, "imagenet")


@pytest.mark.parametrize("source", OFFICIAL)
def test_a_listed_image_that_is_absent(made, tmp_path, no_md5s, source):
    """An error or left out, as asked. Every copy of Birdsnap lacks some: left out, with a note."""
    root = made(source).unpacked(tmp_path / "set")
    victim = next(
        row["path"]
        for row in made(source).truth
        if row["split"] == "val" and int(row["label"]) < CLASSES - 1
    )
    (root / victim).unlink()
    if source != "birdsnap":
        with pytest.raises(JobError) as caught:
            building.build(root, source, report=tmp_path / "report.md")
        assert f"{root / victim}: is listed, but missing" in str(caught.value)
        assert victim in (tmp_path / "report.md").read_text(encoding="utf-8")
    again = building.build(root, source, on_bad="exclude")
    assert rows_of(again) == {
        p: row for p, row in rows_of(made(source).manifest).items() if p != victim
    }
    assert any("left out as bad: 1 absent" in n or "this copy lacks" in n for n in again.notes)


@pytest.mark.parametrize("source", OFFICIAL)
def test_an_image_that_no_list_names(made, tmp_path, no_md5s, source):
    """An error where the official lists name every image; else only reported (Pets, Birdsnap).

    ImageNet has no list of its training images, so the image goes to val.
    """
    root = made(source).unpacked(tmp_path / "set")
    folders = {"imagenet": "val", "fashion-mnist": "val", "cars": "cars_test", "flowers": "jpg"}
    folders["tiny-imagenet"] = "val/images"
    folder = folders.get(source, "images")
    textured(30, 30, 77).save(root / folder / "stränger.jpg")
    if source in ("pets", "birdsnap"):
        data = building.build(root, source, report=tmp_path / "report.md")
    else:
        with pytest.raises(JobError, match=r"stränger\.jpg: is in an image folder, but not listed"):
            building.build(root, source)
        data = building.build(root, source, on_bad="exclude", report=tmp_path / "report.md")
        assert any("left out as bad: 1 unlisted" in n for n in data.notes)
    assert rows_of(data) == rows_of(made(source).manifest)
    assert f"- `{folder}/stränger.jpg`" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_bad_images_stop_or_are_left_out(made, tmp_path):
    root, report = made("imagefolder").unpacked(tmp_path / "set"), tmp_path / "report.md"
    paths = sorted(
        p for p, (_, split) in rows_of(made("imagefolder").manifest).items() if split == "train"
    )
    cut, text, empty, original, copy = (root / p for p in (*paths[:4], paths[-1]))
    cut.write_bytes(cut.read_bytes()[:200])
    text.write_text("hello")
    empty.write_bytes(b"")
    shutil.copy(original, copy)
    shutil.copy(original, root / "val" / "bar-blue" / "copy.jpg")
    with pytest.raises(JobError) as caught:
        building.build(root, report=report)
    for file in (cut, text, empty):
        assert f"{file}: cannot be decoded" in str(caught.value)
    stopped = report.read_text(encoding="utf-8")
    data = building.build(root, on_bad="exclude", report=report)
    assert rows_of(data).keys() == rows_of(made("imagefolder").manifest).keys() - set(paths[:3]) | {
        "val/bar-blue/copy.jpg"
    }
    assert data.notes == ("image folder: left out as bad: 3 unreadable.",)
    assert "Stopped by 3 bad file(s)" in stopped
    for page in (stopped, report.read_text(encoding="utf-8")):
        assert "## unreadable (3)" in page
        assert f"- `{paths[-1]}`: as {paths[3]}, under another label" in page
        assert f"- `val/bar-blue/copy.jpg`: as {paths[3]}, under the other split" in page
    data.save(tmp_path / "m.npz")
    assert manifest.load(tmp_path / "m.npz").notes == data.notes


def test_a_birdsnap_image_of_other_content_than_its_list_says(made, tmp_path):
    root = made("birdsnap").unpacked(tmp_path)
    textured(30, 30, 5).save(root / "images/bar_green/7.jpg")
    with pytest.raises(JobError, match=r"bar_green/7\.jpg: is not the listed image"):
        building.build(root, "birdsnap")
    data = building.build(root, "birdsnap", on_bad="exclude")
    assert "images/bar_green/7.jpg" not in rows_of(data)
    assert any("left out as bad: 1 altered" in n for n in data.notes)


def test_a_split_without_a_usable_image(made, tmp_path):
    root = made("imagefolder").unpacked(tmp_path)
    for file in (root / "val").rglob("*.jpg"):
        file.write_bytes(b"")
    with pytest.raises(JobError, match="no usable images in val"):
        building.build(root, on_bad="exclude")
