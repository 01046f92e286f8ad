"""How often a verdict is false where there is no difference at all: simulated.

PYTHONPATH=src python tests/pages/false_verdicts.py      # the table of docs/claims.md
"""

import numpy as np

from fixres.graph.values import Value, largest
from fixres.pages import decided, intervals

SEEDS, COMPARISONS = (1, 2, 3, 5), (1, 5, 17)
IMAGES = 200


def differences(rng, seeds: int, count: int, images: bool, trial: int) -> list[Value]:
    """Differences of two accuracies that are equal but for seeds, and for images if `images`."""
    of_seed = rng.normal(size=(count, seeds, 1)) * (seeds > 1)  # one seed: no other is asked about
    found = np.repeat(of_seed, IMAGES if images else 2, axis=2)
    if images:  # as large a share of the noise of the mean as the seeds'
        found += rng.normal(size=(count, 1, IMAGES)) * np.sqrt(IMAGES / seeds)
    replicas = intervals.resample(dict(enumerate(found)), f"{trial:x}", intervals.students)
    return [Value(float(x.mean()), replicas[i]) for i, x in enumerate(found)]


def false_fails(seeds: int, count: int, images: bool, trials: int) -> float:
    """Share of the trials in which a claim of `count` comparisons fails."""
    rng = np.random.default_rng(seeds)
    trial = (differences(rng, seeds, count, images, i) for i in range(trials))
    named = ({str(i): value for i, value in enumerate(values)} for values in trial)
    return float(np.mean([decided.verdict(decided.compared(v)) == decided.FAILS for v in named]))


def false_holds(seeds: int, tied: int, trials: int) -> float:
    """Share of the trials in which the best of some tied accuracies is above one more of them."""
    rng, found = np.random.default_rng(seeds), 0
    for i in range(trials):
        *others, native = differences(rng, seeds, tied + 1, seeds == 1, i)
        found += decided.interval(largest(others) - native)[0] > 0
    return found / trials


def main(trials: int = 1000) -> None:
    heads = [f"fails, of {n}" for n in COMPARISONS] + ["best of 6"]
    print("| seeds | " + " | ".join(heads) + " |")
    for seeds in SEEDS:
        for images in (False, True)[seeds == 1 :]:
            found = [false_fails(seeds, n, images, trials) for n in COMPARISONS]
            found += [] if images and seeds > 1 else [false_holds(seeds, 6, trials)]
            numbers = " | ".join(f"{100 * x:.1f}" for x in found)
            print(f"| {seeds}{', images too' * images} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
