"""The pages of claims and of numbers in the text: what they ask of the cells of other pages."""

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from fixres.graph import values
from fixres.graph.graph import Missing
from fixres.graph.pages import Cell, Logs, Page, Record
from fixres.graph.values import Cells, Key, Value
from fixres.jobs import digest


class Claim(NamedTuple):
    """A sentence of the paper that numbers decide."""

    name: str  # short and unique, such as "adapt-always"
    where: str  # the place in the paper
    sentence: str  # the claim in our words
    # Gives what is above 0 if the claim holds. Where it gives several, by what they compare, the
    # claim says it of each. Raises Missing where a cell is missing.
    number: Callable[[Cells], Value | dict[str, Value]]
    unit: str = "points"


class Quoted(NamedTuple):
    """A number in the paper's text."""

    name: str  # short and unique, such as "peak-gain"
    where: str  # the place in the paper
    sentence: str  # what the number is
    says: str  # how the text prints it
    number: Callable[[Cells], Value]  # gives the same from cells, or raises Missing
    unit: str = "points"
    decimals: int = 1


class ClaimsPage(Record):
    """The page of claims, or of numbers in the text: its resolved configuration."""

    scale: str
    decimals: int
    notes: dict[str, str]  # name -> what is missing for it; empty: it is computed
    cells: dict[str, Cell]  # a `Key` as text -> the cell that a function asked for
    # Page -> the names of its cells (`Cells`), of the pages that a function asked for.
    names: dict[str, tuple[tuple[str, str, str], ...]]
    may_have_failed: dict[str, Logs]  # as on other pages; the graph adds it
    code: str  # digest of what is declared and how it is computed (`code_of`)


def planned(
    declared: Sequence[Claim | Quoted], pages: Mapping[str, Page], **shown: object
) -> ClaimsPage:
    """The page of some claims or numbers. Their functions tell which cells they need.

    Parameters
    ----------
    pages : name -> the pages whose cells they may ask for.
    shown : scale and decimals of the page.
    """
    used: dict[str, Cell] = {}

    def number(key: Key) -> Value:
        place = (key.row, key.column)
        cell = next(c for c in pages[key.page].cells() if (c.paper_row, c.paper_column) == place)
        if cell.source == "missing":
            raise Missing(cell.note)
        used[str(key)] = _placed(key, cell)
        return Value()

    names = {
        name: [(cell.paper_row, cell.paper_column, cell.metric) for cell in page.cells()]
        for name, page in pages.items()
    }
    cells = Cells(names, number)
    return ClaimsPage(
        notes={one.name: _missing(one.number, cells) for one in declared},
        cells=used,
        names={name: cells.names[name] for name in sorted(cells.opened)},
        may_have_failed={},
        code=code_of(declared),
        **shown,
    )


def _missing(ask: Callable[[Cells], object], cells: Cells) -> str:
    """What is missing for a claim or a number; empty: nothing."""
    try:
        ask(cells)
    except Missing as missing:
        return str(missing)
    return ""


def _placed(key: Key, cell: Cell) -> Cell:
    """A cell among cells of other pages, for one of its metrics, with a unique place.

    One number of the text may need the accuracy of a cell, and another number its deviation.
    """
    rows = {"row": f"{key.page} {cell.row}", "paper_row": f"{key.page} {cell.paper_row}"}
    placed = cell.model_copy(update=rows)
    if key.metric == cell.metric:
        return placed
    column, paper_column = (f"{name} {key.metric}" for name in (cell.column, cell.paper_column))
    changed = {"column": column, "paper_column": paper_column, "metric": key.metric, "paper": None}
    return placed.model_copy(update=changed)


def code_of(declared: Iterable[Claim | Quoted]) -> str:
    """Digest of the source of the modules that declare some claims, and of graph/values.py."""
    modules = {one.number.__module__ for one in declared} | {values.__name__}
    return digest(*(inspect.getsource(sys.modules[name]) for name in sorted(modules)))
