"""What is recommended of settings whose true accuracies are known: simulated.

PYTHONPATH=src python tests/pages/recommend/simulated_choices.py   # the table of docs/statistics.md
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from fixres.artifacts.choice import Setting
from fixres.graph.recommendation import AS_IS, METHODS
from fixres.pages import intervals
from fixres.pages.recommend import rule

SIZES, RATIOS, NATIVE = (128, 160, 192, 224, 256, 288), (0.875, 0.95, 1.0), (192, 0.875)
# Standard deviations of how hard images are, and of what a setting, and one run of a network at one
# k_test, make of an image. The rest is drawn anew for each setting. As networks that share their
# trunk do, two settings then disagree about some 10% of the images.
HARD, OF_RUN, OF_SETTING = 2.0, 0.5, 0.3


class Trial(NamedTuple):
    """What one trial found; the mean of many is what the table shows."""

    best_kept: float  # whether the truly best setting is not told apart from the best
    kept: float  # the share of the settings that are not
    left: float  # whether another setting than the usual one is recommended
    worse: float  # whether that is truly worse than the usual one
    gained: float  # what the recommended setting gains over the usual one, in points
    cheapest: float  # the same, of the cheapest one that is not told apart from the best
    missed: float  # whether the interval of its gain on the page lacks what it gains
    crossed: float  # whether the interval of the most accurate setting, by halves, holds its gain
    naive: float  # the same, measured on the images that chose it
    width: float  # of the former
    of_half: float  # its width if one half chose, and the other alone measured


def grid() -> list[Setting]:
    return [Setting(method=m, k_test=k, crop_pct=c) for k in SIZES for m in METHODS for c in RATIOS]


def equal(_: Setting) -> float:
    return 75.0


def peak(s: Setting) -> float:
    """As a network does: it peaks above its native size, higher and further out when fixed."""
    fixed = METHODS.index(s.method)
    away = (s.k_test - (224 + 8 * fixed)) / 32
    return 77 + 0.5 * fixed - 0.8 * away**2 - 4 * abs(s.crop_pct - 0.95)


def plateau(s: Setting) -> float:
    """Fixing gains nothing, and sizes above the native one hardly anything."""
    return 75 - 1.5 * max((192 - s.k_test) / 32, 0) + 0.1 * max((s.k_test - 192) / 32, 0)


TRUTHS = {"all equal": equal, "peak": peak, "plateau": plateau}


def options(settings: Sequence[Setting]) -> rule.Options:
    price = {s: (s.k_test, METHODS.index(s.method), s.crop_pct != NATIVE[1]) for s in settings}
    return rule.Options(price, Setting(method=AS_IS, k_test=NATIVE[0], crop_pct=NATIVE[1]))


def draw(rng, true: Mapping[Setting, float], n: int, seeds: int = 1) -> dict[Setting, np.ndarray]:
    """(S, n) hits of each setting, with the true accuracies (per cent) over all images."""
    spread = np.sqrt(1 + HARD**2)
    hard, runs = HARD * rng.normal(size=n), {}
    own = np.sqrt(1 - OF_RUN**2 - OF_SETTING**2)  # of the network, which all settings share
    network = rng.normal(size=(seeds, n))
    hits = {}
    for s, accuracy in true.items():
        run = runs.setdefault((s.method, s.k_test), rng.normal(size=(seeds, n)))
        noise = own * network + OF_RUN * run + OF_SETTING * rng.normal(size=(seeds, n))
        hits[s] = stats.norm.ppf(accuracy / 100) * spread + hard + noise > 0
    return hits


def trial(rng, true: Mapping[Setting, float], n: int, number: int) -> Trial:
    """What is chosen on n images, and what is said of it."""
    hits, images = draw(rng, true, n), np.array([b"%d %d" % (number, i) for i in range(n)], object)
    asked, first = options(list(true)), rng.random(n) < 0.5
    found = rule.choose(hits, images, first, asked)
    gains = {s: accuracy - true[asked.usual] for s, accuracy in true.items()}

    # --- as choose.py measures it
    usual = hits[asked.usual]
    said = difference(found.at_price.unseen, usual, number)
    top = found.most_accurate
    ends = difference(top.unseen, usual, number)
    of_halves = np.mean(np.where(first, gains[top.halves[1]], gains[top.halves[0]]))

    # --- what else could be done
    of_half = difference(hits[top.halves[0]][:, ~first], usual[:, ~first], number)
    naive = difference(hits[top.setting], usual, number)
    cheapest = min(found.not_told_apart, key=lambda s: (asked.price[s], -hits[s].sum()))
    return Trial(
        best_kept=max(true, key=lambda s: (true[s], s.k_test)) in found.not_told_apart,
        kept=len(found.not_told_apart) / len(true),
        left=found.recommended != asked.usual,
        worse=gains[found.recommended] < 0,
        gained=gains[found.recommended],
        cheapest=gains[cheapest],
        missed=not said[0] <= gains[found.recommended] <= said[1],
        crossed=ends[0] <= of_halves <= ends[1],
        naive=naive[0] <= gains[top.setting] <= naive[1],
        width=ends[1] - ends[0],
        of_half=of_half[1] - of_half[0],
    )


def difference(a: np.ndarray, b: np.ndarray, number: int) -> tuple[float, float]:
    """The 95% interval of how much more often one is right."""
    replicas = intervals.resample({"a": a, "b": b}, f"{number:x}")
    return intervals.interval(replicas["a"] - replicas["b"])


def simulate(truth: str, n: int, trials: int) -> Trial:
    """The means over the trials."""
    rng = np.random.default_rng([n, *truth.encode()])
    true = {s: TRUTHS[truth](s) for s in grid()}
    found = [trial(rng, true, n, i) for i in range(trials)]
    return Trial(*np.mean([list(map(float, one)) for one in found], axis=0).tolist())


def main(trials: int = 200) -> None:
    intervals.REPLICAS = 500
    print("| " + " | ".join(("true accuracies", "images", *Trial._fields)) + " |")
    for truth in TRUTHS:
        for n in (60, 200, 1000):
            found = simulate(truth, n, trials)
            print(f"| {truth} | {n} | " + " | ".join(f"{x:.3f}" for x in found) + " |", flush=True)


if __name__ == "__main__":
    main()
