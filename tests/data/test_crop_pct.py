"""Test DA with a ratio of its own, crop_pct: the same pixels as timm's evaluation transform."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from timm.data import create_transform

from fixres.data import building, pillow_loader, regions, requests
from fixres.hardware.device import open_device
from fixres.hardware.ranks import ALONE
from shared import textured

RATIOS = (0.875, 0.9, 0.95, 0.954, 1.0)


def of_timm(image: Image.Image, k: int, ratio: float) -> np.ndarray:
    """(k, k, 3) uint8 that timm's evaluation cuts from an image."""
    plain = {"mean": (0, 0, 0), "std": (1, 1, 1), "interpolation": "bilinear"}
    transform = create_transform((3, k, k), is_training=False, crop_pct=ratio, **plain)
    return np.rint(transform(image).permute(1, 2, 0).numpy() * 255).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(30, 150),
    height=st.integers(30, 150),
    k=st.integers(8, 96),
    ratio=st.sampled_from(RATIOS) | st.floats(0.5, 1.0),
)
def test_pillow_cuts_the_pixels_of_timm(width, height, k, ratio):
    image = textured(height, width)
    test_da = regions.Augmentation("test DA", crop_pct=ratio)
    sizes = np.array([height]), np.array([width])
    rocs = regions.rocs(test_da, k, np.array([0]), *sizes)
    ours = np.asarray(pillow_loader.crop_of(image, rocs, 0, k))
    np.testing.assert_array_equal(ours, of_timm(image, k, ratio))


@pytest.mark.parametrize("ratio", RATIOS)
def test_the_roc_is_that_of_the_whole_resize(ratio):
    """What DALI cuts, from the box alone, is the rectangle that Pillow cuts from the whole."""
    h, w, k = np.array([375, 500, 333]), np.array([500, 375, 334]), 224
    rocs = regions.rocs(regions.Augmentation("test DA", crop_pct=ratio), k, np.arange(3), h, w)
    resized_w, resized_h, left, top = rocs.whole.T
    assert (np.minimum(resized_w, resized_h) == int(k / ratio)).all()
    scale = np.stack([w / resized_w, h / resized_h] * 2, axis=1)
    corners = np.stack([left, top, left + k, top + k], axis=1)
    np.testing.assert_allclose(rocs.box, corners * scale)


def test_the_papers_ratio_is_nearly_that_of_timm():
    """floor(256/224 · k) and floor(k / 0.875) are the same number, so the same RoC."""
    h, w = np.array([375]), np.array([500])
    for k in range(32, 512, 32):
        ours, timms = (
            regions.rocs(regions.Augmentation("test DA", crop_pct=r), k, np.array([0]), h, w).box
            for r in (None, 0.875)
        )
        np.testing.assert_array_equal(ours, timms)


@pytest.mark.parametrize("name", ["pillow", "dali"])
def test_several_ratios_come_from_one_decode(tmp_path, name):
    """Both loaders cut each image at each resolution and ratio; DALI differs by little."""
    for split in ("train", "val"):
        for name, size in (("a", (80, 61)), ("b", (50, 90))):
            (tmp_path / split / name).mkdir(parents=True)
            textured(*size).save(tmp_path / split / name / f"{split}.png")
    data = building.build(tmp_path)
    rows = data.rows("val")
    device = open_device("cpu", "fp32", 1)
    reader = requests.CropReader(data, rows, (0.0,) * 3, (1.0,) * 3, device, name, 1, ALONE)
    looks = [(32, 0.875), (32, 1.0), (40, 1.0)]
    (batch,) = reader.batches(
        slice(0, 2), regions.Augmentation("test DA"), [k for k, _ in looks], [r for _, r in looks]
    )
    for (k, ratio), x in zip(looks, batch, strict=True):
        assert x.shape == (2, 3, k, k)
        for file, seen in zip(data.files(rows), x, strict=True):
            with Image.open(file) as opened:
                expected = of_timm(opened.convert("RGB"), k, ratio)
            got = (seen.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
            apart = np.abs(got.astype(int) - expected)
            assert apart.max() == 0 if name == "pillow" else apart.mean() < 1
