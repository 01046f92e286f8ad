"""The claims on the statistics of activations (§3.2, §4.2, A.2). They belong to claims.py."""

from math import log

from fixres.graph.values import Cells, Value, largest_gap, slope
from fixres.paper.claims import claim

K_TRAIN, OTHERS = 224, (64, 128, 448)
POINTS = "points of the CDF"


@claim("stats-shift", "§3.2", unit=POINTS)
def _(cells: Cells) -> dict[str, Value]:
    """At other test resolutions than 224, pooled activations have a different distribution."""
    native = cells("figure3", K_TRAIN, "distribution")
    half = cells("figure3", K_TRAIN, "half of the images")
    chance = largest_gap(half, native - half)
    return {
        f"at {k}": largest_gap(cells("figure3", k, "distribution"), native) - chance for k in OTHERS
    }


@claim("sparse", "§3.2")
def _(cells: Cells) -> dict[str, Value]:
    """At 64, pooled activations are sparser and more spread out than at 224."""
    return _less_at(cells, K_TRAIN, 64)


@claim("dense", "§3.2")
def _(cells: Cells) -> dict[str, Value]:
    """At 448, pooled activations are less sparse and spread out than at 224."""
    return _less_at(cells, 448, K_TRAIN)


def _less_at(cells: Cells, k: int, other: int) -> dict[str, Value]:
    """How many fewer activations are zero, or large, at k than at another k_test."""
    return {
        what: cells("figure3", other, what) - cells("figure3", k, what)
        for what in ("zeros", "above 2")
    }


@claim("stats-return", "§4.2, Figure 4", unit=POINTS)
def _(cells: Cells) -> dict[str, Value]:
    """Fine-tuning brings the distribution of pooled activations closer to the one at k_train."""
    native = cells("figure3", K_TRAIN, "distribution")

    def distance(k: int, when: str) -> Value:
        return largest_gap(cells("figure4", k, when), native)

    return {f"at {k}": distance(k, "before") - distance(k, "after") for k in OTHERS}


@claim("stats-close", "§4.2, Figure 4", unit=POINTS)
def _(cells: Cells) -> dict[str, Value]:
    """After fine-tuning, that distribution closely resembles the one at k_train: more than half of
    the distance is gone.
    """
    native = cells("figure3", K_TRAIN, "distribution")
    distance = {
        k: [largest_gap(cells("figure4", k, when), native) for when in ("before", "after")]
        for k in OTHERS
    }
    return {f"at {k}": before * 0.5 - after for k, (before, after) in distance.items()}


@claim("gauss-drift", "A.2", unit="% for each factor e")
def _(cells: Cells) -> dict[str, Value]:
    """Before the last ReLU, channel means move towards 0 and channel variances shrink as the test
    resolution grows.
    """
    smaller = {}
    for what in ("channel mean", "channel variance"):
        at = {k: cells("figure6", k, what) for k in (64, 128, 224, 448)}
        smaller[what] = slope({log(k): q for k, q in at.items()}) / at[K_TRAIN] * -100.0
    return smaller
