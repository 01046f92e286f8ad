"""Figure 7: the accuracy of one network over k_test, pixel by pixel (Appendix B).

Columns are named by pixels times the divisor, so that the names are as evenly spaced as the pixels.
The paper's number next to k_train, and the axis of the paper's resolutions, follow the other pages:
at an eighth of the paper's resolutions 32 px stand for 224, not for 256.
"""

from fixres.graph.api import Cell, Figure, JobGraph, Line, Sample, grid, line
from fixres.graph.asking import scaled, sweep, train
from fixres.models.catalogue.zoo import ZOO
from fixres.paper.subjects import main_subject

K_TRAIN = 224


def figure7(plan: JobGraph) -> Figure:
    """Declare the figure. The paper prints no numbers for it, so §3.3's are shown with ours."""
    k_tests = sorted(plan.config.figure7.k_test)

    def measure(_: None, k_test: int) -> Sample:
        return Sample(sweep(plan, train(plan, scaled(plan, K_TRAIN)), k_test), k_test)

    native, divisor = scaled(plan, K_TRAIN), plan.config.resolution_divisor
    papers = {k: k * divisor for k in range(k_tests[0], k_tests[-1] + 1)} | {native: K_TRAIN}

    def column(k: int) -> Line:
        return Line((str(k), str(k * divisor)), [(str(k), str(papers[k]))], k)

    def with_papers_number(cell: Cell) -> Cell:
        paper = papers[int(cell.column)]
        # Unless the paper's resolution is measured at another k_test.
        here = scaled(plan, paper) == int(cell.column)
        number = plan.printed("section3.3").get(("accuracy", str(paper), "top1"))
        return cell.model_copy(update={"paper": number if here else None})

    rows, columns = [line(plan, "accuracy", K_TRAIN)], [column(k) for k in k_tests]
    title, heads = "Top-1 accuracy at test resolution", ["Train resolution"]
    figure = Figure(
        "figure7",
        "Figure 7",
        "Top-1 accuracy according to the test resolution, pixel by pixel, without adaptation.",
        main_subject(plan),
        [grid(plan, "figure7", title, heads, rows, columns, measure)],
        draw="sweep",
        settings={
            "k_train": native,
            "stride": ZOO[plan.config.network].stride,
            "papers": {str(k): paper for k, paper in papers.items()},
        },
    )
    return figure.with_cells(with_papers_number)
