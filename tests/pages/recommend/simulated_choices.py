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
    """What one trial found."""

    best_is_kept: bool  # the truly best setting is not told apart
    kept: float  # share of the settings that are not told apart
    gain: float  # what is said of the rule, in points
    covered: bool  # whether its interval holds the gain of what the halves chose
    low: bool  # whether the interval is below it
    covers_recommended: bool  # whether it holds the gain of what is recommended
    width: float
    halved: float  # width where one half chooses, and the other alone measures
    true: float  # gain of what is recommended
    unguarded: float  # the same, of the cheapest that is not told apart, however many it gets right
    naive: (
        bool  # whether the most accurate one's interval on the images that chose it holds its gain
    )
    bias: float  # of that interval's middle


def grid() -> list[Setting]:
    return [Setting(method=m, k_test=k, crop_pct=c) for k in SIZES for m in METHODS for c in RATIOS]


def equal(_: Setting) -> float:
    return 75.0


def peak(s: Setting) -> float:
    """As a network does: it peaks above its native size, higher and further out when fixed."""
    fixed = METHODS.index(s.method)
    away = (s.k_test - (224 + 8 * fixed)) / 32
    return 77 + 0.5 * fixed - 0.8 * away**2 - 4 * abs(s.crop_pct - 0.95)


def peak_of_size_alone(s: Setting) -> float:
    """Fixing gains nothing, and sizes above the native one hardly anything."""
    return 75 - 1.5 * max((192 - s.k_test) / 32, 0) + 0.1 * max((s.k_test - 192) / 32, 0)


TRUTHS = {"all equal": equal, "peak": peak, "plateau": peak_of_size_alone}


def options(settings: Sequence[Setting]) -> rule.Options:
    price = {s: (s.k_test, METHODS.index(s.method), s.crop_pct != NATIVE[1]) for s in settings}
    k, ratio = NATIVE
    return rule.Options(settings, price, Setting(method=AS_IS, k_test=k, crop_pct=ratio))


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
    hits, images = draw(rng, true, n), np.array([b"%d %d" % (number, i) for i in range(n)], object)
    asked = options(list(true))
    first = rng.random(n) < 0.5
    found = rule.evidence(hits, images)
    kept = rule.not_told_apart(found, asked.allowed)
    halves = []
    for half in (first, ~first):
        part = {s: block[:, half] for s, block in hits.items()}
        halves.append(rule.pick(rule.evidence(part, images[half]), asked).recommended)
    usual = hits[asked.usual]
    unseen = rule.crossed(hits, first, *halves)
    again = intervals.resample({"unseen": unseen, "usual": usual}, f"{number:x}")
    low, high = intervals.interval(again["unseen"] - again["usual"])
    gains = {s: accuracy - true[asked.usual] for s, accuracy in true.items()}
    of_halves = first.mean() * gains[halves[1]] + (~first).mean() * gains[halves[0]]
    whole = rule.pick(found, asked)
    last = {"a": hits[halves[0]][:, ~first], "u": usual[:, ~first]}
    last = intervals.resample(last, f"{number:x}a")
    last_low, last_high = intervals.interval(last["a"] - last["u"])
    top = whole.most_accurate
    naive = intervals.interval(found.replicas[top] - found.replicas[asked.usual])
    cheapest = min(kept, key=lambda s: (*asked.price[s], -found.accuracy[s]))
    return Trial(
        best_is_kept=max(true, key=lambda s: (true[s], s.k_test)) in kept,
        kept=len(kept) / len(true),
        gain=100 * float(unseen.mean() - usual.mean()) - of_halves,
        covered=low <= of_halves <= high,
        low=high < of_halves,
        covers_recommended=low <= gains[whole.recommended] <= high,
        width=high - low,
        halved=last_high - last_low,
        true=gains[whole.recommended],
        unguarded=gains[cheapest],
        naive=naive[0] <= gains[top] <= naive[1],
        bias=sum(naive) / 2 - gains[top],
    )


def simulate(truth: str, n: int, trials: int) -> Trial:
    """The means over the trials."""
    rng = np.random.default_rng([n, *truth.encode()])
    true = {s: TRUTHS[truth](s) for s in grid()}
    found = [trial(rng, true, n, i) for i in range(trials)]
    return Trial(*np.mean([list(map(float, one)) for one in found], axis=0).tolist())


def main(trials: int = 500) -> None:
    intervals.REPLICAS = 1000
    print("| " + " | ".join(("truth", "images", *Trial._fields)) + " |")
    for truth in TRUTHS:
        for n in (60, 200, 1000, 4000):
            found = simulate(truth, n, trials)
            print(f"| {truth} | {n} | " + " | ".join(f"{x:.3f}" for x in found) + " |", flush=True)


if __name__ == "__main__":
    main()
