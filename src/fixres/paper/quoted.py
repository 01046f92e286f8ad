"""Numbers that the paper prints in its text, one function per number, as in claims.py.

Resolutions are the paper's. Each function computes its number from the cells that measure it.
"""

from collections.abc import Callable

from fixres.graph.claims import Quoted
from fixres.graph.values import Cells, Value, largest, mean, smallest, where_largest

QUOTED: list[Quoted] = []

Computes = Callable[[Cells], Value]

PNASNET, BEST = "PNASNet-5-Large", "ResNeXt-101 32x48d"
TIMES, PX = "times", "px"


def quoted(
    name: str, where: str, says: str, unit: str = "points", decimals: int = 1
) -> Callable[[Computes], None]:
    """Add a number that the function below computes. The function's docstring describes it.

    Parameters
    ----------
    says : how the text prints the number.
    """

    def add(number: Computes) -> None:
        QUOTED.append(Quoted(name, where, number.__doc__, says, number, unit, decimals))

    return add


@quoted("third-time", "§1", "threefold", TIMES)
def _(cells: Cells) -> Value:
    """evaluation: time of the forward pass at 224 over that at 112"""
    return cells("section1", "224", "evaluation") / cells("section1", "112", "evaluation")


@quoted("ra", "§5", "76.2 to 77.0")
def _(cells: Cells) -> Value:
    """gain of k_train 224 by repeated augmentation, on the same number of crops"""
    return cells("section5", "RA 3", "224") - cells("section5", "RA 1", "224")


@quoted("folds", "§5", "0.03", decimals=2)
def _(cells: Cells) -> Value:
    """standard deviation over ten folds"""
    columns = cells.columns("table5")
    return mean([q for c in columns for q in cells.column("table5", c, "top1_std").values()])


@quoted("peak-gain", "§3.3, §5", "77.0 to 78.4: 1.4")
def _(cells: Cells) -> Value:
    """gain of k_train 224 by testing at 288, nothing fine-tuned"""
    return cells("table5", 288, "224") - cells("table5", 224, "224")


@quoted("peak-before", "§5.1", "288", PX, 0)
def _(cells: Cells) -> Value:
    """best k_test of k_train 224"""
    return where_largest(cells.column("table5", "224"))


@quoted("peak-after", "§5.1", "384", PX, 0)
def _(cells: Cells) -> Value:
    """the same after fine-tuning"""
    return where_largest(cells.column("table5", "224 adapted"))


@quoted("pnasnet-gain", "§5.1", "1")
def _(cells: Cells) -> Value:
    """gain of PNASNet by fine-tuning at 480, over 331"""
    return cells("table1", f"{PNASNET} cls+bn+cells", "480") - cells("table1", PNASNET, "331")


@quoted("resnext-gain", "§5.1", "1.0")
def _(cells: Cells) -> Value:
    """gain of ResNeXt by fine-tuning at 320, over 224"""
    return cells("table1", f"{BEST} cls+bn", "320") - cells("table1", f"{BEST} cls+bn", "224")


@quoted("ten-crops", "§5.1", "83.9", "%")
def _(cells: Cells) -> Value:
    """top-1 of PNASNet at 480, mean of ten crops per image"""
    return cells("table1", f"{PNASNET} cls+bn+cells 10 crops", "480", "top1_10crops")


@quoted("sota-top1", "§5.2", "1.0")
def _(cells: Cells) -> Value:
    """top-1 of our ResNeXt over the best before"""
    return cells("table2", f"Our {BEST}", "Top-1 (%)") - cells("table2", BEST, "Top-1 (%)")


@quoted("sota-top5", "§5.2", "0.4")
def _(cells: Cells) -> Value:
    """the same in top-5"""
    ours, best = (cells("table2", row, "Top-5 (%)") for row in (f"Our {BEST}", BEST))
    return ours - best


def _backward_over_forward(cells: Cells, part: str) -> list[Value]:
    """Time of the backward pass over the time of the forward pass, for each row of Table 7."""
    backward, forward = f"{part} backward", f"{part} forward"
    rows = cells.rows("table7", forward)
    return [cells("table7", row, backward) / cells("table7", row, forward) for row in rows]


@quoted("backward-least", "§5.1", "3", TIMES)
def _(cells: Cells) -> Value:
    """training: time of the backward pass over that of the forward pass, least"""
    return smallest(_backward_over_forward(cells, "train"))


@quoted("backward-most", "§5.1", "6", TIMES)
def _(cells: Cells) -> Value:
    """the same, most"""
    return largest(_backward_over_forward(cells, "train"))


@quoted("inverted", "§5.1", "inverted: below 1", TIMES, 2)
def _(cells: Cells) -> Value:
    """the same in fine-tuning, most"""
    return largest(_backward_over_forward(cells, "fine-tuning"))


@quoted("plus11", "§5.1", "11", "%")
def _(cells: Cells) -> Value:
    """training time that fine-tuning at 224 adds to k_train 128"""
    tuned, alone = (cells("table7", row, "total time") for row in ("128 224 fine-tuned", "128 128"))
    return (tuned / alone - 1.0) * 100.0


@quoted("faster", "§5.1", "2.3", TIMES)
def _(cells: Cells) -> Value:
    """training time of k_train 384 over that of 224 fine-tuned at 384"""
    one, other = (cells("table7", row, "total time") for row in ("384 384", "224 384 fine-tuned"))
    return one / other
