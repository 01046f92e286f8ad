"""Numbers of the text on apparent sizes (§3.1, §4.1) and on the images of an epoch (§5).

They are measured on the training images, with the RoCs that a training draws.
"""

from fixres.graph.values import Cells, Value
from fixres.paper.quoted import TIMES, quoted

USUAL = "224 224"  # the row of Figure 1 with this k_train and this k_test


@quoted("ratio-expected", "§3.1.2, eq. 5", "0.80", TIMES, 3)
def _(cells: Cells) -> Value:
    """expected r_test / r_train at 224, in closed form"""
    return cells("figure1", USUAL, "expected_ratio")


@quoted("ratio", "§3.1.2, eq. 5", "0.80", TIMES, 3)
def _(cells: Cells) -> Value:
    """the same, measured on training images"""
    return cells("figure1", USUAL, "ratio")


@quoted("margin", "§3.1.2", "1.15", TIMES, 3)
def _(cells: Cells) -> Value:
    """k_test_image over k_train"""
    return cells("figure1", USUAL, "margin")


@quoted("third", "§3.1.2", "a third", TIMES, 3)
def _(cells: Cells) -> Value:
    """least r_test / r_train of any training image"""
    return cells("figure1", USUAL, "least_ratio")


@quoted("alpha", "§4.1", "1.25", TIMES, 3)
def _(cells: Cells) -> Value:
    """k_test over k_train at which the measured r_test / r_train is 1 on average"""
    return 1.0 / cells("figure1", USUAL, "ratio")


@quoted("images", "§5", "~90", "%")
def _(cells: Cells) -> Value:
    """share of the training images that an epoch shows, counted"""
    return cells("figure2", "224", "train DA", "seen")
