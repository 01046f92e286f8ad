"""What the command `recommend` says of a folder of images that does not fit."""

import argparse
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timm.utils.misc import natural_key

from fixres import paper
from fixres.config import ConfigError, load
from fixres.config.datasets import Dataset
from fixres.data import image_files, sources
from fixres.data.sources import Listing, imagefolder
from fixres.data.sources.picked import split_by, whole_folder
from fixres.graph.classes import absent_classes, natural, read_classes
from fixres.graph.enough import Counted
from fixres.jobs import JobError
from fixres.recommend import name_of
from fixres.recommend.images import count_leaked, look_at_images, one_sided
from shared import ROOT


def arguments(root: Path, **over) -> argparse.Namespace:
    words = {"images": str(root), "source": "imagefolder", "split": None, "classes": None}
    return argparse.Namespace(**words | {"train": False, "labels": None, "only": None} | over)


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
        (("train",), {}, r"got train/ alone, expected val/.* --images .*/train --split 0\.2"),
        ((), {}, r"no folders \(expected train/CLASS/\* and val/CLASS/\*, or CLASS/\* alone"),
        (("val",), {"split": 0.2}, "got .* with val/, .* Give --images .*/val, or leave --split"),
        (("val",), {"train": True}, "--train: no training images .*expected train/ and val/"),
        ((".",), {"train": True}, "--train: no training images .* --labels with --split"),
        (("train", "val"), {"split": 0.2}, "--split 0.2: .* with train/ and val/, .* Leave it"),
        (("train", "val"), {}, "network has 1000 classes, but the folder 2 .*cat, dog.* --train"),
        (
            ("train", "val"),
            {"source": "cars"},
            r"--source cars: .*order of classes is not known.* --classes release; .* --train",
        ),
        (("train", "val"), {"classes": "/no/such"}, "--classes: no such file .*'/no/such'"),
        (("train", "val"), {"classes": "imagenet"}, "lacks 2 of the 2 class folders: cat, dog"),
    ],
)
def test_a_folder_that_does_not_fit(tmp_path, parts, over, message):
    root = folder(tmp_path, *parts)
    with pytest.raises((JobError, ConfigError), match=message):
        look_at_images(arguments(root, **over), outputs=1000)


@pytest.mark.parametrize(("part", "key"), [(".", {"split": 1.0}), ("val", {"only": "val"})])
def test_class_folders_alone_are_validation_images(tmp_path, part, key, capsys):
    root = folder(tmp_path, part)
    dataset, sizes = look_at_images(arguments(root), outputs=2)
    assert dataset == {"source": "imagefolder", "root": str(root), **key}
    assert sizes == (0, 2)
    assert "2 validation images, no training images, 2 classes" in capsys.readouterr().out


def test_a_split_counts_what_it_gives(tmp_path):
    root = folder(tmp_path, ".", classes=tuple("abcdefghij"))
    dataset, sizes = look_at_images(arguments(root, split=0.2), outputs=10)
    splits = split_by(0.2, whole_folder(root, 0.2)).split.tolist()
    assert sizes == (splits.count(0), splits.count(1))
    assert dataset["split"] == 0.2


# --- labels in a list ----------------------------------------------------------------------------


def listed(root: Path, *labels: str) -> argparse.Namespace:
    """Images in one folder, and the list of their labels."""
    for i, _ in enumerate(labels):
        (root / f"{i}.jpg").touch()
    file = root.parent / "labels.csv"
    file.write_text("".join(f"{i}.jpg,{label}\n" for i, label in enumerate(labels)))
    return arguments(root, labels=str(file))


@pytest.mark.parametrize(
    ("labels", "outputs", "classes", "said"),
    [
        (("cat", "dog", "cat"), 2, None, "3 validation images, no training images, 2 classes"),
        (("n01440764", "n01443537"), 1000, "imagenet", "2 validation images"),
        (("7", "11"), 12, 12, "labels are numbers; the network's 12 classes count from 0"),
    ],
)
def test_labels_in_a_list_are_the_networks_classes(
    tmp_path, labels, outputs, classes, said, capsys
):
    (tmp_path / "photos").mkdir()
    args = listed(tmp_path / "photos", *labels)
    dataset, sizes = look_at_images(args, outputs)
    assert dataset.get("classes") == classes
    assert (dataset["labels"], dataset["split"], sizes) == (args.labels, 1, (0, len(labels)))
    assert said in capsys.readouterr().out
    absent = absent_classes(Dataset(**dataset), "datasets.photos.classes", outputs)
    assert absent == outputs - len({*labels})


@pytest.mark.parametrize(
    ("labels", "outputs", "over", "message"),
    [
        (("cat", "dog"), 3, {}, "--classes: the network has 3 classes, but the list 2 .cat, dog"),
        (("a2", "a10"), 2, {}, r"order of classes .*got labels that are a10, a2 … when sorted"),
        (("0", "12"), 12, {}, r"lacks 1 of the 2 labels of .*labels\.csv: 12 .*numbers from 0"),
        (("cat", "dog"), 1000, {"classes": "imagenet"}, "lacks 2 of the 2 labels .*WordNet"),
        (("cat", "dog"), 2, {"train": True}, "--train: no training images"),
        (("cat", "dog"), 2, {"source": "imagenet"}, "--labels: given with --source imagenet"),
    ],
)
def test_labels_that_do_not_fit(tmp_path, labels, outputs, over, message):
    (tmp_path / "photos").mkdir()
    args = argparse.Namespace(**vars(listed(tmp_path / "photos", *labels)) | over)
    with pytest.raises((JobError, ConfigError), match=message):
        look_at_images(args, outputs)


# --- official ImageNet ---------------------------------------------------------------------------


def test_imagenets_archives_without_those_for_training(tmp_path):
    args = arguments(tmp_path, source="imagenet")
    with pytest.raises(JobError, match=r"(?s)files are missing .*ILSVRC2012_devkit_t12\.tar\.gz"):
        look_at_images(args, outputs=1000)
    for name in ("ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"):
        (tmp_path / name).touch()
    dataset, sizes = look_at_images(args, outputs=1000)
    assert (dataset["only"], dataset["classes"]) == ("val", "imagenet")
    assert sizes == (0, 50_000)
    with pytest.raises(
        JobError, match=r"--source imagenet: .* not .*ImageNet's classes .*got 21,84"
    ):
        look_at_images(args, outputs=21_841)
    with pytest.raises(JobError, match="--train: no training images"):
        look_at_images(arguments(tmp_path, source="imagenet", train=True), outputs=1000)
    (tmp_path / "ILSVRC2012_img_train.tar").touch()
    dataset, sizes = look_at_images(args, outputs=1000)
    assert "only" not in dataset
    assert sizes == (1_281_167, 50_000)


def archives(root: Path, source: str) -> Path:
    """Empty files by the names of a release's."""
    for part in sources.load(source).parts:
        (root / part.distributed).parent.mkdir(parents=True, exist_ok=True)
        (root / part.distributed).touch()
    return root


@pytest.mark.parametrize("source", [s for s in sources.SOURCES if s != "imagefolder"])
@pytest.mark.parametrize("only", [None, "val"])
def test_a_network_that_knows_the_classes_of_a_release(tmp_path, source, only):
    train, val, n = sources.load(source).published
    args = arguments(archives(tmp_path, source), source=source, only=only, classes="release")
    dataset, sizes = look_at_images(args, outputs=n)
    assert "classes" not in dataset  # the order of its labels, as it is read
    assert dataset.get("only") == only
    assert sizes == (0 if only else train, val)
    with pytest.raises(JobError, match=rf"--classes release: .*got {n + 1:,}, expected {n:,}"):
        look_at_images(args, outputs=n + 1)


def test_a_list_of_classes_in_place_of_the_order_of_a_release(tmp_path):
    """A network that knows 30 classes, of which the release has ten."""
    root, file = archives(tmp_path / "release", "fashion-mnist"), tmp_path / "classes.txt"
    file.write_text("".join(f"class {i}\n" for i in range(30)))
    args = arguments(root, source="fashion-mnist", classes=str(file))
    dataset, _ = look_at_images(args, outputs=30)
    assert dataset["classes"] == str(file)
    assert absent_classes(Dataset(**dataset), "--classes", 30) == 20


@pytest.mark.parametrize(
    ("part", "over", "message"),
    [
        (
            "train",
            {},
            r"--only val: for an image folder with val/ \(got .* without val/\)\. Remove",
        ),
        (".", {"split": 0.5}, "--only val: .* with --split"),
        (".", {"labels": "x.csv"}, "--only val: given with --labels"),
        ("val", {"train": True}, "--train: no training images"),
        ("val", {"classes": "release"}, "--classes release: for an official release"),
    ],
)
def test_validation_images_alone_that_cannot_be_meant(tmp_path, part, over, message):
    with pytest.raises(JobError, match=message):
        look_at_images(arguments(folder(tmp_path, part), only="val", **over), outputs=2)


def test_training_images_are_left_out_when_asked_for(tmp_path, capsys):
    root = folder(tmp_path, "train", "val")
    dataset, sizes = look_at_images(arguments(root, only="val"), outputs=2)
    assert (dataset["only"], sizes) == ("val", (0, 2))
    assert "2 validation images, no training images" in capsys.readouterr().out


# --- the order of the network's classes ----------------------------------------------------------

NUMBERS = tuple(str(n) for n in range(12))


def test_numbers_that_sort_otherwise_as_text_need_a_list(tmp_path):
    """torchvision's reader and timm's would give these folders other labels."""
    root = folder(tmp_path, "train", "val", classes=NUMBERS)
    both = r"got folders that are 0, 1, 10, 11, 2, 3 … when .* and 0, 1, 2, 3, 4, 5 … by .* list"
    with pytest.raises(ConfigError, match=both):
        look_at_images(arguments(root), outputs=12)
    dataset, _ = look_at_images(arguments(root, train=True), outputs=12)
    assert "classes" not in dataset
    (tmp_path / "classes.txt").write_text("\n".join(NUMBERS))
    dataset, _ = look_at_images(arguments(root, classes=f"{tmp_path}/classes.txt"), outputs=12)
    assert dataset["classes"] == f"{tmp_path}/classes.txt"


@pytest.mark.parametrize(
    "classes", [("apple", "Banana"), ("a2", "a10"), tuple(f"{n:04}" for n in range(8, 12))]
)
def test_only_names_that_both_sort_alike_are_an_order(tmp_path, classes):
    root = folder(tmp_path, "train", "val", classes=classes)
    if sorted(classes) == sorted(classes, key=natural_key):
        look_at_images(arguments(root), outputs=len(classes))
    else:
        with pytest.raises(ConfigError, match="order of classes is not known"):
            look_at_images(arguments(root), outputs=len(classes))


@given(st.lists(st.text("aB019. _²é", max_size=6)))
def test_names_sort_by_number_as_timm_sorts_them(names):
    names = [name for name in names if "²" not in name]  # of which timm has no idea
    assert sorted(names, key=natural) == sorted(names, key=natural_key)


def test_published_weights_need_an_order_too(tmp_path):
    """Not only a custom network: Table 1's weights on a folder such as ImageNetV2's, 0 … 999."""
    folder(tmp_path, "train", "val", classes=tuple(str(n) for n in range(1000)))
    photos = {"photos": {"root": str(tmp_path)}}
    over = {"dataset": "photos", "datasets": photos, "twins": False, "resolution_divisor": 1}
    with pytest.raises(ConfigError, match=r"datasets\.photos\.classes: the network's order"):
        paper.plan_of(load(ROOT / "config.yaml", extra=over), paper.TABLES[:1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("caf\xe9\ndog".encode("latin-1"), "line 1: not UTF-8 .*0xe9.* iconv -f latin1"),
        (b"cat\ndog\ncat\n", r"duplicate classes .got cat"),
        (b"cat\ndog\nbird\n", "got 3 names, expected 2"),
        (b"cat\n", "got 1 names, expected 2"),
        (b"cat\nbird\n", "lacks 1 of the 2 class folders: dog"),
        (b"\n \n", "no class in it"),
        ("\N{BYTE ORDER MARK}dog\r\ncat\r\n".encode(), None),  # as Windows' Notepad writes it
    ],
)
def test_a_list_of_classes_is_checked_before_anything_runs(tmp_path, content, message):
    root, file = folder(tmp_path, "train", "val"), tmp_path / "classes.txt"
    file.write_bytes(content)
    if message is None:
        assert read_classes(str(file), "--classes") == ["dog", "cat"]
        look_at_images(arguments(root, classes=str(file)), outputs=2)
        return
    with pytest.raises(ConfigError, match=message):
        look_at_images(arguments(root, classes=str(file)), outputs=2)


# --- what the plan says --------------------------------------------------------------------------


def test_copies_of_training_images_are_counted_at_the_plan(tmp_path):
    """Byte for byte: not those that only have the size of another."""
    root = folder(tmp_path, "train", "val")
    long = bytes(9000)
    contents = {"train/cat/1": b"a", "train/dog/1": long, "val/cat/1": b"a", "val/dog/1": b"b"}
    contents |= {"val/cat/2": b"a", "val/dog/2": long[:4500] + b"1" + long[4501:]}
    for name, content in contents.items():
        (root / f"{name}.jpg").write_bytes(content)
    listing = imagefolder.read(root)
    assert count_leaked(Counted(listing, root)) == 2


def test_classes_that_only_one_part_has_are_named():
    """A split of one image a class puts different classes on either side."""
    images = [("a/1", 0, 0), ("b/1", 1, 1), ("c/1", 2, 0), ("d/1", 3, 1), ("d/2", 3, 0)]
    no_training, no_validation = one_sided(Listing(tuple("abcd"), images, (".", ".")))
    assert no_training.startswith("no training image of 1 classes (b): no fine-tuning can learn")
    assert no_validation.startswith("no validation image of 2 classes (a, c): nothing measures")


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
