"""Figure 3: the distribution of the pooled activations at several test resolutions (§3.2)."""

from fixres.graph.api import Figure, JobGraph, Sample, grid, resolutions
from fixres.graph.asking import scaled
from fixres.paper.activations import K_TEST, K_TRAIN, number, of_base
from fixres.paper.subjects import main_subject


def figure3(plan: JobGraph) -> Figure:
    """Declare the figure. It draws the column "distribution"; the text of §3.2 has the others."""

    def measure(k_test: int, half: bool | None) -> Sample | None:
        if half and k_test != scaled(plan, K_TRAIN):
            return None
        return of_base(plan, k_test)

    columns = [
        number(plan, "distribution", "pooled"),
        number(plan, "half of the images", "half")._replace(value=True),
        number(plan, "zeros", "zeros"),
        number(plan, "above 2", "above"),
        number(plan, "map", "map"),
    ]
    title, heads = "Activations after the average pooling", ["Test resolution"]
    return Figure(
        "figure3",
        "Figure 3",
        "CDF of the activations after the average pooling, tested at several resolutions; trained "
        f"at {scaled(plan, K_TRAIN)}.",
        main_subject(plan),
        [grid(plan, "figure3", title, heads, resolutions(plan, K_TEST), columns, measure)],
        draw="pooled_activations",
        settings={"panels": [["distribution", ""]], "k_train": scaled(plan, K_TRAIN)},
    )
