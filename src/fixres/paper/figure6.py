"""Figure 6: the Fréchet distribution fitted to the pooled activations (A.1); A.2's moments."""

from fixres.graph.api import Figure, JobGraph, grid, resolutions
from fixres.graph.asking import scaled
from fixres.paper.activations import K_TEST, K_TRAIN, number, of_base
from fixres.paper.subjects import main_subject

NUMBERS = {  # column -> metric (stages/activations.py, `MEASURED`)
    "distribution": "pooled",
    "μ": "mu",
    "σ": "sigma",
    "largest gap": "gap",
    "free μ": "free_mu",
    "free σ": "free_sigma",
    "free ξ": "free_xi",
    "largest gap, ξ free": "free_gap",
    "negative before ReLU": "negative",
    "channel mean": "channel_mean",
    "channel variance": "channel_variance",
}


def figure6(plan: JobGraph) -> Figure:
    """Declare the figure. It draws the fits; the moments before the ReLU are for the claims."""
    columns = [number(plan, name, metric) for name, metric in NUMBERS.items()]
    title, heads = "Activations after the average pooling", ["Test resolution"]
    rows = resolutions(plan, K_TEST)
    return Figure(
        "figure6",
        "Figure 6",
        "Fréchet distribution fitted to the CDF of the activations after the average pooling, "
        f"zeros left out; trained at {scaled(plan, K_TRAIN)}.",
        main_subject(plan),
        [grid(plan, "figure6", title, heads, rows, columns, lambda k, _: of_base(plan, k))],
        draw="frechet",
    )
