"""The rule that chooses one setting, from the images that each is correct on.

The best of many numbers looks better than it is, and often several settings are as good. So the
most accurate setting is chosen on one half of the images and measured on the other, and the other
way round (cross-fitting). Then

- a setting is *not told apart from the best* unless that choice is shown to be better: the 95%
  interval of their paired difference is above 0;
- of the settings that are not told apart, the cheapest is recommended. But the usual setting is
  left only on evidence: for one that costs more, these images must show that it is better, and for
  a cheaper one, that it loses at most one point, whichever of the cheaper ones it is;
- the gain of another setting than the usual one is the gain of the most accurate setting that
  costs no more, again chosen on one half and measured on the other.

docs/statistics.md says why (*One of many settings*), and tests/pages/recommend/simulated_choices.py
how this does on simulated hits.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fixres import jobs
from fixres.artifacts.choice import Setting
from fixres.graph.recommendation import AS_IS
from fixres.pages.intervals import LEVEL, interval, resample

TOLERATED = 1.0  # points that a cheaper setting than the usual one may lose at most
SAME = 1e-9  # points; a smaller standard error is a rounding error

Hits = Mapping[Setting, np.ndarray]  # (S, n) bool each: of each seed and image


class Options(NamedTuple):
    """What may be chosen.

    Attributes
    ----------
    price : what a setting costs, as a tuple that is smaller for a cheaper one. The settings that
        may be recommended are its keys.
    usual : the setting that the network is tested with now, without a change of its weights; one of
        them.
    """

    price: Mapping[Setting, tuple]
    usual: Setting


class Picked(NamedTuple):
    """The most accurate of some settings.

    Attributes
    ----------
    setting : on all images.
    halves : on the first half, and on the second.
    unseen : (S, n) bool, what each image finds of the one that was chosen on the half without it.
    """

    setting: Setting
    halves: tuple[Setting, Setting]
    unseen: np.ndarray


class Chosen(NamedTuple):
    """What the rule chooses, and what to measure its gains with.

    Attributes
    ----------
    recommended : the cheapest setting that is not told apart from the best, or the usual one.
    as_it_is : what is recommended without a change of weights.
    not_told_apart : the settings that are not, from the best.
    most_accurate : of all settings.
    at_price : of those that cost no more than what is recommended; the usual one, if that is.
    at_price_as_it_is : the same of `as_it_is`, without a change of weights.
    done : of the crop_pct, with what is recommended to do to the network and as k_test.
    not_done : of the crop_pct, without a change of weights at that k_test.
    """

    recommended: Setting
    as_it_is: Setting
    not_told_apart: list[Setting]
    most_accurate: Picked
    at_price: Picked
    at_price_as_it_is: Picked
    done: Picked
    not_done: Picked


def choose(hits: Hits, images: np.ndarray, first: np.ndarray, options: Options) -> Chosen:
    """Choose one setting.

    Parameters
    ----------
    hits : of all settings.
    images : (n,) bytes, the paths of the images.
    first : (n,) bool, whether an image is of the first half.
    """
    price, usual = options
    allowed = sorted(price, key=price.get)  # of equally accurate ones the cheapest is taken
    unchanged = [s for s in allowed if s.method == AS_IS]
    best, best_unchanged = (most_accurate(hits, first, among) for among in (allowed, unchanged))
    unseen = {"best": best.unseen, "best unchanged": best_unchanged.unseen}
    replicas = resample({s: hits[s] for s in allowed} | unseen, digest_of(images))

    def equals(best: str, among: Sequence[Setting]) -> list[Setting]:
        return [s for s in among if interval(replicas[best] - replicas[s])[0] <= 0]

    def cheapest(equals: Sequence[Setting], among: Sequence[Setting]) -> Setting:
        over_usual = {s: replicas[s] - replicas[usual] for s in among}
        lows = lower_ends({s: over_usual[s] for s in among if price[s] < price[usual]})
        good = [s for s in equals if s == usual or lows.get(s, -np.inf) >= -TOLERATED]
        # Those that cost more come into question only where the usual one is told apart.
        dearer = [s for s in equals if price[s] > price[usual] and interval(over_usual[s])[0] > 0]
        in_turn = (price.get, lambda s: -hits[s].sum(), lambda s: s.crop_pct)
        return min(good + dearer, key=lambda s: [of(s) for of in in_turn], default=usual)

    not_told_apart = equals("best", allowed)
    recommended = cheapest(not_told_apart, allowed)
    as_it_is = cheapest(equals("best unchanged", unchanged), unchanged)
    there = [s for s in allowed if s.k_test == recommended.k_test]

    def no_dearer(than: Setting, among: Sequence[Setting]) -> list[Setting]:
        return [s for s in among if price[s] <= price[than]] if than != usual else [usual]

    return Chosen(
        recommended,
        as_it_is,
        not_told_apart,
        best,
        *(
            most_accurate(hits, first, among)
            for among in (
                no_dearer(recommended, allowed),
                no_dearer(as_it_is, unchanged),
                [s for s in there if s.method == recommended.method],
                [s for s in there if s.method == AS_IS],
            )
        ),
    )


def most_accurate(hits: Hits, first: np.ndarray, among: Sequence[Setting]) -> Picked:
    """The setting of some that is right most often; of equal ones the first.

    first : (n,) bool, whether an image is of the first half.
    """
    everywhere = np.ones_like(first)
    on_all, *halves = (
        max(among, key=lambda s, part=part: hits[s][:, part].sum())
        for part in (everywhere, first, ~first)
    )
    return Picked(on_all, tuple(halves), np.where(first, hits[halves[1]], hits[halves[0]]))


def lower_ends(differences: Mapping[Setting, np.ndarray]) -> dict[Setting, float]:
    """The lower ends of intervals that hold all of some differences at once with 95%.

    differences : (REPLICAS,) each, paired. The largest error of all, in standard errors, is beyond
        these ends in 2.5% of the replicas.
    """
    if not differences:
        return {}
    again = np.stack([*differences.values()])
    middle, error = again.mean(axis=1), again.std(axis=1)
    errors = (middle[:, None] - again) / np.maximum(error, SAME)[:, None]
    furthest = np.quantile(errors.max(axis=0), (1 + LEVEL) / 2)
    return dict(zip(differences, middle - furthest * error, strict=True))


def digest_of(images: np.ndarray) -> str:
    """A digest of which images these are. images : (n,) bytes, their paths."""
    return jobs.digest(b"\n".join(images.tolist()))
