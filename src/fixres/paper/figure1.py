"""Figure 1: the region of one image that is cut out at train time and at test time (§3.1)."""

from fixres.graph.api import Figure, JobGraph, Line, Missing, Sample, grid
from fixres.graph.asking import cut_crops, measure_sizes, scaled
from fixres.paper.subjects import images

# The crops shown next to the image: k_train and k_test, the paper's resolutions.
USUAL, LOWER, HIGHER = (224, 224), (160, 224), (224, 288)
METRICS = ("expected_ratio", "ratio", "log_ratio", "least_ratio", "margin")


def figure1(plan: JobGraph) -> Figure:
    """Declare the figure. Its cells summarise the RoCs of many images (eqs. 4 and 5)."""
    here = {pair: tuple(scaled(plan, k) for k in pair) for pair in (USUAL, LOWER, HIGHER)}

    def measure(pair: tuple[int, int], _: None) -> Sample:
        return Sample(measure_sizes(plan, *pair))

    rows = [_line(_words(here[pair]), _words(pair), here[pair]) for pair in here]
    columns = [_line(metric, metric, metric=metric) for metric in METRICS]
    title, heads = "r_test / r_train over the training images", ["k_train, k_test"]
    block = grid(plan, "figure1", title, heads, rows, columns, measure)
    return Figure(
        "figure1",
        "Figure 1",
        "The same object in the crops that a network is trained on and tested on.",
        images(plan),
        [block],
        draw="crop_sheet",
        files=_crops(plan),
        settings={"shown": [here[pair] for pair in (USUAL, LOWER, HIGHER)]},
    )


def _line(ours: str, paper: str, value: object = None, metric: str = "top1") -> Line:
    return Line((ours, paper), [(ours, paper)], value, metric)


def _words(pair: tuple[int, int]) -> str:
    """How a row names k_train and k_test."""
    return "{} {}".format(*pair)


def _crops(plan: JobGraph) -> dict[str, str]:
    """The file with the crops; empty without images, because the cells then say what is missing."""
    usual, lower, higher = scaled(plan, USUAL[0]), scaled(plan, LOWER[0]), scaled(plan, HIGHER[1])
    try:
        return cut_crops(plan, usual, lower, higher).outputs
    except Missing:
        return {}
