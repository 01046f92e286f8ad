"""Numbers that the paper prints in its text, from the cells that measure them.

Resolutions are the paper's. `says` is how the text prints the number.
"""

from collections.abc import Callable

from fixres.graph.claims import Quoted
from fixres.graph.values import Cells, Value, largest, mean, smallest, where_largest


def _difference(page: str, after: tuple[str, str], before: tuple[str, str], metric: str = "top1"):
    """The number of one cell less that of another. A cell is (row, column)."""
    return lambda cells: cells(page, *after, metric) - cells(page, *before, metric)


def _peak(column: str) -> Callable[[Cells], Value]:
    return lambda cells: where_largest(cells.column("table5", column))


def _backward_over_forward(part: str, choose: Callable) -> Callable[[Cells], Value]:
    """The time of a backward pass over that of a forward pass: a range over Table 7's rows."""

    def ratio(cells: Cells) -> Value:
        rows = cells.rows("table7", f"{part} forward")
        forward = (cells("table7", row, f"{part} forward", "forward_ms") for row in rows)
        backward = (cells("table7", row, f"{part} backward", "backward_ms") for row in rows)
        return choose([b / f for b, f in zip(backward, forward, strict=True)])

    return ratio


def _hours_over(row: str, other: str) -> Callable[[Cells], Value]:
    def ratio(cells: Cells) -> Value:
        total = "total time"
        return cells("table7", row, total, "hours") / cells("table7", other, total, "hours")

    return ratio


def _added_hours(cells: Cells) -> Value:
    return (_hours_over("128 224 fine-tuned", "128 128")(cells) - 1.0) * 100.0


def _fold_deviation(cells: Cells) -> Value:
    columns = cells.columns("table5")
    return mean([q for c in columns for q in cells.column("table5", c, "top1_std").values()])


PNASNET, BEST = "PNASNet-5-Large", "ResNeXt-101 32x48d"
TIMES, PX = "times", "px"

OF_TABLES = [
    Quoted(
        "third-time",
        "§1",
        "evaluation: time of the forward pass at 224 over that at 112",
        "threefold",
        lambda cells: (
            cells("section1", "224", "evaluation") / cells("section1", "112", "evaluation")
        ),
        TIMES,
    ),
    Quoted(
        "ra",
        "§5.1",
        "gain of k_train 224 by repeated augmentation, on the same number of crops",
        "76.2 to 77.0",
        _difference("section5", ("RA 3", "224"), ("RA 1", "224")),
    ),
    Quoted("folds", "§5", "standard deviation over ten folds", "0.03", _fold_deviation, decimals=2),
    Quoted(
        "peak-gain",
        "§3.3, §5.1",
        "gain of k_train 224 by testing at 288, nothing fine-tuned",
        "77.0 to 78.4: 1.4",
        _difference("table5", ("288", "224"), ("224", "224")),
    ),
    Quoted("peak-before", "§5.1", "best k_test of k_train 224", "288", _peak("224"), PX, 0),
    Quoted("peak-after", "§5.1", "the same after fine-tuning", "384", _peak("224 adapted"), PX, 0),
    Quoted(
        "pnasnet-gain",
        "§5.1",
        "gain of PNASNet by fine-tuning at 480, over 331",
        "1",
        _difference("table1", (f"{PNASNET} cls+bn+cells", "480"), (PNASNET, "331")),
    ),
    Quoted(
        "resnext-gain",
        "§5.1",
        "gain of ResNeXt by fine-tuning at 320, over 224",
        "1.0",
        _difference("table1", (f"{BEST} cls+bn", "320"), (f"{BEST} cls+bn", "224")),
    ),
    Quoted(
        "ten-crops",
        "§5.1",
        "top-1 of PNASNet at 480, mean of ten crops an image",
        "83.9",
        lambda cells: cells("table1", f"{PNASNET} cls+bn+cells 10 crops", "480", "top1_10crops"),
        "%",
    ),
    Quoted(
        "sota-top1",
        "§5.2",
        "top-1 of our ResNeXt over the best before",
        "1.0",
        _difference("table2", (f"Our {BEST}", "Top-1 (%)"), (BEST, "Top-1 (%)")),
    ),
    Quoted(
        "sota-top5",
        "§5.2",
        "the same in top-5",
        "0.4",
        _difference("table2", (f"Our {BEST}", "Top-5 (%)"), (BEST, "Top-5 (%)"), "top5"),
    ),
    Quoted(
        "backward-least",
        "§5.1",
        "training: time of the backward pass over that of the forward pass, least",
        "3",
        _backward_over_forward("train", smallest),
        TIMES,
    ),
    Quoted(
        "backward-most",
        "§5.1",
        "the same, most",
        "6",
        _backward_over_forward("train", largest),
        TIMES,
    ),
    Quoted(
        "inverted",
        "§5.1",
        "the same in fine-tuning, most",
        "inverted: below 1",
        _backward_over_forward("fine-tuning", largest),
        TIMES,
        2,
    ),
    Quoted(
        "plus11",
        "§5.1",
        "training time that fine-tuning at 224 adds to k_train 128",
        "11",
        _added_hours,
        "%",
    ),
    Quoted(
        "faster",
        "§5.1",
        "training time of k_train 384 over that of 224 fine-tuned at 384",
        "2.3",
        _hours_over("384 384", "224 384 fine-tuned"),
        TIMES,
    ),
]
