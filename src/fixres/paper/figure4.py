"""Figure 4: the distribution of the pooled activations before and after fine-tuning (§4.2)."""

from fixres.graph.api import Figure, JobGraph, Sample, grid, resolutions
from fixres.graph.asking import scaled
from fixres.paper.activations import K_TEST, K_TRAIN, number, of_adapted, of_base
from fixres.paper.subjects import main_subject


def figure4(plan: JobGraph) -> Figure:
    """Declare the figure. It uses the resolutions of Figure 3, since §4.2 names none."""

    def measure(k_test: int, adapted: bool | None) -> Sample:
        return of_adapted(plan, k_test) if adapted else of_base(plan, k_test)

    before, after = number(plan, "before", "pooled"), number(plan, "after", "pooled")
    columns = [before, after._replace(value=True)]
    title, heads = "Activations after the average pooling", ["Test resolution"]
    return Figure(
        "figure4",
        "Figure 4",
        "CDF of the activations after the average pooling, before and after fine-tuning at the "
        f"test resolution; trained at {scaled(plan, K_TRAIN)}.",
        main_subject(plan),
        [grid(plan, "figure4", title, heads, resolutions(plan, K_TEST), columns, measure)],
        draw="pooled_activations",
        settings={
            "panels": [["before", "before fine-tuning"], ["after", "after fine-tuning"]],
            "k_train": scaled(plan, K_TRAIN),
        },
    )
