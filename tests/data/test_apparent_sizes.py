"""Areas of RoCs and scales of crops (eqs. 1 to 5), against closed forms and quadrature."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from fixres.data import regions
from fixres.data.regions import Augmentation, area_shares, rocs, scales

SIDES = st.lists(st.tuples(st.integers(8, 900), st.integers(8, 900)), min_size=1, max_size=20)


def drawn(name: str, sizes: list[tuple[int, int]], k: int, **more: object):
    h, w = np.array(sizes).T
    return rocs(Augmentation(name, **more), k, np.arange(len(h)), h, w, seed=3), h, w


@given(sizes=SIDES, k=st.integers(8, 300), name=st.sampled_from(["train DA", "test DA"]))
def test_a_roc_lies_in_its_image_and_magnifies_by_its_area(sizes, k, name):
    """Eq. (1): s = k / sqrt(σ²HW), whatever the shape of the image."""
    crops, h, w = drawn(name, sizes, k)
    shares = area_shares(crops, h, w)
    assert (shares > 0).all()
    assert (shares <= 1 + 1e-9).all()
    assert scales(crops, k) == pytest.approx(k / np.sqrt(shares * h * w))


@given(aspect=st.floats(1, 4), portrait=st.booleans())
def test_under_test_da_only_the_aspect_ratio_shapes_the_area(aspect, portrait):
    """(224/256)² of a square image, and less by the aspect ratio of another: Figure 2's spikes."""
    size = (int(4000 * aspect), 4000) if portrait else (4000, int(4000 * aspect))
    crops, h, w = drawn("test DA", [size], 224)
    assert area_shares(crops, h, w) == pytest.approx((224 / 256) ** 2 / aspect, rel=0.01)


def test_under_train_da_the_area_is_uniform():
    """σ² ~ U(0.08, 1) for a square image, if every drawn aspect ratio fits (α = 1)."""
    crops, h, w = drawn("train DA", [(4000, 4000)] * 4000, 224, aspect=(1.0, 1.0))
    shares = area_shares(crops, h, w)
    assert stats.kstest(shares, stats.uniform(0.08, 0.92).cdf).pvalue > 0.001


def test_the_released_transform_magnifies_a_narrow_portrait_by_its_height():
    """The crop has black bars beside the RoC; they are no part of the object's scale."""
    crops, _, _ = drawn("test DA", [(800, 300)], 224, test_resize="released")
    assert scales(crops, 224) == pytest.approx(256 / 800, rel=0.01)


SPANS = st.tuples(*[st.integers(0, 9)] * 2).map(sorted)


@given(x=SPANS, y=SPANS, u=SPANS, v=SPANS)
def test_rectangles_overlap_where_both_cover_a_pixel(x, y, u, v):
    grids = np.zeros((2, 9, 9), bool)
    grids[0, y[0] : y[1], x[0] : x[1]] = True
    grids[1, v[0] : v[1], u[0] : u[1]] = True
    boxes = (np.array([[a[0], b[0], a[1], b[1]]], float) for a, b in ((x, y), (u, v)))
    assert regions.overlaps(*boxes) == pytest.approx(grids.all(axis=0).sum())


@given(
    low=st.floats(0.01, 0.9),
    share=st.floats(0.01, 1),
    k_train=st.integers(16, 480),
    k_test=st.integers(16, 480),
)
def test_the_closed_form_of_eq_5_is_the_mean_over_sigma(low, share, k_train, k_test):
    """By quadrature: σ² is uniform, and the ratio is σ · k_test_image / k_train (eq. 4)."""
    high = low + share * (1 - low)
    mean, _ = integrate.quad(lambda area: math.sqrt(area) / (high - low), low, high)
    expected = mean * math.floor(256 / 224 * k_test + 1e-9) / k_train
    assert regions.expected_size_ratio(k_train, k_test, (low, high)) == pytest.approx(expected)
