"""One walk through folders, for counting, splitting, listing and for the inventory."""

import os
import socket
from pathlib import Path

import pytest

from fixres.data import building, inventory, sources, walk
from fixres.graph.costs import images_of
from fixres.graph.pages import Images
from fixres.jobs import JobError
from shared import textured

IMAGES = 3  # of each class and split


@pytest.fixture
def root(tmp_path):
    """An image folder."""
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            folder = tmp_path / "set" / split / name
            folder.mkdir(parents=True)
            for i in range(IMAGES):
                textured(20, 24, i).save(folder / f"{i}.png")
    return tmp_path / "set"


def listed(root: Path) -> sources.Listing:
    return sources.load("imagefolder").read(root)


def test_links_that_form_a_loop_end(root):
    """No folder is read twice, and none above a class: its images would be another class's."""
    (root / "train/cat/here").symlink_to(".")
    (root / "train/cat/above").symlink_to("..")
    (root / "train/cat/top").symlink_to(root.resolve().parent)
    (root / "train/dog/more").mkdir()
    textured(20, 24).save(root / "train/dog/more/a.png")
    for name in ("linked", "linked again"):
        (root / "train/dog" / name).symlink_to("more")
    listing = listed(root)
    assert len(listing.images) == 4 * IMAGES + 1
    assert ("train/dog/more/a.png", 1, 0) in listing.images  # under its own folder
    # `top` is above; what else is below it was not read from there.
    assert listing.skipped == {walk.AGAIN: 5}
    names = [path.decode() for path in inventory.take(root, sources.load("imagefolder")).path]
    assert sorted(names) == sorted(path for path, _, _ in listing.images)


def test_a_folder_that_is_linked_from_elsewhere_is_read(root, tmp_path):
    (root / "train/cat").rename(tmp_path / "cats")
    (root / "train/cat").symlink_to(tmp_path / "cats")
    (root / "train/dog/0.png").rename(tmp_path / "a dog.png")
    (root / "train/dog/0.png").symlink_to(tmp_path / "a dog.png")
    assert len(listed(root).images) == 4 * IMAGES
    assert not listed(root).skipped


@pytest.mark.parametrize("place", ["train", "train/cat", "train/cat/more"])
def test_a_folder_that_cannot_be_read_is_an_error_that_names_it(root, monkeypatch, place):
    (root / "train/cat/more").mkdir()
    scandir = os.scandir

    def refusing(folder):
        if str(folder) == str(root / place):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    message = rf"{root / place}: cannot be read \(Permission denied\)\. Make it readable, or remove"
    for look in (listed, lambda root: inventory.take(root, sources.load("imagefolder"))):
        with pytest.raises(JobError, match=message):
            look(root)


def test_what_is_skipped_is_counted_and_told(root, tmp_path):
    for name in (".git", "cat/.thumbnails"):
        (root / "train" / name).mkdir()
        textured(20, 24).save(root / "train" / name / "a.png")
    textured(20, 24).save(root / "train" / "beside.png")
    for name in ("a.HEIC", "b.heic", "notes.txt", "README", ".DS_Store"):
        (root / "train/dog" / name).write_text("hello")
    os.mkfifo(root / "train/dog/pipe.jpg")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(root / "val/dog/s.png"))
    report = tmp_path / "report.md"
    data = building.build(root, report=report)
    assert data.classes == ("cat", "dog")
    assert len(data.path) == 4 * IMAGES
    counts = (
        "3 hidden, 2 .heic, 2 pipes, sockets or devices, 1 .txt, "
        "1 outside the class folders, 1 without an ending"
    )
    assert data.notes == (f"image folder: skipped: {counts}.",)
    assert f"Skipped: {counts}." in report.read_text(encoding="utf-8")


def test_where_nothing_is_skipped_nothing_is_said(root, tmp_path):
    (root / "README").write_text("hello")  # beside train/ and val/
    data = building.build(root, report=tmp_path / "report.md")
    assert not data.notes
    assert "Skipped" not in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_empty_classes_are_named_with_what_was_skipped(root):
    for name in ("eel", "fox"):
        (root / "train" / name).mkdir()
        (root / "train" / name / "a.heic").touch()
    expected = rf"{root}/train/eel, {root}/train/fox: empty class .*2 \.heic.*JPEG, PNG.* or remove"
    with pytest.raises(JobError, match=expected):
        listed(root)


@pytest.mark.parametrize("name", [b"\xe9.png", b"\xe9/a.png"])
def test_a_name_that_is_not_utf8_is_refused_before_anything_is_written(root, tmp_path, name):
    file = os.path.join(os.fsencode(root / "train/cat"), name)
    os.makedirs(os.path.dirname(file), exist_ok=True)
    os.rename(root / "train/cat/0.png", file)
    with pytest.raises(JobError, match=r"train/cat/\\udce9.*: the name is not UTF-8\. Rename it"):
        building.build(root, report=tmp_path / "report.md")
    assert not (tmp_path / "report.md").exists()


def test_a_link_to_nothing_is_listed_and_named(root):
    (root / "train/cat/gone.png").symlink_to("nowhere.png")
    with pytest.raises(JobError, match=r"gone\.png: is listed, but missing"):
        building.build(root)


def test_the_plan_counts_what_is_listed(root, tmp_path):
    (root / "train/cat/loop").symlink_to("..")
    (root / "train/beside.png").symlink_to("cat/0.png")

    def counted(folder: Path, split: float | None) -> tuple[int, int] | None:
        given = {"rendered": None, "limit": {}, "folder": str(folder), "split": split}
        return images_of("mine", Images(source="imagefolder", **given), tmp_path)

    assert counted(root, None) == (2 * IMAGES, 2 * IMAGES)
    listing = sources.picked(sources.load("imagefolder"), {"split": 0.5}).read(root / "train")
    val = int(listing.split.sum())
    assert counted(root / "train", 0.5) == (2 * IMAGES - val, val)
    assert counted(tmp_path / "nowhere", None) is None


def test_a_set_whose_folder_cannot_be_searched_is_named(root, monkeypatch):
    def refusing(path, **_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refusing)
    with pytest.raises(JobError, match=rf"{root}/train: cannot be read \(Permission denied\)"):
        building.build(root)
