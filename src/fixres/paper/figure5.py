"""Figure 5: the accuracies of Table 5 over k_test."""

from fixres.graph.api import Figure, JobGraph
from fixres.paper.subjects import main_subject


def figure5(plan: JobGraph) -> Figure:
    """Declare the figure. It draws the cells of Table 5."""
    return Figure(
        "figure5",
        "Figure 5",
        "Top-1 accuracy according to the test resolution, without and with resolution adaptation.",
        main_subject(plan),
        plan.table("table5", "figure5").blocks,
        draw="accuracy",
    )
