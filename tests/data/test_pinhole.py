"""The rendered set and its manifest: the imaging model of §3.1, determinism, bad data."""

import hashlib
import json
import math
import shutil

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest, kstest

from fixres.artifacts import manifest
from fixres.data import building
from fixres.data.rendered import pinhole, twins
from fixres.jobs import JobError
from shared import SETTINGS, fixres, textured

LOOK = {
    "shorter_side": [88, 120],
    "r1_median": 0.25,
    "r1_sigma": 0.35,
    "r1_largest": 0.46,
    "off_centre": 0.08,
    "jpeg_quality": 90,
}


def files(folder):
    """path -> content of every image."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.jpg")}


def test_an_image_depends_on_its_own_number_alone(tmp_path):
    """Any number of processes, and a larger set, give the same files."""
    twins.write("imagefolder", tmp_path / "a", SETTINGS, processes=1)
    twins.write("imagefolder", tmp_path / "b", SETTINGS | {"train_images": 240}, processes=3)
    assert files(tmp_path / "a").items() <= files(tmp_path / "b").items()


def test_images_are_those_that_they_have_always_been():
    """A hash of 48 images and sizes, computed when the suite had only these 24 classes."""
    settings, h = SETTINGS | LOOK | {"seed": 0}, hashlib.sha256()
    for split in ("train", "val"):
        for index in range(24):
            pixels, r, _ = pinhole.render(index, split, index, settings)
            h.update(pixels.tobytes() + np.float64(r).tobytes())
    assert h.hexdigest() == "777de4b502477d526e1a347a699f8f003bebb938bb0955c94ffe160033c3cc4c"


def test_wrong_tags_change_where_images_are_filed_and_nothing_else(tmp_path):
    """`mislabelled`: the same images, but the given share of the training images under another
    class."""
    clean = twins.items(SETTINGS | {"train_images": 4000})
    noisy = twins.items(SETTINGS | {"train_images": 4000, "mislabelled": 0.3})
    assert [(i.split, i.index, i.shows) for i in clean] == [
        (i.split, i.index, i.shows) for i in noisy
    ]
    wrong = [i for i in noisy if i.label != i.shows]
    assert {i.split for i in wrong} == {"train"}
    assert binomtest(len(wrong), 4000, 0.3).pvalue > 0.001
    assert len({(i.shows, i.label) for i in wrong}) > 24 * 23 / 2
    twins.write("imagefolder", tmp_path / "a", SETTINGS)
    twins.write("imagefolder", tmp_path / "b", SETTINGS | {"mislabelled": 0.3})
    assert files(tmp_path / "a").keys() != files(tmp_path / "b").keys()
    assert set(files(tmp_path / "a").values()) == set(files(tmp_path / "b").values())


def test_apparent_sizes_follow_the_imaging_model():
    """§3.1.1: r = sqrt(HW) · r1, and ln r1 is normal. The object really covers r × r pixels."""
    settings = SETTINGS | {"r1_largest": 10.0, "r1_median": 0.3, "r1_sigma": 0.2}
    logs, covered = [], []
    for index in range(400):
        pixels, r, _ = pinhole.render(index % 24, "train", index, settings)
        logs.append(math.log(r / math.sqrt(pixels.shape[0] * pixels.shape[1])))
    assert kstest((np.array(logs) - math.log(0.3)) / 0.2, "norm").pvalue > 0.001
    for silhouette in pinhole.SILHOUETTES:
        for r in (12.0, 30.0):
            _, _, coverage = pinhole.shape_mask(pinhole.outline(silhouette) * r + 60, 120, 120)
            covered.append(coverage.sum() / r**2)
    assert np.allclose(covered, 1, atol=0.1)


def test_classes_are_even_and_images_are_jpeg(tiny):
    for split in ("train", "val"):
        counts = np.bincount(tiny.label[tiny.rows(split)], minlength=24)
        assert set(counts) == {len(tiny.rows(split)) // 24}
    with Image.open(tiny.files(np.array([0]))[0]) as image:
        assert image.format == "JPEG"


def test_the_manifest_is_what_torchvisions_imagefolder_sees(tiny):
    from torchvision.datasets import ImageFolder

    for split in ("train", "val"):
        folder, rows = ImageFolder(tiny.folder / split), tiny.rows(split)
        assert tuple(folder.classes) == tiny.classes
        assert folder.samples == list(zip(tiny.files(rows), tiny.label[rows].tolist(), strict=True))
        for (file, _), row in zip(folder.samples, rows, strict=True):
            with Image.open(file) as image:
                assert image.size == (tiny.width[row], tiny.height[row])


def test_a_manifest_survives_its_file(tmp_path, tiny):
    tiny.save(tmp_path / "m.npz")
    again = manifest.load(tmp_path / "m.npz")
    assert again.digest() == tiny.digest()
    assert (again.classes, again.notes) == (tiny.classes, tiny.notes)
    assert again.files(np.arange(3)) == tiny.files(np.arange(3))
    assert np.nanmax(again.object_size) > 0
    data = bytearray((tmp_path / "m.npz").read_bytes())
    data[len(data) // 2] ^= 255
    (tmp_path / "m.npz").write_bytes(data)
    with pytest.raises(JobError, match=r"m\.npz: damaged"):
        manifest.load(tmp_path / "m.npz")


@pytest.fixture
def folder(tmp_path):
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            textured(30, 40).save(tmp_path / split / name / "a b.jpg")
    return tmp_path


def spoil(folder, how):
    if how == "empty class":
        (folder / "val" / "dog" / "a b.jpg").unlink()
    elif how == "one class":
        for split in ("train", "val"):
            shutil.rmtree(folder / split / "dog")
    elif how == "no val":
        shutil.rmtree(folder / "val")
    elif how == "other classes":
        (folder / "val" / "dog").rename(folder / "val" / "wolf")
    elif how == "truncated":
        file = folder / "train" / "cat" / "a b.jpg"
        file.write_bytes(file.read_bytes()[:300])
    elif how == "not an image":
        (folder / "train" / "cat" / "notes.jpg").write_text("hello")


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("empty class", ["val/dog", "empty class"]),
        ("one class", ["train", "got 1 class folder(s), expected at least 2"]),
        ("no val", ["missing: val", "found:   train"]),
        ("other classes", ["different classes", "dog, wolf"]),
        ("truncated", ["train/cat/a b.jpg", "cannot be decoded"]),
        ("not an image", ["train/cat/notes.jpg", "cannot be decoded"]),
    ],
)
def test_bad_data_are_named(folder, how, expected):
    spoil(folder, how)
    with pytest.raises(JobError) as caught:
        building.build(folder)
    for part in expected:
        assert part in str(caught.value)


def test_the_job_says_it_in_one_message(folder, tmp_path_factory):
    spoil(folder, "truncated")
    out = tmp_path_factory.mktemp("out")
    config = {"stage": "manifest", "source": "imagefolder", "on_bad": "stop"}
    (out / "config.json").write_text(json.dumps(config | {"checksums": "published"}))
    paths = ["--config", out / "config.json", "--root", folder, "--out", out / "manifest.npz"]
    result = fixres("manifest", *paths, "--threads", 1)
    assert result.returncode == 1
    assert "a b.jpg" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (out / "manifest.npz").exists()
    assert "## unreadable (1)" in (out / "report.md").read_text()


def test_images_smaller_than_the_crop_are_told(shapes):
    [line] = manifest.enlarged(shapes, "val", 64)
    assert "4é.jpg (200×3)" in line
    assert manifest.enlarged(shapes, "val", 1) == []
