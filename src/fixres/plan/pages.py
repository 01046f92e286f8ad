"""TODO."""

import csv
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

REFERENCE = Path(__file__).parent.parent / "paper" / "reference"
Label = tuple[str, str]  # ours, the paper's


class Cell(NamedTuple):
    """One number of a page."""

    row: str
    column: str
    paper_row: str  # the row and column of the paper's table that it stands for (reference/*.csv)
    paper_column: str
    metric: str  # top1, top5 (per cent), top1_10crops (with ten crops an image), parameters (millions), forward_ms, backward_ms, hours
    paper: float | None  # the number that the paper printed there, if it printed one
    run: str | None  # what is measured …
    k_test: int | None  # … at which test resolution; None: `note` says why it is not
    source: str = "measured"  # or reported (the paper quotes it) or missing (weights or images were not given)
    note: str = ""
    plus: str | None = None  # another run, whose number is added
    paper_std: float | None = None


class Row(NamedTuple):
    """A row of a table: what it is called, and what stands in its leading columns."""

    key: Label
    labels: list[Label]


class Block(NamedTuple):
    """A part of a table with columns of its own: the left or right half of Table 5."""

    title: str
    heads: list[str]  # of the leading columns
    columns: list[Label]
    rows: list[Row]
    cells: list[list[Cell | None]]  # row by row


class Figure(NamedTuple):
    """A figure that draws a table's cells."""

    name: str
    caption: str


class Page(NamedTuple):
    """A table, and the figure that draws the same cells: what it shows and how it is headed."""

    name: str
    title: str
    caption: str
    subject: Label  # what our numbers are of, and what the paper's
    blocks: list[Block]
    figure: Figure | None = None
    notes: tuple[str, ...] = ()
    bold: str = ""  # "column": the best of ours in a column is bold

    def cells(self) -> Iterable[Cell]:
        """All cells, row by row."""
        return (cell for block in self.blocks for line in block.cells for cell in line if cell)


@functools.cache
def printed(table: str) -> dict[tuple[str, str, str], float]:
    """(row, column, metric) -> the number that the paper printed: reference/<table>.csv. A page of your own has none."""
    file = REFERENCE / f"{table}.csv"
    if not file.is_file():
        return {}
    with open(file, newline="", encoding="utf-8") as f:
        return {
            (line["row"], line["column"], line["metric"]): float(line["value"])
            for line in csv.DictReader(f)
        }
