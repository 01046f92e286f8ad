"""How long a plan takes, and how it is thinned out to fit a budget."""

from collections.abc import Iterator
from pathlib import Path

from fixres import config, paper
from fixres.artifacts.manifest import SPLITS
from fixres.graph.costs import Costs
from fixres.graph.graph import JobGraph
from fixres.graph.pages import Cost
from fixres.jobs import JobError

START_UP = 4.0  # seconds that a job takes to start: importing torch and timm, building the network
# What a budget leaves: images of train and of val, at first and at the least; and k_test.
ENOUGH, FEWEST, FEW_K = (4000, 2000), (500, 1000), 3


def fit(content: dict, sizes: tuple[int, int], budget: float | None) -> float:
    """Thin out images and resolutions until the plan fits the budget. Returns its minutes.

    First fewer images, down to some thousand; then one crop_pct and fewer k_test; then fewer images
    again. Each is said. `content` is changed.
    """
    asked = minutes = estimate(content, sizes)
    for what in thinner(content, sizes) if budget and minutes > budget else ():
        minutes = estimate(content, sizes)
        print(f"budget: {what}: about {minutes:.0f} min")
        if minutes <= budget:
            break
    if budget and minutes > budget:
        raise JobError(
            f"--budget {budget:g}: found about {asked:.2g} min, and {minutes:.2g} at the least; "
            "give a larger budget, a smaller --k-test, or a faster machine"
        )
    return minutes


def thinner(content: dict, sizes: tuple[int, int]) -> Iterator[str]:
    """Make the plan smaller step by step; each step is described."""
    [dataset], custom = content["datasets"].values(), content["custom"]
    limit, left = dataset.setdefault("limit", {}), dict(zip(SPLITS, sizes, strict=True))
    native = custom["k_train"] or custom["network"]["native"]

    def fewer(fewest: tuple[int, int]) -> Iterator[str]:
        for part, least in zip(SPLITS, fewest, strict=True):
            while left[part] >= 2 * least:
                left[part] //= 2
                limit[part] = left[part]
                yield f"{left[part]:,} images of {part}"

    yield from fewer(ENOUGH)
    if len(custom["crop_pct"]) > 1:
        custom["crop_pct"] = [custom["network"]["crop_pct"]]
        yield f"crop_pct {custom['crop_pct'][0]:g} alone"
    while len(custom["k_test"]) > FEW_K:
        dropped = max(custom["k_test"], key=lambda k: abs(k - native))
        custom["k_test"].remove(dropped)
        yield f"without k_test {dropped}"
    yield from fewer(FEWEST)


def planned(content: dict) -> JobGraph:
    """The plan of a configuration. Raises ConfigError where it cannot be planned."""
    merged = config.merge(config.read_yaml("config.yaml"), content)
    return paper.plan_of(config.parse(merged, where="fixres recommend"))


def estimate(content: dict, sizes: tuple[int, int]) -> float:
    """About how many minutes the plan takes on this machine."""
    plan = planned(content)
    [(name, dataset)] = content["datasets"].items()
    limit, parts = dataset.get("limit", {}), zip(SPLITS, sizes, strict=True)
    return minutes_of(plan, {name: tuple(min(n, limit.get(part, n)) for part, n in parts)})


def minutes_of(plan: JobGraph, sizes: dict[str, tuple[int, ...]] | None = None) -> float:
    """About how many minutes the jobs of a plan that are not done take on this machine.

    Parameters
    ----------
    sizes : training and validation images of datasets that are not listed yet.
    """
    costs = Costs(Cost.of(plan.resolved("pages/plan")), Path("results"))
    costs.sizes |= sizes or {}
    to_do = [name for name in costs.jobs if name not in costs.done]
    return sum(costs.seconds(name) + START_UP for name in to_do) / 60
