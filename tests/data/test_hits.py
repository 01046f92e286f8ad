"""Hits: written, read, named, and refused where they belong to something else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fixres.data import hits

PATHS = np.array(["val/a/1.jpg", "val/ä/2.jpg", "val/b/3.jpg"], dtype=object)
IMAGES = np.array([path.encode() for path in PATHS])


@given(arrays.arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 20))))
def test_what_is_written_is_read(tmp_path_factory, right):
    file = tmp_path_factory.getbasetemp() / "hits.npz"
    images = np.array([f"{i}.jpg".encode() for i in range(right.shape[1])])
    written = hits.Hits(images, {f"top1 {k}": row for k, row in enumerate(right)})
    hits.save(file, written)
    read = hits.load(file, written.digest)
    assert read.images.tolist() == images.tolist()
    assert {key: row.tolist() for key, row in read.right.items()} == {
        key: row.tolist() for key, row in written.right.items()
    }


def test_the_hits_of_predictions():
    """The first class, the first five, by hand."""
    labels = np.array([7, 7, 7])
    top = np.array([[7, 1, 2, 3, 4], [1, 2, 3, 4, 7], [1, 2, 3, 4, 5]])
    found = hits.of_predictions(IMAGES, labels, {(56, ""): top, (96, "_10crops"): top[::-1]})
    assert {key: row.tolist() for key, row in found.right.items()} == {
        "top1 56": [True, False, False],
        "top5 56": [True, True, False],
        "top1_10crops 96": [False, False, True],
        "top5_10crops 96": [False, True, True],
    }


def test_other_hits_are_refused(tmp_path):
    """They belong to the metrics.json that names their digest: not to other hits or images."""
    file, other = tmp_path / "hits.npz", IMAGES[::-1]
    ours = hits.Hits(IMAGES, {"top1 56": np.array([True, False, True])})
    for theirs in (
        hits.Hits(other, ours.right),
        hits.Hits(IMAGES, {"top1 96": ours.right["top1 56"]}),
        hits.Hits(IMAGES, {"top1 56": np.array([True, True, True])}),
    ):
        hits.save(file, theirs)
        with pytest.raises(ValueError, match="does not belong"):
            hits.load(file, ours.digest)
    file.write_bytes(b"PK")
    with pytest.raises(ValueError, match="cannot be read"):
        hits.load(file, ours.digest)


def test_the_same_images_in_the_same_order_can_be_paired():
    right = {"top1 56": np.zeros(3, bool)}
    assert hits.Hits(IMAGES, right).image_set == hits.Hits(IMAGES.copy(), {}).image_set
    assert hits.Hits(IMAGES, right).image_set != hits.Hits(IMAGES[::-1], right).image_set
