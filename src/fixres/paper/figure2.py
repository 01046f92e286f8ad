"""Figure 2: how much of an image train DA and test DA cut out."""

from fixres.graph.api import Figure, JobGraph, Line, Sample, grid, line
from fixres.graph.asking import measure_sizes, scaled
from fixres.paper.subjects import images

K = 224  # of the paper; the areas hardly depend on it
# A cell with a histogram of areas is a list: of the RoCs, the shares in equal parts of [0, 1].
COLUMNS = {
    "train DA": "train_areas",
    "test DA": "test_areas",
    "train DA mean": "train_area",
    "test DA mean": "test_area",
}


def figure2(plan: JobGraph) -> Figure:
    """Declare the figure."""
    k = scaled(plan, K)

    def measure(*_: None) -> Sample:
        return Sample(measure_sizes(plan, k, k))

    columns = [
        Line((name, name), [(name, name)], metric=metric) for name, metric in COLUMNS.items()
    ]
    title = "Area of the RoC over the area of the image"
    block = grid(plan, "figure2", title, ["k"], [line(plan, str(K), K)], columns, measure)
    return Figure(
        "figure2",
        "Figure 2",
        "How much of an image is cut out: area of the region of classification (RoC) over the "
        "area of the image.",
        images(plan),
        [block],
        draw="areas",
    )
