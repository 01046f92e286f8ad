"""Pooled activations image by image: counts against numpy, and what an image adds to ξ."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import genextreme

from fixres.models import distributions, pooled
from fixres.models.distributions import XI, ActivationStatistics


def fitted(images: torch.Tensor) -> tuple[np.ndarray, ...]:
    """μ, σ and ξ of these activations."""
    counts = distributions.histogram(images).numpy()
    return distributions.fit_frechet(ActivationStatistics(None, counts), XI)


def test_bins_are_in_order_and_zero_is_alone():
    assert (np.diff(pooled.EDGES) > 0).all()
    zeros = pooled.count(torch.tensor([[0.0, -0.0, 1e-30, -1e-30]]))[0]
    assert zeros[pooled.ZERO] == 2
    assert zeros[pooled.ZERO + 1] == zeros[pooled.ZERO - 1] == 1


@given(st.integers(0, 99))
def test_each_image_is_counted_by_itself(seed):
    """Against numpy.histogram, with values beyond the first and the last edge."""
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(5, 40, 1, 1)) * 20.0 ** rng.integers(-3, 2, (5, 40, 1, 1))).round(3)
    x = x.astype(np.float32)
    edges = [-np.inf, *np.float32(pooled.EDGES), np.inf]
    expected = [np.histogram(image, edges)[0] for image in x]
    counts = pooled.count(torch.from_numpy(x))
    assert counts.shape == (5, pooled.BINS)
    assert np.array_equal(counts, expected)


def test_xi_is_found():
    """Draws of scipy's law, for a heavy tail, a light one, and one with an upper end."""
    for xi in (0.6, 0.1, -0.2):
        x = genextreme.rvs(-xi, 1.0, 0.4, size=40_000, random_state=1)
        found = fitted(torch.from_numpy(x[x > 0]).float())
        assert found == pytest.approx((1.0, 0.4, xi), abs=0.03)


def test_what_an_image_adds_to_xi_tells_how_far_other_images_move_it():
    """The bootstrap of the mean against fits to drawn images; images differ in scale and zeros."""
    rng = np.random.default_rng(0)
    x = genextreme.rvs(-0.3, 1.0, 0.4, size=(150, 64), random_state=rng)
    x *= rng.gamma(9, 1 / 9, size=(150, 1))
    x[(x < 0) | (rng.random(x.shape) < 0.2)] = 0
    images = torch.from_numpy(x).float()
    counts = pooled.count(images).numpy()
    whole = fitted(images)
    adds = pooled.xi_by_image(counts, whole)
    assert adds.mean() == pytest.approx(whole[2])
    refitted, drawn = [], []
    for _ in range(60):
        chosen = rng.integers(150, size=150)
        refitted.append(fitted(images[chosen])[2])
        drawn.append(adds[chosen].mean())
    assert np.corrcoef(refitted, drawn)[0, 1] > 0.95
    assert np.std(drawn) == pytest.approx(np.std(refitted), rel=0.2)
