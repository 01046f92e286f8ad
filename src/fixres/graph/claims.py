"""The pages of claims and of numbers in the text: what they ask of the cells of other pages."""

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, field_serializer

from fixres.graph import values
from fixres.graph.pages import Cell, Figure, Page
from fixres.graph.registry import Missing
from fixres.graph.values import Cells, Key, Value
from fixres.jobs import digest


class Claim(NamedTuple):
    """A sentence of the paper that numbers decide.

    Attributes
    ----------
    name : short and unique, such as "adapt-always".
    where : the place in the paper.
    sentence : the claim in our words.
    number : gives what is above 0 if the claim holds. Where it gives several, by what they compare,
        the claim says it of each. Raises Missing where a cell is missing.
    unit : of the numbers.
    """

    name: str
    where: str
    sentence: str
    number: Callable[[Cells], Value | dict[str, Value]]
    unit: str = "points"


class Quoted(NamedTuple):
    """A number in the paper's text.

    Attributes
    ----------
    name : short and unique, such as "peak-gain".
    where : the place in the paper.
    sentence : what the number is.
    says : how the text prints it.
    number : gives the same from cells. Raises Missing where a cell is missing.
    unit, decimals : how it is printed.
    """

    name: str
    where: str
    sentence: str
    says: str
    number: Callable[[Cells], Value]
    unit: str = "points"
    decimals: int = 1


class Asked(BaseModel, frozen=True):
    """A claim, as its page shows it."""

    name: str
    where: str
    sentence: str
    unit: str
    note: str  # what is missing for it; empty: its number is computed


class AskedNumber(Asked, frozen=True):
    """A number in the text, as its page shows it."""

    says: str
    decimals: int


class ClaimsPage(BaseModel, frozen=True):
    """The page of claims: its resolved configuration.

    Attributes
    ----------
    decimals : of the numbers.
    asked : what the page shows, in order.
    cells : `Key`, as text -> the cell that a function asked for.
    names : page -> the names of its cells, as for `Cells`; of the pages that a function asked for.
    may_have_failed : as on the pages of tables.
    code : digest of the functions that compute the numbers (`code_of`).
    """

    scale: str
    decimals: int
    asked: tuple[Asked, ...]
    cells: dict[str, Cell]
    names: dict[str, tuple[tuple[str, str, str], ...]]
    may_have_failed: dict[str, list[tuple[str, str]]]
    code: str

    @field_serializer("cells")
    def _as_dicts(self, cells: dict[str, Cell]) -> dict[str, dict]:
        return {key: cell._asdict() for key, cell in cells.items()}


class TextPage(ClaimsPage, frozen=True):
    """The page of numbers in the text: its resolved configuration."""

    asked: tuple[AskedNumber, ...]


AnyPage = TypeVar("AnyPage", bound=ClaimsPage)


def planned(
    kind: type[AnyPage],
    declared: Sequence[Claim | Quoted],
    pages: Mapping[str, Page | Figure],
    may_have_failed: Callable[[Iterable[Cell]], dict],
    **shown: object,
) -> AnyPage:
    """The page of some claims or numbers.

    Parameters
    ----------
    kind : ClaimsPage or TextPage.
    pages : name -> the pages whose cells they may ask for.
    may_have_failed : cells -> the jobs behind them that may have failed.
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
        name: tuple((c.paper_row, c.paper_column, c.metric) for c in page.cells())
        for name, page in pages.items()
    }
    cells = Cells(names, number)
    notes = [_missing(one.number, cells) for one in declared]
    computed = [one.number for one, note in zip(declared, notes, strict=True) if not note]
    return kind(
        asked=[one._asdict() | {"note": note} for one, note in zip(declared, notes, strict=True)],
        cells=used,
        names={name: names[name] for name in sorted(cells.opened)},
        may_have_failed=may_have_failed(used.values()),
        code=code_of(computed),
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
    """A cell that stands among cells of other pages, for one of its metrics, in a place of its own.

    A number of the text may want the deviation of a cell whose accuracy another number wants.
    """
    page, metric = key.page, key.metric
    placed = cell._replace(row=f"{page} {cell.row}", paper_row=f"{page} {cell.paper_row}")
    if metric == cell.metric:
        return placed
    column, paper_column = f"{cell.column} {metric}", f"{cell.paper_column} {metric}"
    return placed._replace(column=column, paper_column=paper_column, metric=metric, paper=None)


def code_of(functions: Iterable[Callable]) -> str:
    """Digest of the code that computes numbers: the modules of the functions, and graph/values.py.

    Of no functions it is empty.
    """
    modules = {function.__module__ for function in functions}
    if not modules:
        return ""
    return digest(
        *(inspect.getsource(sys.modules[name]) for name in sorted({*modules, values.__name__}))
    )
