"""Figure 2: how much of an image train DA and test DA cut out."""

from fixres.paper.subjects import images
from fixres.plan import Figure, Line, Plan, Sample, grid, line

K = 224  # of the paper; the areas hardly depend on it


def figure2(plan: Plan) -> Figure:
    """Declare the figure. A cell is a histogram: the shares of the RoCs, from area 0 to 1."""
    k = plan.scaled(K)

    def measure(*_: None) -> Sample:
        return Sample(plan.measure_sizes(k, k))

    columns = [
        Line((name, name), [(name, name)], metric=metric)
        for name, metric in (("train DA", "train_areas"), ("test DA", "test_areas"))
    ]
    title = "Area of the RoC over the area of the image"
    block = grid(plan, "figure2", title, ["k"], [line(plan, str(K), K)], columns, measure)
    return Figure(
        "figure2",
        "Figure 2",
        "How much of an image is cut out: area of the region of classification (RoC) over the "
        "area of the image.",
        images(plan),
        "areas",
        [block],
    )
