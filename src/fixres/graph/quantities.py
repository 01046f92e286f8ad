"""Numbers that are computed from cells: what a claim or a number in the paper's text compares.

    gain = cells("table5", "224", "128 adapted") - cells("table5", "224", "224")

A quantity is only written down here. It becomes a part of the resolved configuration of a page,
and is computed there three times (pages/quantities.py): from our numbers, from their bootstrap
replicas, and from the numbers that the paper printed.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fixres.graph.pages import Cell, Figure, Page
from fixres.graph.registry import Missing


class Quantity(NamedTuple):
    """A number to compute.

    Attributes
    ----------
    node : [operation, operand …]. An operand is another node, or a number. The operation "cell" has
        the key of a cell as its operand.
    """

    node: list[Any]

    def __add__(self, other: "Quantity | float") -> "Quantity":
        return _of("+", self, other)

    def __sub__(self, other: "Quantity | float") -> "Quantity":
        return _of("-", self, other)

    def __mul__(self, other: "Quantity | float") -> "Quantity":
        return _of("*", self, other)

    def __truediv__(self, other: "Quantity | float") -> "Quantity":
        return _of("/", self, other)

    def __rtruediv__(self, other: float) -> "Quantity":
        return _of("/", other, self)


def _of(operation: str, *operands: "Quantity | float") -> Quantity:
    return Quantity([operation, *(o.node if isinstance(o, Quantity) else o for o in operands)])


def mean(quantities: list[Quantity]) -> Quantity:
    """Their mean."""
    return _of("mean", *quantities)


def largest(quantities: list[Quantity]) -> Quantity:
    """The one whose value is largest. It stays the same one in all replicas."""
    return _of("largest", *quantities)


def smallest(quantities: list[Quantity]) -> Quantity:
    """The one whose value is smallest. It stays the same one in all replicas."""
    return _of("smallest", *quantities)


def where_largest(quantities: dict[float, Quantity]) -> Quantity:
    """The key of the largest: at which k_test is the accuracy best? In each replica anew."""
    return Quantity(["where largest", *([key, q.node] for key, q in quantities.items())])


def slope(points: dict[float, Quantity]) -> Quantity:
    """The slope of the straight line through (key, quantity), by least squares."""
    middle = sum(points) / len(points)
    spread = sum((x - middle) ** 2 for x in points)
    return mean([q * ((x - middle) / spread) for x, q in points.items()]) * len(points)


def largest_gap(a: Quantity, b: Quantity) -> Quantity:
    """The largest gap between two CDFs (Kolmogorov's distance), in points of 100.

    Parameters
    ----------
    a, b : counts in the same bins, of any number of values.
    """
    return _of("largest gap", a, b)


def rank_correlation(pairs: list[tuple[Quantity, Quantity]]) -> Quantity:
    """Spearman's rank correlation of the first and the second of each pair, from -1 to 1."""
    return _of("rank correlation", *(quantity for pair in pairs for quantity in pair))


class Claim(NamedTuple):
    """A sentence of the paper that numbers decide.

    Attributes
    ----------
    name : short and unique, such as "adapt-always".
    where : the place in the paper.
    sentence : the claim in our words.
    above_0 : gives the quantity that is above 0 if the claim holds. Where it gives several, by what
        they compare, the claim says it of each. Raises Missing where a cell is missing.
    unit : of the quantities.
    """

    name: str
    where: str
    sentence: str
    above_0: Callable[["Cells"], "Quantity | dict[str, Quantity]"]
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
    number: Callable[["Cells"], Quantity]
    unit: str = "points"
    decimals: int = 1


class Cells:
    """Finds the cells of the pages by the paper's names, and remembers those that were asked for.

    Attributes
    ----------
    used : key -> (page, cell, metric) of every cell that a quantity has.
    """

    def __init__(self, pages: Mapping[str, Page | Figure]):
        self.pages = pages
        self.used: dict[str, tuple[str, Cell, str]] = {}

    def __call__(self, page: str, row: str | int, column: str, metric: str = "") -> Quantity:
        """The number in a row and column. Raises Missing where there is none.

        Parameters
        ----------
        metric : of the number; "": the one that the cell shows.
        """
        for cell in self._on(page):
            if (cell.paper_row, cell.paper_column) != (str(row), str(column)):
                continue
            if cell.source == "missing":
                raise Missing(cell.note)
            metric = metric or cell.metric
            key = f"{page} | {row} | {column} | {metric}"
            self.used[key] = (page, cell, metric)
            return Quantity(["cell", key])
        raise Missing(f"{page} has no cell in row {row}, column {column} at this configuration")

    def column(self, page: str, column: str, metric: str = "") -> dict[int, Quantity]:
        """k_test -> number, of a column whose rows are the test resolutions of the paper."""
        return {int(row): self(page, row, column, metric) for row in self.rows(page, column)}

    def row(self, page: str, row: str) -> dict[int, Quantity]:
        """k_test -> number, of a row whose columns are the test resolutions of the paper."""
        found = (c.paper_column for c in self._on(page) if c.paper_row == row)
        return {int(column): self(page, row, column) for column in found}

    def rows(self, page: str, column: str | None = None) -> list[str]:
        """The names of the rows of a page that have a cell (in a column)."""
        found = self._on(page)
        return list(dict.fromkeys(c.paper_row for c in found if column in (None, c.paper_column)))

    def columns(self, page: str) -> list[str]:
        """The names of the columns of a page."""
        return list(dict.fromkeys(c.paper_column for c in self._on(page)))

    def _on(self, page: str) -> list[Cell]:
        if page not in self.pages:
            raise Missing(f"the page {page}, which this plan does not have")
        return list(self.pages[page].cells())
