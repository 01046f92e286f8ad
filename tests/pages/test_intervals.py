"""95% intervals: they cover what they promise, differences are paired, one seed means images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fixres.pages import intervals

IMAGES, TRIALS = 300, 250
# 250 trials at 95%: with this few, 92.5 to 99.2% are what chance leaves to a true 95 to 97.5%.
FEWEST, MOST = 0.925, 0.995


def right(rng, seeds: int, image_effect: float, seed_effect: float, level: float) -> np.ndarray:
    """(seeds, images) hits of a probit model with normal effects of image, seed and accident."""
    images = image_effect * rng.normal(size=IMAGES)
    of_seeds = seed_effect * rng.normal(size=(seeds, 1))
    return level + images + of_seeds + rng.normal(size=(seeds, IMAGES)) > 0


def accuracy(image_effect: float, seed_effect: float, level: float) -> float:
    """The accuracy over all images and seeds that there could be, per cent."""
    return 100 * stats.norm.cdf(level / np.sqrt(1 + image_effect**2 + seed_effect**2))


@pytest.fixture(autouse=True)
def fewer_replicas(monkeypatch):
    monkeypatch.setattr(intervals, "REPLICAS", 500)


@pytest.mark.parametrize(
    ("seeds", "image_effect", "seed_effect"),
    [(2, 1.0, 0.3), (3, 1.0, 0.3), (5, 1.0, 0.3), (5, 0.3, 1.0), (5, 2.0, 0.05), (10, 1.0, 0.2)],
)
def test_an_interval_covers_the_accuracy(seeds, image_effect, seed_effect):
    rng, covered = np.random.default_rng(0), 0
    true = accuracy(image_effect, seed_effect, 0.8)
    for trial in range(TRIALS):
        hits = right(rng, seeds, image_effect, seed_effect, 0.8)
        low, high = intervals.interval(intervals.resample({"a": hits}, f"{trial:x}")["a"])
        covered += low <= true <= high
    assert FEWEST <= covered / TRIALS <= MOST


@pytest.mark.parametrize("shared", [0.0, 0.7])
def test_an_interval_covers_a_difference(shared):
    """Of two networks that see the same images. Their seeds may have something in common."""
    rng, covered = np.random.default_rng(1), 0
    true = accuracy(1.0, 0.3, 1.0) - accuracy(1.0, 0.3, 0.8)
    for trial in range(TRIALS):
        images = rng.normal(size=IMAGES)
        common, own = rng.normal(size=(5, 1)), rng.normal(size=(2, 5, 1))
        effects = 0.3 * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own)
        noise = rng.normal(size=(2, 5, IMAGES))
        a, b = (level + images + effects[i] + noise[i] > 0 for i, level in enumerate((0.8, 1.0)))
        replicas = intervals.resample({"a": a, "b": b}, f"{trial:x}")
        low, high = intervals.interval(replicas["b"] - replicas["a"])
        covered += low <= true <= high
    assert FEWEST <= covered / TRIALS <= MOST


def test_images_alone_cover_too_little_where_seeds_differ():
    """What the two-way bootstrap is for: one seed's interval misses what others give."""
    rng, covered = np.random.default_rng(2), 0
    true = accuracy(1.0, 0.3, 0.8)
    for trial in range(TRIALS):
        hits = right(rng, 1, 1.0, 0.3, 0.8)
        low, high = intervals.interval(intervals.resample({"a": hits}, f"{trial:x}")["a"])
        covered += low <= true <= high
    assert covered / TRIALS < 0.6


@given(st.integers(1, 6), st.integers(2, 60), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_a_number_differs_from_itself_by_nothing(seeds, n, seed):
    hits = np.random.default_rng(seed).random((seeds, n)) < 0.7
    replicas = intervals.resample({"a": hits, "b": hits.copy()}, "12")
    assert intervals.interval(replicas["a"] - replicas["b"]) == (0.0, 0.0)


def test_one_seed_is_the_bootstrap_over_images():
    """scipy's percentile bootstrap gives the same interval, but for the draws."""
    hits = np.random.default_rng(3).random((1, 400)) < 0.8
    intervals.REPLICAS = 4000  # the fixture puts it back
    ours = intervals.interval(intervals.resample({"a": hits})["a"])
    theirs = stats.bootstrap(
        (hits[0],), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(4)
    ).confidence_interval
    assert ours == pytest.approx([100 * end for end in theirs], abs=0.35)


def test_equal_seeds_add_nothing():
    """A run without a seed, such as published weights, stands there once for each seed."""
    hits = np.random.default_rng(5).random((1, 100)) < 0.8
    one = intervals.resample({"a": hits}, "7")["a"]
    five = intervals.resample({"a": np.repeat(hits, 5, axis=0)}, "7")["a"]
    assert one == pytest.approx(five, abs=1e-9)


def test_the_draws_follow_from_the_images_alone():
    """The same again, whatever else is on the page; others for other images."""
    rng = np.random.default_rng(6)
    a, b = (rng.random((3, 50)) < 0.6 for _ in range(2))
    alone = intervals.resample({"a": a}, "1f")["a"]
    assert np.array_equal(alone, intervals.resample({"b": b, "a": a}, "1f")["a"])
    assert not np.array_equal(alone, intervals.resample({"a": a}, "20")["a"])


def test_the_draws_do_not_depend_on_the_memory_at_hand(monkeypatch):
    hits = np.random.default_rng(7).random((2, 50)) < 0.6
    whole = intervals.resample({"a": hits}, "1")["a"]
    monkeypatch.setattr(intervals, "CHUNK", 50 * 7)
    assert np.array_equal(whole, intervals.resample({"a": hits}, "1")["a"])


def test_the_stretch_is_students():
    """On normal means of S seeds, the stretched bootstrap has the width of Student's t."""
    intervals.REPLICAS = 20_000
    hits = np.random.default_rng(8).random((10, 2000)) < np.linspace(0.5, 0.9, 10)[:, None]
    moved = intervals.drawn_again(hits.mean(axis=1)[None])[0]
    s = hits.mean(axis=1).std(ddof=1)
    assert moved.std() == pytest.approx(
        s / np.sqrt(10) * stats.t.ppf(0.975, 9) / stats.norm.ppf(0.975), rel=0.03
    )


# --- exact intervals, and levels of many comparisons ----------------------------------------------


@pytest.mark.parametrize(("right", "ends"), [(True, (0, 1)), (False, (1, 0))])
@pytest.mark.parametrize("seeds", [1, 3])
def test_a_run_that_is_right_about_all_images_has_the_exact_interval(right, ends, seeds):
    """That of scipy, at every level. It was from 100 to 100, and covered 99.8% in 60%."""
    intervals.REPLICAS = 4000
    n = 480
    replicas = intervals.resample({"a": np.full((seeds, n), right)}, "1f")["a"]
    for shared_by in (1, 17):
        exact = stats.binomtest(n if right else 0, n)
        theirs = exact.proportion_ci(1 - 0.05 / shared_by, "exact")
        ours = intervals.interval(replicas, shared_by)
        assert ours == pytest.approx([100 * theirs.low, 100 * theirs.high], abs=0.03)
    missed = stats.binom.pmf(n, n, 0.998)  # all right, though only 99.8% would be
    assert missed > 0.3
    assert intervals.interval(intervals.resample({"a": np.full((1, n), True)}, "1f")["a"])[0] < 99.8


def test_a_perfect_run_is_paired_with_itself_and_not_sure_of_another():
    """Two runs that are right about the same images differ by nothing."""
    rng = np.random.default_rng(9)
    all_right = np.full((1, 200), True)
    values = {"a": all_right, "b": all_right.copy(), "c": rng.random((1, 200)) < 0.95}
    replicas = intervals.resample(values, "3")
    assert intervals.interval(replicas["a"] - replicas["b"]) == (0.0, 0.0)
    low, high = intervals.interval(replicas["a"] - replicas["c"])
    wrong = 100 - 100 * values["c"].mean()
    assert low < wrong < high
    # A trend beside a perfect cell is as sure as it was, but for what the exact interval adds.
    assert low > intervals.interval(100 - replicas["c"])[0] - 2


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_students_share_has_his_quantiles_far_out(seeds):
    """Of any difference between cells: a fixed direction stands for it."""
    intervals.REPLICAS = 4000
    found = np.random.default_rng(seeds).normal(size=(2, seeds))
    moved = intervals.students(found)
    gain, shift = found[1] - found[0], moved[1] - moved[0]
    error = gain.std(ddof=1) / np.sqrt(seeds)
    for tail, beyond in ((0.025, 100), (0.005, 20), (0.0015, 6)):
        reached = np.quantile(shift, 1 - tail) / error
        assert stats.t.sf(reached, seeds - 1) == pytest.approx(tail, rel=1.5 / np.sqrt(beyond))
        assert np.quantile(shift, tail) / error == pytest.approx(-reached, rel=1e-6)


def test_intervals_that_share_a_level_are_wider_and_take_the_outer_replica():
    replicas = np.arange(1000.0)
    assert intervals.interval(replicas) == pytest.approx((24.975, 974.025))
    assert intervals.interval(replicas, 10) == (2.0, 997.0)
    assert intervals.interval(replicas, 10**6) == (0.0, 999.0)
