"""Figure 7: the accuracy of one network over k_test, pixel by pixel (Appendix B)."""

from fixres.graph.api import Figure, JobGraph, Line, Sample, grid, line
from fixres.graph.asking import scaled, sweep, train
from fixres.models.catalogue.zoo import ZOO
from fixres.paper.subjects import main_subject

K_TRAIN = 224


def figure7(plan: JobGraph) -> Figure:
    """Declare the figure. The paper prints none of its numbers; those of §3.3 stand beside them."""
    k_tests = sorted(plan.config.figure7.k_test)

    def measure(_: None, k_test: int) -> Sample:
        return Sample(sweep(plan, train(plan, scaled(plan, K_TRAIN)), k_test), k_test)

    papers = [str(k * plan.config.resolution_divisor) for k in k_tests]
    columns = [
        Line((str(k), paper), [(str(k), paper)], k)
        for k, paper in zip(k_tests, papers, strict=True)
    ]
    rows = [line(plan, "accuracy", K_TRAIN)]
    title, heads = "Top-1 accuracy at test resolution", ["Train resolution"]
    return Figure(
        "figure7",
        "Figure 7",
        "Top-1 accuracy according to the test resolution, pixel by pixel, without adaptation.",
        main_subject(plan),
        [grid(plan, "section3.3", title, heads, rows, columns, measure)],
        draw="sweep",
        settings={
            "k_train": scaled(plan, K_TRAIN),
            "stride": ZOO[plan.config.network].stride,
            "divisor": plan.config.resolution_divisor,
        },
    )
