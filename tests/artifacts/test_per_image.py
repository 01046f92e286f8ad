"""Values of images: written, read, named, and refused where they belong to something else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fixres.artifacts import per_image
from fixres.artifacts.per_image import PerImage

PATHS = np.array(["val/a/1.jpg", "val/ä/2.jpg", "val/b/3.jpg"], dtype=object)
IMAGES = np.array([path.encode() for path in PATHS])


@given(arrays.arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 20))))
def test_what_is_written_is_read(tmp_path_factory, right):
    file = tmp_path_factory.getbasetemp() / "hits.npz"
    images = np.array([f"{i}.jpg".encode() for i in range(right.shape[1])])
    written = PerImage(images, {f"top1 {k}": row for k, row in enumerate(right)})
    per_image.save(file, written)
    read = per_image.load(file, written.digest)
    assert read.images.tolist() == images.tolist()
    assert {key: row.tolist() for key, row in read.values.items()} == {
        key: row.tolist() for key, row in written.values.items()
    }


def test_the_hits_of_predictions():
    """The first class, the first five, by hand."""
    labels = np.array([7, 7, 7])
    top = np.array([[7, 1, 2, 3, 4], [1, 2, 3, 4, 7], [1, 2, 3, 4, 5]])
    found = per_image.of_predictions(IMAGES, labels, {(56, ""): top, (96, "_10crops"): top[::-1]})
    assert {key: row.tolist() for key, row in found.values.items()} == {
        "top1 56": [True, False, False],
        "top5 56": [True, True, False],
        "top1_10crops 96": [False, False, True],
        "top5_10crops 96": [False, True, True],
    }


def test_other_hits_are_refused(tmp_path):
    """They belong to the metrics.json that names their digest: not to other hits or images."""
    file, other = tmp_path / "hits.npz", IMAGES[::-1]
    ours = PerImage(IMAGES, {"top1 56": np.array([True, False, True])})
    for theirs in (
        PerImage(other, ours.values),
        PerImage(IMAGES, {"top1 96": ours.values["top1 56"]}),
        PerImage(IMAGES, {"top1 56": np.array([True, True, True])}),
    ):
        per_image.save(file, theirs)
        with pytest.raises(ValueError, match="does not belong"):
            per_image.load(file, ours.digest)
    file.write_bytes(b"PK")
    with pytest.raises(ValueError, match="cannot be read"):
        per_image.load(file, ours.digest)


def test_the_same_images_in_the_same_order_can_be_paired():
    right = {"top1 56": np.zeros(3, bool)}
    assert PerImage(IMAGES, right).image_set == PerImage(IMAGES.copy(), {}).image_set
    assert PerImage(IMAGES, right).image_set != PerImage(IMAGES[::-1], right).image_set


@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 4)),
        elements=st.floats(width=32),
    )
)
def test_numbers_are_kept_as_they_are(tmp_path_factory, values):
    file = tmp_path_factory.getbasetemp() / "samples.npz"
    images = np.array([f"{i}.jpg".encode() for i in range(values.shape[1])])
    written = PerImage(images, {f"zeros {k}": block for k, block in enumerate(values)})
    per_image.save(file, written)
    read = per_image.load(file, written.digest)
    assert {key: x.tobytes() for key, x in read.values.items()} == {
        key: x.tobytes() for key, x in written.values.items()
    }
    assert read.values["zeros 0"].shape == values.shape[1:]
