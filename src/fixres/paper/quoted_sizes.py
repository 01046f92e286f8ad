"""Numbers of the text on apparent sizes (§3.1, §4.1) and on the images of an epoch (§5).

They are measured on the training images, with the RoCs that a training draws.
"""

from collections.abc import Callable

from fixres.graph.claims import Quoted
from fixres.graph.values import Cells, Value

USUAL = "224 224"  # the row of Figure 1 with this k_train and this k_test
TIMES = "times"


def _cell(metric: str) -> Callable[[Cells], Value]:
    return lambda cells: cells("figure1", USUAL, metric)


def _alpha(cells: Cells) -> Value:
    return 1.0 / cells("figure1", USUAL, "ratio")


def _seen(cells: Cells) -> Value:
    return cells("figure2", "224", "train DA", "seen")


OF_SIZES = [
    Quoted(
        "ratio-expected",
        "§3.1.2, eq. 5",
        "expected r_test / r_train at 224, in closed form",
        "0.80",
        _cell("expected_ratio"),
        TIMES,
        3,
    ),
    Quoted(
        "ratio",
        "§3.1.2, eq. 5",
        "the same, measured on training images",
        "0.80",
        _cell("ratio"),
        TIMES,
        3,
    ),
    Quoted("margin", "§3.1.2", "k_test_image over k_train", "1.15", _cell("margin"), TIMES, 3),
    Quoted(
        "third",
        "§3.1.2",
        "least r_test / r_train of any training image",
        "a third",
        _cell("least_ratio"),
        TIMES,
        3,
    ),
    Quoted(
        "alpha",
        "§4.1",
        "k_test over k_train at which the measured r_test / r_train is 1 on average",
        "1.25",
        _alpha,
        TIMES,
        3,
    ),
    Quoted(
        "images",
        "§5",
        "share of the training images that an epoch shows, counted",
        "~90",
        _seen,
        "%",
    ),
]
