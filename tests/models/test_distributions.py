"""Distributions of activations: measured and fitted, against scipy's laws and numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import genextreme, ks_2samp

from fixres.models import distributions
from fixres.models.distributions import XI, ActivationStatistics, Moments

EMPTY = Moments(1, np.zeros(1), np.zeros(1))


def counted(x: np.ndarray) -> np.ndarray:
    """The histogram of the values of x."""
    return distributions.histogram(torch.from_numpy(x).float()).numpy()


# --- measured ----------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 99),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    offset=st.floats(-1e4, 1e4),
)
@settings(max_examples=50, deadline=None)
def test_moments_of_a_stream_are_those_of_the_whole(seed, sizes, offset):
    """Three channels of other means and spreads, in batches of any size, against numpy."""
    spread = np.array([1.0, 0.1, 5.0]).reshape(3, 1, 1)
    mean = np.array([offset, 1.0, 0.0]).reshape(3, 1, 1)
    x = np.random.default_rng(seed).normal(size=(sum(sizes), 3, 4, 4)) * spread + mean
    batches = np.split(x, np.cumsum(sizes)[:-1])
    parts = [Moments.of(torch.from_numpy(batch)) for batch in batches]
    total = parts[0]
    for part in parts[1:]:
        total += part
    mean, std = distributions.fit_gaussian(ActivationStatistics(total, np.zeros(1)))
    np.testing.assert_allclose(mean[:, 0, 0], x.mean((0, 2, 3)), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(std[:, 0, 0], x.std((0, 2, 3)), rtol=1e-6)


VALUES = st.floats(-(2.0**60), 2.0**60, width=32, allow_subnormal=False)


@given(values=st.lists(VALUES, min_size=1, max_size=60))
def test_every_float_has_its_bin(values):
    """Bins are in the order of their values and end less than 1/2048 above them; 0 is alone."""
    x = np.sort(np.array(values, np.float32))
    which = distributions.bins(torch.from_numpy(x)).numpy()
    edges = distributions.upper_edges(which)
    assert np.all(np.diff(which) >= 0)
    assert np.all(x < edges)
    assert np.all((edges - x)[x != 0] <= np.abs(x[x != 0]) / 2048)
    assert np.array_equal(which == distributions.ZERO, x == 0)
    assert distributions.histogram(torch.from_numpy(x)).sum() == len(x)


# --- fitted ------------------------------------------------------------------------------------


@given(
    mu=st.floats(0.05, 3),
    sigma=st.floats(0.02, 1),
    share=st.floats(0, 0.5),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_frechet_parameters_are_recovered_whatever_the_share_of_zeros(mu, sigma, share, seed):
    rng = np.random.default_rng(seed)
    x = genextreme.rvs(-XI, mu, sigma, size=40_000, random_state=rng)
    x[rng.random(len(x)) < share] = 0
    found = distributions.fit_frechet(ActivationStatistics(EMPTY, counted(x)))
    assert found[0] == pytest.approx(mu, abs=0.03 * sigma)
    assert found[1] == pytest.approx(sigma, rel=0.03)


@given(mu=st.floats(-3, 3), sigma=st.floats(0.01, 5))
@settings(deadline=None)
def test_the_frechet_distribution_is_scipys(mu, sigma):
    x = np.linspace(mu - 5 * sigma, mu + 20 * sigma, 301)
    expected = genextreme.cdf(x, -XI, mu, sigma)
    np.testing.assert_allclose(distributions.frechet(x, mu, sigma), expected, atol=1e-12)


def test_the_frechet_map_brings_one_law_to_the_other():
    """Draws from (μ0, σ0) that were mapped follow (μ, σ), by a two-sample KS test."""
    reference, found = (np.array(0.4), np.array(0.2)), (np.array(0.9), np.array(0.5))
    scale, shift = distributions.affine(reference, found)
    draws = [
        genextreme.rvs(-XI, *law, size=20_000, random_state=i)
        for i, law in enumerate((reference, found))
    ]
    assert ks_2samp(draws[0], draws[1]).pvalue < 1e-6
    assert ks_2samp(draws[0], scale * draws[1] + shift).pvalue > 0.01


def test_gaussians_are_mapped_onto_their_reference_channel_by_channel():
    """Three channels; the last one of the second set is dead (it does not vary)."""
    torch.manual_seed(0)

    def channels(*values: float) -> torch.Tensor:
        return torch.tensor(values).view(3, 1, 1)

    mean, std = channels(-1.0, 0.0, 4.0), channels(0.1, 1.0, 3.0)
    mean0, std0 = channels(2.0, -1.0, 4.0), channels(1.0, 0.5, 0.0)
    draws = [torch.randn(500, 3, 8, 8) * s + m for m, s in ((mean, std), (mean0, std0))]
    reference, found = (
        distributions.fit_gaussian(ActivationStatistics(Moments.of(x), np.zeros(1))) for x in draws
    )
    np.testing.assert_allclose(reference[0], mean, atol=0.05)
    np.testing.assert_allclose(reference[1], std, rtol=0.02)

    scale, shift = (torch.from_numpy(a) for a in distributions.affine(reference, found))
    mapped, wanted = scale * draws[1] + shift, draws[0].double()
    over = (0, 2, 3)  # images and places
    torch.testing.assert_close(mapped.mean(over), wanted.mean(over), atol=1e-4, rtol=0)
    spread = mapped[:, :2].std(over)
    torch.testing.assert_close(spread, wanted[:, :2].std(over), atol=0, rtol=1e-4)
    assert scale[2] == 1


# --- compared ----------------------------------------------------------------------------------


def test_kolmogorovs_distance_is_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.gamma(2, size=5000), rng.gamma(2.4, size=7000)
    expected = ks_2samp(a, b).statistic
    assert distributions.kolmogorov(counted(a), counted(b)) == pytest.approx(expected, abs=1e-3)
