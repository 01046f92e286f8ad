"""Boxes around objects: Tiny-ImageNet's lists, against other readers and against what is drawn."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from layouts_shared import LOOK, rows_of
from test_lists_at_odds import edit

from fixres.data import building
from fixres.data.rendered import pinhole, twins
from fixres.jobs import JobError

TRAIN = "train/n20000037/n20000037_boxes.txt"  # of the second class
VAL = "val/val_annotations.txt"


def test_tiny_imagenet_agrees_with_other_readers(made, tmp_path):
    """Labels as torchvision and pandas read them; boxes within a pixel of what is drawn."""
    from torchvision.datasets import ImageFolder

    twin = made("tiny-imagenet")
    root = twin.unpacked(tmp_path)
    train = ImageFolder(str(root / "train"))
    theirs = {os.path.relpath(path, root): (label, "train") for path, label in train.samples}
    columns = ["name", "wnid", "x0", "y0", "x1", "y1"]
    val = pd.read_csv(root / VAL, sep="\t", names=columns)
    theirs |= {
        f"val/images/{name}": (train.class_to_idx[wnid], "val")
        for name, wnid in zip(val["name"], val["wnid"], strict=True)
    }
    assert theirs == rows_of(twin.manifest)
    assert tuple(train.classes) == twin.manifest.classes
    listed = (root / "wnids.txt").read_text().split()
    assert listed != sorted(listed)  # as officially
    pixels = dict(zip(twin.manifest.path.tolist(), twin.manifest.box.tolist(), strict=True))
    for name, _, *first_and_last in val.itertuples(index=False):
        x0, y0, x1, y1 = first_and_last
        assert pixels[f"val/images/{name}".encode()] == [x0, y0, x1 + 1, y1 + 1]


def test_boxes_are_around_what_is_drawn(made):
    """Within a pixel, and never within the object."""
    twin = made("tiny-imagenet")
    found = dict(zip(twin.manifest.path.tolist(), twin.manifest.box, strict=True))
    for row, item in zip(twin.truth, twins.items(LOOK), strict=True):
        drawn = pinhole.render(item.shows, item.split, item.index, LOOK).box
        outside = np.array([1, 1, -1, -1]) * (64 * np.array(drawn) - found[row["path"].encode()])
        assert outside.min() >= -1e-4
        assert outside.max() <= 1


@pytest.mark.parametrize("lacking", ["one list", "all lists"])
def test_training_images_without_a_list_of_boxes(made, tmp_path, lacking):
    """Some copies lack them. The labels are the same, and no note speaks of skipped files."""
    twin = made("tiny-imagenet")
    root = twin.unpacked(tmp_path)
    for file in [root / TRAIN] if lacking == "one list" else root.glob("train/*/*_boxes.txt"):
        file.unlink()
    data = building.build(root, "tiny-imagenet")
    assert rows_of(data) == rows_of(twin.manifest)
    assert not any("skipped" in note for note in data.notes)
    without = np.isnan(data.box).all(axis=1)
    assert np.array_equal(np.isnan(data.object_size), without)
    train = data.rows("train")
    expected = data.label[train] == 1 if lacking == "one list" else np.ones(len(train), bool)
    assert np.array_equal(without[train], expected)
    assert not without[data.rows("val")].any()


def test_validation_images_in_class_folders_are_an_image_folder(made, tmp_path):
    """A common re-arrangement; the list may stay beside the folders."""
    twin = made("tiny-imagenet")
    root = twin.unpacked(tmp_path)
    for line in (root / VAL).read_text().splitlines():
        name, wnid = line.split()[:2]
        (root / "val" / wnid).mkdir(exist_ok=True)
        shutil.move(root / "val/images" / name, root / "val" / wnid / name)
    (root / "val/images").rmdir()
    data = building.build(root, "tiny-imagenet")

    def by_name(found) -> dict:
        return {Path(path).name: row for path, row in rows_of(found).items()}

    assert by_name(data) == by_name(twin.manifest)
    assert np.isfinite(data.box[data.rows("train")]).all()


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("wnids.txt", "n20000037", "n20000038", "only one of them has n20000037, n20000038"),
        (VAL, "\tn20000037\t", "\tn1\t", "found the class n1 of val_1.JPEG, expected one of wnids"),
        (VAL, "\tn20000037\t", "\t", "line 2: found 'val_1.JPEG"),
        (TRAIN, "_0.JPEG\t", "_0.JPEG\tx", "cannot be read (ValueError"),
        (TRAIN, "_0.JPEG\t", "_0.JPEG\t-", "expected first and last pixel from 0 to 63"),
        (TRAIN, "_0.JPEG\t", "_0.JPEG\t6", "expected first and last pixel from 0 to 63"),
        (TRAIN, "_0.JPEG\t", "_0.JPEG", "expected 5 columns"),
    ],
)
def test_lists_that_make_no_sense(made, tmp_path, file, old, new, expected):
    root = made("tiny-imagenet").unpacked(tmp_path)
    edit(root / file, old, new)
    with pytest.raises(JobError) as caught:
        building.build(root, "tiny-imagenet")
    assert expected in str(caught.value)
    assert str(root / (file if "only one" not in expected else "train")) in str(caught.value)


def test_a_missing_list_of_validation_images_names_both_ways_out(made, tmp_path):
    root = made("tiny-imagenet").unpacked(tmp_path)
    (root / VAL).unlink()
    with pytest.raises(JobError, match=r"no such file .*a folder for each class.*unpack"):
        building.build(root, "tiny-imagenet")


def test_a_zip_that_is_cut_short(made, tmp_path, no_md5s):
    """Even where no checksum tells."""
    name, root = "tiny-imagenet-200.zip", tmp_path / "root"
    root.mkdir()
    content = (made("tiny-imagenet").root / name).read_bytes()
    (root / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(JobError, match=rf"{name}: cut short or damaged .*; get it again"):
        building.build(root, "tiny-imagenet", tmp_path / "work")
