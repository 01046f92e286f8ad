"""Figure 8: the accuracies of Table 9 over k_test (Appendix D)."""

from fixres.graph.api import Figure, JobGraph
from fixres.paper.subjects import main_subject


def figure8(plan: JobGraph) -> Figure:
    """Declare the figure. It draws the cells of Table 9."""
    return Figure(
        "figure8",
        "Figure 8",
        "Top-1 accuracy according to the test resolution, for networks that were trained on random "
        "crops of a fixed size.",
        main_subject(plan),
        plan.table("table9", "figure8").blocks,
        draw="accuracy",
    )
