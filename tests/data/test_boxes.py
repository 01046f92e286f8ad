"""Boxes around objects: Tiny-ImageNet's lists and ImageNet's XML files, against what is drawn."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from layouts_shared import LOOK, rows_of
from test_lists_at_odds import edit

from fixres.data import building, inventory, sources
from fixres.data.rendered import pinhole, twins
from fixres.data.sources import boxes
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
        ("wnids.txt", "n20000037", "n20000038", "only one has n20000037, n20000038"),
        (
            VAL,
            "\tn20000037\t",
            "\tn1\t",
            "unknown class of val_1.JPEG (got n1, expected one of wnids",
        ),
        (VAL, "\tn20000037\t", "\t", "line 2: wrong number of columns (got 'val_1.JPEG"),
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
    with pytest.raises(JobError, match=r"no such file .*class folders.*Unpack"):
        building.build(root, "tiny-imagenet")


def test_a_zip_that_is_cut_short(made, tmp_path, no_md5s):
    """Even where no checksum tells."""
    name, root = "tiny-imagenet-200.zip", tmp_path / "root"
    root.mkdir()
    content = (made("tiny-imagenet").root / name).read_bytes()
    (root / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(JobError, match=rf"{name}: truncated or damaged .*\. Get it again"):
        building.build(root, "tiny-imagenet", tmp_path / "work")


# --- ImageNet -----------------------------------------------------------------------------------


def test_imagenets_boxes_are_those_of_the_largest_object(made):
    """Within half a pixel of the 500×375 that the files speak of. Half of the images have none."""
    twin = made("imagenet")
    data = twin.manifest
    rows = {path: row for row, path in enumerate(data.path.tolist())}
    for listed, item in zip(twin.truth, twins.items(LOOK), strict=True):
        row = rows[listed["path"].encode()]
        if item.split == "train" and item.index % 2:
            assert np.isnan(data.box[row]).all()
            continue
        shares = data.box[row] / np.array([data.width[row], data.height[row]] * 2)
        drawn = pinhole.render(item.shows, item.split, item.index, LOOK).box
        assert (np.abs(shares - drawn) * [500, 375, 500, 375]).max() <= 0.501


def test_imagenet_without_boxes_has_none(made, tmp_path):
    """They are optional; and boxes that were taken away are not read any more."""
    twin, root = made("imagenet"), tmp_path / "root"
    shutil.copytree(twin.root, root)
    (root / "objects.csv").unlink()

    def build():
        return building.build(root, "imagenet", tmp_path / "work", checksums="listed")

    data = build()
    known = np.isfinite(data.box).all(axis=1)
    assert known.sum() == 24 + 24
    assert np.isfinite(data.object_size[known]).all()
    assert np.isnan(data.object_size[~known]).all()
    for file in root.glob("*bbox*"):
        file.unlink()
    without = build()
    assert without.box is None
    assert without.digest() == data.digest()


def test_boxes_that_come_or_go_are_seen_by_relist(made):
    source = sources.load("imagenet")
    archives = {os.fsdecode(path) for path in inventory.take(made("imagenet").root, source).path}
    assert {"ILSVRC2012_bbox_train_v2.tar.gz", "ILSVRC2012_bbox_val_v3.tgz"} <= archives
    unpacked = inventory.take(made("imagenet").manifest.folder, source).path
    assert sum(path.endswith(b".xml") for path in unpacked) == 24 + 24


def test_what_is_missing_is_apart_from_what_is_optional(tmp_path):
    with pytest.raises(JobError) as caught:
        building.build(tmp_path, "imagenet")
    assert "  missing: ILSVRC2012_img_val.tar" in str(caught.value)
    optional = "  optional: ILSVRC2012_bbox_val_v3.tgz or, unpacked, boxes/val"
    assert optional in str(caught.value)


def xml(size: str = "500 375", box: str = "10 20 110 220") -> str:
    width, height = size.split()
    edges = zip(("xmin", "ymin", "xmax", "ymax"), box.split(), strict=True)
    box = "".join(f"<{name}>{edge}</{name}>" for name, edge in edges)
    size = f"<size><width>{width}</width><height>{height}</height></size>"
    return f"<annotation>{size}<object><bndbox>{box}</bndbox></object></annotation>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (xml(), (0.02, 20 / 375, 0.22, 220 / 375)),
        (xml(box="110 220 10 20"), (0.02, 20 / 375, 0.22, 220 / 375)),
        (xml(box="-5 0 700 375"), (0, 0, 1, 1)),
        (xml(box="10 20 10 220"), None),
        (xml(box="600 20 700 220"), None),
        ("<annotation><size><width>5</width><height>3</height></size></annotation>", None),
    ],
)
def test_a_box_in_xml(tmp_path, text, expected):
    (tmp_path / "a.xml").write_text(text)
    assert boxes.largest(tmp_path / "a.xml") == (expected and pytest.approx(expected))


ENTITIES = "<!DOCTYPE a [<!ENTITY b 'bb'><!ENTITY c '&b;&b;'>]>"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (xml()[:-20].encode(), "ParseError"),
        (b"", "ParseError"),
        (xml(box="a 2 3 4").encode(), "ValueError"),
        (xml(size="0 375").encode(), "got the size 0"),
        (b"<annotation></annotation>", "ValueError"),
        ((ENTITIES + xml(box="&c; 2 3 4")).encode(), "got a document type, expected none"),
        ((ENTITIES + xml()).encode("utf-16"), "got a document type, expected none"),
        (xml().encode() + b" " * 1_000_000, "expected at most 1000000"),
    ],
)
def test_xml_that_makes_no_sense_or_is_unsafe(tmp_path, content, expected):
    file = tmp_path / "a.xml"
    file.write_bytes(content)
    with pytest.raises(JobError) as caught:
        boxes.largest(file)
    assert str(caught.value).startswith(f"{file}: cannot be read (")
    assert expected in str(caught.value)
