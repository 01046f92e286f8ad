"""What a page consists of: a grid of cells, each one number with its run. Pure data."""

from collections.abc import Iterable
from typing import NamedTuple

Label = tuple[str, str]  # what we write, and what the paper writes in the same place


class Cell(NamedTuple):
    """One number of a page."""

    row: str
    column: str
    paper_row: str  # the paper's name of this row (paper/reference/*.csv)
    paper_column: str
    # top1, top5, top1_10crops (per cent), parameters (millions), forward_ms, backward_ms, hours,
    # megabytes
    metric: str
    paper: float | None  # what the paper printed here; None: it printed nothing
    # The runs that are measured, one a seed. A run that has no seed, such as published weights,
    # stands there once for each. Empty: `note` says why there is none.
    runs: list[str]
    k_test: int | None  # the test resolution that it is measured at, pixels
    source: str = "measured"  # or reported (the paper quotes it), or missing
    note: str = ""
    plus: str | None = None  # a run whose number is added
    paper_std: float | None = None


class Row(NamedTuple):
    """A row of a table: its name, and the texts of its leading columns."""

    key: Label
    labels: list[Label]


class Block(NamedTuple):
    """A part of a table with columns of its own, such as the left half of Table 5."""

    title: str
    heads: list[str]  # of the leading columns
    columns: list[Label]
    rows: list[Row]
    cells: list[list[Cell | None]]  # row by row


def cells_of(blocks: Iterable[Block]) -> Iterable[Cell]:
    """All cells of some blocks, row by row."""
    return (cell for block in blocks for line in block.cells for cell in line if cell)


class Figure(NamedTuple):
    """A figure. It draws the cells of its blocks, and what lies in the files of some jobs."""

    name: str
    title: str
    caption: str
    subject: Label  # the networks and images of our numbers, and of the paper's
    draw: str  # the module of pages/figures/ that draws it
    blocks: list[Block] = []  # noqa: RUF012 (nothing changes it)
    files: dict[str, tuple[str, str]] = {}  # noqa: RUF012  name -> a job, and a file of its folder
    settings: dict = {}  # noqa: RUF012  what else the drawing is told
    missing: tuple[str, ...] = ()  # what was not given, so that a job of `files` is not there

    def cells(self) -> Iterable[Cell]:
        """The cells that claims and numbers of the text may ask for."""
        return cells_of(self.blocks)


class Page(NamedTuple):
    """A table."""

    name: str
    title: str
    caption: str
    subject: Label  # the networks and images of our numbers, and of the paper's
    blocks: list[Block]
    notes: tuple[str, ...] = ()
    bold: str = ""  # "column": the best of our numbers in a column is bold

    def cells(self) -> Iterable[Cell]:
        """All cells, row by row."""
        return cells_of(self.blocks)
