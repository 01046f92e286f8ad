"""Claims on RoCs (§2), on the sizes of objects (§3.1, §4.1) and images (§5.3), on borders (App. B).

They are written as in claims.py.
"""

from contextlib import suppress
from dataclasses import replace

import numpy as np

from fixres.artifacts.per_image import among
from fixres.graph.api import Missing
from fixres.graph.values import Cells, Value, largest_gap, mean, rank_correlation, slope
from fixres.paper.claims import claim

STRIDE = 32  # of the paper's ResNet-50, pixels
USUAL = "224 224"  # the row of Figure 1 with this k_train and this k_test
VISIBLE = {  # columns of Section 3.1
    "by its visible part": "visible_ratio",
    "by its visible part, in crops that show it": "in_crop_ratio",
}
ALIKE = 0.1  # ln of a ratio of resolutions: a scale's differs from the paper's by less


@claim("mismatch", "§3.1", unit="of ln(r_train / r_test)")
def _(cells: Cells) -> Value | dict[str, Value]:
    """At equal resolutions, train DA shows an object larger than test DA does."""
    by_scale = cells("figure1", USUAL, "log_ratio") * -1.0
    with suppress(Missing):  # where objects have boxes: also of what the crops show of them
        of_all = {
            name: cells("section3.1", "all", column, among(f"{column}_log", "all")) * -1.0
            for name, column in VISIBLE.items()
        }
        return {"by its scale, eq. (4)": by_scale} | of_all
    return by_scale


@claim("sizes-alike", "§4.1, Figure 1", unit="of |ln(r_train / r_test)|")
def _(cells: Cells) -> dict[str, Value]:
    """A smaller k_train, or a larger k_test, brings the two sizes of an object closer together."""

    def nearer(k_train: int, k_test: int) -> Value:
        usual, row = (cells("figure1", at, "log_ratio") for at in (USUAL, f"{k_train} {k_test}"))
        gain, moved = abs(usual) - abs(row), (row - usual).ours
        # A coarse scale may have the same pixels for 160 and 128: that says nothing about 160.
        as_in_paper = moved is None or abs(abs(moved) - np.log(k_test / k_train)) < ALIKE
        return gain if as_in_paper else replace(gain, ours=None, replicas=None)

    return {"k_train 160": nearer(160, 224), "k_test 288": nearer(224, 288)}


@claim("roc-areas", "§2, Figure 2", unit="points of the CDF")
def _(cells: Cells) -> Value:
    """The areas of RoCs are distributed very differently at train and at test time: at least a
    quarter of the probability is at other areas.
    """
    train, test = (cells("figure2", "224", f"{when} DA") for when in ("train", "test"))
    return largest_gap(train, test) - 25.0


@claim("transfer-size", "§5.3", unit="(rank correlation)")
def _(cells: Cells) -> Value:
    """Among the five fine-grained datasets, datasets of larger images gain more."""

    def gain(name: str) -> Value:
        return cells("table3", name, "+our method") - cells("table3", name, "Baseline")

    names = cells.rows("table3", "+our method")
    return rank_correlation([(gain(name), cells("table3", name, "Image size")) for name in names])


@claim("border", "Appendix B")
def _(cells: Cells) -> Value:
    """One pixel above a multiple of the stride, accuracy is lower than at the multiple, on
    average.
    """
    return mean(list(drops(cells).values()))


@claim("border-each", "Appendix B")
def _(cells: Cells) -> dict[str, Value]:
    """Accuracy drops in this way at each multiple of the stride."""
    return {f"at {k}": drop for k, drop in drops(cells).items()}


@claim("trend-rising", "Appendix B", unit="points for each 32 px")
def _(cells: Cells) -> Value:
    """Although accuracy drops at borders, its global trend over the test resolution is rising."""
    return slope(cells.row("figure7", "accuracy")) * float(STRIDE)


def drops(cells: Cells) -> dict[int, Value]:
    """Accuracy at a multiple of the stride minus accuracy at the next resolution of the sweep.

    One pixel at a smaller scale is several of the paper's pixels. So the next resolution is the
    next column, if it is below the next multiple.
    """
    accuracy = cells.row("figure7", "accuracy")
    after = dict(zip(sorted(accuracy), sorted(accuracy)[1:], strict=False))
    multiples = [k for k in after if k % STRIDE == 0 and after[k] < k + STRIDE]
    return {k: accuracy[k] - accuracy[after[k]] for k in multiples}
