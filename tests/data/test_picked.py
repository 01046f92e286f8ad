"""What of a dataset is wanted: the network's classes, a split by a rule, fewer images."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixres import jobs
from fixres.artifacts import manifest
from fixres.data import building, sources
from fixres.data.sources.base import Listing
from fixres.data.sources.picked import in_order, limited, names
from shared import textured

CLASSES = ("cat", "dog", "eel")


def folders(root: Path, *parts: str, images: int = 6) -> Path:
    for part in parts or (".",):
        for name in CLASSES:
            (root / part / name).mkdir(parents=True)
            for i in range(images):
                textured(20, 24).save(root / part / name / f"{i}.png")
    return root


def built(root: Path, **wanted) -> manifest.Manifest:
    return building.build(root, sources.picked(sources.load("imagefolder"), wanted))


def paths(data: manifest.Manifest, split: str) -> set[bytes]:
    return set(data.path[data.rows(split)].tolist())


def test_a_split_follows_from_the_paths_alone(tmp_path):
    root = folders(tmp_path, images=30)
    data = built(root, split=0.3)
    assert data.classes == CLASSES
    assert len(data.path) == 90
    assert 15 < len(data.rows("val")) < 40
    before = paths(data, "val")
    for i in range(30, 60):
        textured(20, 24).save(root / "cat" / f"{i}.png")
    after = built(root, split=0.3)
    assert before == {path for path in paths(after, "val") if int(Path(path.decode()).stem) < 30}


def test_a_split_of_a_folder_that_has_one_is_an_error(tmp_path):
    with pytest.raises(jobs.JobError, match=r"got train and val with datasets\..*split 0\.2"):
        built(folders(tmp_path, "train", "val"), split=0.2)


def test_a_share_of_the_training_images_has_a_wrong_class(tmp_path):
    """Another class than its own, each about as often, and the rest is as it was."""
    root = folders(tmp_path, "train", "val", images=60)
    right, wrong = built(root), built(root, mislabelled=0.25)
    assert np.array_equal(right.path, wrong.path)
    differ = right.label != wrong.label
    assert not differ[wrong.rows("val")].any()
    assert 0.15 < differ[wrong.rows("train")].mean() < 0.35
    moved = (wrong.label - right.label)[differ] % len(CLASSES)
    assert set(moved.tolist()) == {1, 2}
    few = built(root, mislabelled=0.1).label != right.label
    assert differ[few].all()  # a larger share adds to them


def test_labels_are_the_networks(tmp_path):
    data = built(folders(tmp_path, "train", "val"), classes=["eel", "ant", "dog", "cat"])
    assert data.classes == ("eel", "ant", "dog", "cat")
    by_name = {path.decode().split("/")[1]: label for path, label in zip(data.path, data.label)}  # noqa: B905
    assert by_name == {"eel": 0, "dog": 2, "cat": 3}


def test_a_class_that_the_network_does_not_know_is_an_error_that_shows_both(tmp_path):
    with pytest.raises(
        jobs.JobError,
        match=r"1 of the images' 3 classes .*got eel, expected some of its 3 classes .*ant",
    ):
        built(folders(tmp_path, "train", "val"), classes=["cat", "dog", "ant"])


def test_imagenets_classes_are_its_wordnet_ids_in_order():
    known = names("imagenet")
    assert len(known) == 1000
    assert known[:2] == ["n01440764", "n01443537"]
    assert known == sorted(known)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=60),
    st.integers(1, 30),
    st.integers(0, 20),
)
def test_a_limit_is_kept_evenly_and_a_smaller_one_is_part_of_it(rows, n, fewer):
    images = [(f"{i}.jpg", label, split) for i, (label, split) in enumerate(rows)]
    listing = Listing(tuple("abcd"), images, ("train", "val"))
    more = limited(listing, {"val": n + fewer}).images
    kept = limited(listing, {"val": n}).images
    assert set(kept) <= set(more) <= set(images)
    assert [row for row in kept if row[2] == 0] == [row for row in images if row[2] == 0]
    there = Counter(label for _, label, split in images if split)
    taken = Counter(label for _, label, split in kept if split)
    assert taken.total() == min(n, there.total())
    largest = max(taken.values(), default=0)
    assert all(taken[label] in (largest, largest - 1, there[label]) for label in there)


@pytest.mark.parametrize(("root", "how"), [(".", {"only": "val"}), ("val", {"split": 1.0})])
def test_validation_images_alone(tmp_path, root, how):
    data = built(folders(tmp_path, "val") / root, **how)
    assert (len(data.rows("train")), len(data.rows("val"))) == (0, 18)
    assert data.notes == ()
    assert manifest.counts(data, "photos", "listed") == (
        "photos: 18 validation images, and no training images, listed."
    )
    assert [line[:4] for line in manifest.summary(data)] == ["val:"]


def test_images_beyond_the_limit_are_no_bad_files(tmp_path):
    root = folders(tmp_path, "train", "val")
    data = built(root, limit={"train": 7, "val": 4})
    assert (len(data.rows("train")), len(data.rows("val"))) == (7, 4)
    listing = Listing(("a",), [("v/1", 0, 1)], ("t", "v"), folders=("v",))
    assert limited(listing, {"val": 1}).folders == ()


def test_in_order_keeps_the_images():
    listing = Listing(("a", "b"), [("1", 0, 0), ("2", 1, 1)], ("train", "val"))
    assert in_order(listing, ["b", "c", "a"]).images == [("1", 2, 0), ("2", 0, 1)]
