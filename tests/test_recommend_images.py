"""What the command `recommend` says of a folder of images that does not fit."""

import argparse
from pathlib import Path

import pytest

from fixres.data import image_files
from fixres.jobs import JobError
from fixres.recommend import name_of
from fixres.recommend.images import look_at_images


def arguments(root: Path, **over) -> argparse.Namespace:
    words = {"images": str(root), "source": "imagefolder", "split": None, "classes": None}
    return argparse.Namespace(**words | {"train": False} | over)


def folder(root: Path, *parts: str, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    for part in parts:
        for name in classes:
            (root / part / name).mkdir(parents=True)
            (root / part / name / "1.jpg").touch()
    return root


def test_a_folder_that_fits(tmp_path):
    root = folder(tmp_path, "train", "val")
    dataset, sizes = look_at_images(arguments(root), outputs=2)
    assert dataset == {"source": "imagefolder", "root": str(root)}
    assert sizes == (2, 2)


def test_wordnet_ids_are_imagenets_classes(tmp_path):
    root = folder(tmp_path, "train", "val", classes=("n01440764", "n01443537"))
    dataset, _ = look_at_images(arguments(root), outputs=1000)
    assert dataset["classes"] == "imagenet"


@pytest.mark.parametrize(
    ("parts", "over", "message"),
    [
        (("train",), {}, "found train/ alone; expected train/ and val/"),
        ((".",), {}, "found cat, dog; expected train/ and val/ .* is split by --split 0.2"),
        (("train", "val"), {"split": 0.2}, "--split 0.2: .* has train/ and val/ already"),
        (("train", "val"), {}, "network has 1000 classes, the folder 2 .*cat, dog.* --train"),
        (("train", "val"), {"images": "/no/such"}, "no folder /no/such"),
        (("train", "val"), {"source": "cars"}, "--source cars: give --train, too"),
    ],
)
def test_a_folder_that_does_not_fit(tmp_path, parts, over, message):
    root = folder(tmp_path, *parts)
    with pytest.raises(JobError, match=message):
        look_at_images(arguments(root, **over), outputs=1000)


def test_a_split_counts_what_it_would_give(tmp_path):
    root = folder(tmp_path, ".", classes=tuple("abcdefghij"))
    dataset, sizes = look_at_images(arguments(root, split=0.2), outputs=10)
    assert sizes == (8, 2)
    assert dataset["split"] == 0.2


def test_names_are_made_of_network_and_folder():
    assert name_of("timm:resnet50.a1_in1k", "/data/my photos") == "resnet50-my-photos"
    assert name_of("python:pkg.mod:make net", "x") == "make-net-x"


def test_what_is_skipped_is_said_at_the_plan(tmp_path, capsys):
    root = folder(tmp_path, "train", "val")
    (root / "train/cat/2.heic").touch()
    (root / "val/.cache").mkdir()
    assert look_at_images(arguments(root), outputs=2)[1] == (2, 2)
    assert f"{root}: skipped: 1 .heic, 1 hidden" in capsys.readouterr().out


def test_an_empty_class_is_named_at_the_plan(tmp_path):
    root = folder(tmp_path, "train", "val")
    (root / "val/dog/1.jpg").unlink()
    with pytest.raises(JobError, match="val/dog: empty class"):
        look_at_images(arguments(root), outputs=2)


def test_a_format_that_this_pillow_cannot_read_is_said_at_the_plan(tmp_path, monkeypatch):
    def load(content):
        raise image_files.UnsupportedError("this Pillow cannot read WebP")

    monkeypatch.setattr(image_files, "load", load)
    root = folder(tmp_path, "train", "val")
    look_at_images(arguments(root), outputs=2)  # JPEG needs no library
    (root / "train/cat/2.webp").touch()
    with pytest.raises(JobError, match=r"train/cat/2\.webp: this Pillow cannot read WebP"):
        look_at_images(arguments(root), outputs=2)
