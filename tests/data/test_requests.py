"""Batches of test crops: how many images at once, and that each image comes once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fixres.data import requests
from fixres.data.regions import TEN, Augmentation
from fixres.data.requests import BATCH, MOST, images_at_once
from fixres.hardware.device import open_device
from fixres.hardware.ranks import ALONE


@given(
    crops=st.sampled_from([1, TEN]),
    resolutions=st.lists(st.integers(8, 640), min_size=1, max_size=80),
)
def test_the_crops_of_a_batch_fit_in_memory(crops, resolutions):
    """And batches end where those of BATCH crops end."""
    n = images_at_once(crops, resolutions)
    assert (BATCH // crops) % n == 0
    assert n == 1 or 3 * n * crops * sum(k * k for k in resolutions) <= MOST


def test_only_a_sweep_at_the_papers_scale_has_smaller_batches():
    """A hundred images: Table 5 of ImageNet, and the embedded scale's sweep."""
    assert images_at_once(1, [64, 128, 224, 288, 384, 448, 480]) == BATCH
    assert images_at_once(1, [*range(40, 97)]) == BATCH
    assert images_at_once(1, [*range(224, 290)]) == 20
    assert images_at_once(TEN, [480]) == BATCH // TEN


def test_smaller_batches_ask_for_each_image_once(tiny, monkeypatch):
    rows = tiny.rows("val")
    device = open_device("cpu", "fp32", 1, ALONE)
    reader = requests.CropReader(tiny, rows, (0.5,) * 3, (0.5,) * 3, device, "pillow", 1, ALONE)

    def asked() -> list[list]:
        looks = [(Augmentation("test DA"), k) for k in (24, 32)]
        return list(reader.requests(slice(0, len(rows)), looks))

    [whole] = asked()
    monkeypatch.setattr(requests, "MOST", 3 * (24**2 + 32**2) * 20)
    parts = asked()
    assert [len(part[0].rocs.image) for part in parts] == [20, 20, 8]
    for which in (0, 1):
        boxes = np.concatenate([part[which].rocs.box for part in parts])
        assert np.array_equal(boxes, whole[which].rocs.box)
