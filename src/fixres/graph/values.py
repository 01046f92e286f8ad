"""Numbers that are computed from cells: what a claim or a number in the paper's text compares.

    gain = cells("table5", 224, "128 adapted") - cells("table5", 224, "224")

A function of cells is called twice. When the jobs are planned, no number is known: the call tells
which cells the function needs. When its page is made, the same call computes the number three
times: from our numbers, from their bootstrap replicas, and from the numbers that the paper printed.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fixres.graph.graph import Missing


class Key(NamedTuple):
    """A number of a page, by the paper's names."""

    page: str
    row: str
    column: str
    metric: str

    def __str__(self) -> str:
        return " | ".join(self)


def _operators(apply: Callable[..., Any]) -> tuple[Callable, Callable]:
    """An operator of a value with what is on its right, and with a number on its left."""
    return lambda a, b: _computed(apply, a, b), lambda b, a: _computed(apply, a, b)


@dataclass(frozen=True)
class Value:
    """A number. None: it is not known.

    Attributes
    ----------
    ours : from the means over the seeds; of a histogram, an array.
    replicas : (REPLICAS,), from the bootstrap replicas of the same cells. The draws are shared, so
        a difference is paired (pages/intervals.py). None where a cell has no replicas, such as a
        time.
    paper : from the numbers that the paper printed.
    cells : what it is computed from, each cell once.
    rivals : (P, REPLICAS) and (M, REPLICAS), where `largest` or `smallest` chose: the number is
        the largest of the first plus the smallest of the second. In truth these may be others than
        in our numbers; the interval allows for that (pages/decided.py). Sums, differences and
        multiples of such numbers have an interval; anything else has none.
    """

    ours: float | np.ndarray | None = None
    replicas: np.ndarray | None = None
    paper: float | None = None
    cells: tuple[Key, ...] = ()
    rivals: tuple[np.ndarray, np.ndarray] | None = None

    __array_ufunc__ = None  # a number of numpy on the left leaves the operation to this class

    __add__, __radd__ = _operators(operator.add)
    __sub__, __rsub__ = _operators(operator.sub)
    __mul__, __rmul__ = _operators(operator.mul)
    __truediv__, __rtruediv__ = _operators(operator.truediv)

    def __abs__(self) -> "Value":
        return _computed(np.abs, self)


def _exact(number: "Value | float") -> Value:
    """A number that is written in a formula: it is the same in all replicas, and in the paper."""
    if isinstance(number, Value):
        return number
    return Value(float(number), np.float64(number), float(number))


def _computed(apply: Callable[..., Any], *operands: Value | float) -> Value:
    """`apply` to our operands, to their replicas and to the paper's operands, if all are known.

    Without operands, as for a column that this scale does not have, nothing is known.
    """
    values = [_exact(operand) for operand in operands]
    ours, replicas, paper = (
        apply(*parts) if parts and all(part is not None for part in parts) else None
        for parts in ([getattr(v, kind) for v in values] for kind in ("ours", "replicas", "paper"))
    )
    if replicas is None or not any(value.rivals for value in values):
        return Value(ours, replicas, paper, _cells_of(values))
    rivals = _rivals(apply, values)
    return Value(ours, replicas if rivals else None, paper, _cells_of(values), rivals)


def _rivals(apply: Callable[..., Any], values: Sequence[Value]) -> Any:
    """The rivals in a sum, in a difference or in a multiple; None: in anything else."""
    a, *rest = (v.rivals or (np.atleast_2d(v.replicas), np.zeros((1, 1))) for v in values)
    if apply is operator.mul and any(not value.cells for value in values):  # by a number
        number, many = (values[0], rest[0]) if not values[0].cells else (values[1], a)
        return _times(number.ours, many)
    if apply is operator.add or apply is operator.sub:
        b = _times(1 if apply is operator.add else -1, *rest)
        # Each one of a with each one of b.
        pairs = zip(a, b, strict=True)
        return tuple((x[:, None] + y).reshape(len(x) * len(y), -1) for x, y in pairs)
    return None


def _times(number: float, rivals: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The negative of the largest is the smallest of the negatives."""
    up, down = (number * many for many in rivals)
    return (up, down) if number > 0 else (down, up)


def _cells_of(values: Sequence[Value]) -> tuple[Key, ...]:
    return tuple(dict.fromkeys(key for value in values for key in value.cells))


def mean(values: Sequence[Value]) -> Value:
    """Their mean."""
    return _computed(lambda *parts: sum(parts) / len(parts), *values)


def largest(values: Sequence[Value]) -> Value:
    """The one that is largest. It stays the same one in all replicas; the others are its rivals."""
    return _chosen(values, 1)


def smallest(values: Sequence[Value]) -> Value:
    """The one that is smallest. It stays the same one in all replicas, as with `largest`."""
    return _chosen(values, -1)


def _chosen(values: Sequence[Value], sign: int) -> Value:
    """The largest of ours with its replicas, and the largest of the paper's; times `sign`."""

    def choice(kind: str) -> Value:
        known = values and all(getattr(value, kind) is not None for value in values)
        return max(values, key=lambda value: sign * getattr(value, kind)) if known else Value()

    ours, paper, cells = choice("ours"), choice("paper").paper, _cells_of(values)
    if len(values) < 2 or any(value.replicas is None for value in values):
        return replace(ours, paper=paper, cells=cells)
    if any(value.rivals for value in values):
        return Value(ours.ours, None, paper, cells)
    many = np.stack(np.broadcast_arrays(*(value.replicas for value in values)))
    rivals = _times(sign, (sign * np.atleast_2d(many), np.zeros((1, 1))))
    return Value(ours.ours, ours.replicas, paper, cells, rivals)


def where_largest(values: Mapping[float, Value]) -> Value:
    """The key of the largest value, such as the best k_test. Computed again in each replica."""
    return _computed(partial(_at_largest, np.array([*values], float)), *values.values())


def _at_largest(keys: np.ndarray, *parts: Any) -> Any:
    at = keys[np.argmax(np.stack(np.broadcast_arrays(*parts)), axis=0)]
    return float(at) if np.ndim(at) == 0 else at


def slope(points: Mapping[float, Value]) -> Value:
    """The slope of the straight line through (key, value), by least squares."""
    middle = sum(points) / len(points)
    spread = sum((x - middle) ** 2 for x in points)
    return mean([y * ((x - middle) / spread) for x, y in points.items()]) * len(points)


def largest_gap(a: Value, b: Value) -> Value:
    """The largest gap between two CDFs (Kolmogorov's distance), in points of 100.

    Parameters
    ----------
    a, b : counts in the same bins, of any number of values.
    """
    return _computed(lambda a, b: 100 * np.abs(cdf(a) - cdf(b)).max(axis=-1), a, b)


def cdf(counts: np.ndarray) -> np.ndarray:
    """The share of values up to each bin; counts : (…, bins)."""
    return np.cumsum(counts, axis=-1) / np.sum(counts, axis=-1, keepdims=True)


def rank_correlation(pairs: Sequence[tuple[Value, Value]]) -> Value:
    """Spearman's rank correlation of the first and the second of each pair, from -1 to 1.

    Without differences on one side it is 0: nothing rises with anything.
    """
    return _computed(_rank_correlation, *(value for pair in pairs for value in pair))


def _rank_correlation(*parts: Any) -> Any:
    from scipy import stats  # here: few pages need it

    together = np.stack(np.broadcast_arrays(*parts))
    a, b = (stats.rankdata(part, axis=0) for part in (together[::2], together[1::2]))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    spread = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    found = (a * b).sum(axis=0) / np.where(spread == 0, 1, spread)
    return float(found) if found.ndim == 0 else found


class Cells:
    """Finds numbers by the paper's names.

    Parameters
    ----------
    names : page -> (row, column, metric) of each of its cells; the metric is the one that it shows.
    number : gives the value of a cell. When the jobs are planned, it is not known.

    Attributes
    ----------
    opened : the pages that were asked for, whether or not a number was.
    """

    def __init__(
        self, names: Mapping[str, Sequence[tuple[str, str, str]]], number: Callable[[Key], Value]
    ):
        self.names, self.number = names, number
        self.opened: set[str] = set()

    def __call__(self, page: str, row: str | int, column: str | int, metric: str = "") -> Value:
        """The number in a row and column. Raises Missing where there is none.

        Parameters
        ----------
        metric : of the number; "": the one that the cell shows.
        """
        wanted = (str(row), str(column))
        for *place, shown in self._on(page):
            if tuple(place) == wanted:
                key = Key(page, *wanted, metric or shown)
                return replace(self.number(key), cells=(key,))
        raise Missing(f"{page} has no cell in row {row}, column {column} in this configuration")

    def column(self, page: str, column: str | int, metric: str = "") -> dict[int, Value]:
        """k_test -> number, of a column whose rows are the test resolutions of the paper."""
        return {int(row): self(page, row, column, metric) for row in self.rows(page, str(column))}

    def row(self, page: str, row: str) -> dict[int, Value]:
        """k_test -> number, of a row whose columns are the test resolutions of the paper."""
        found = (column for at, column, _ in self._on(page) if at == row)
        return {int(column): self(page, row, column) for column in found}

    def rows(self, page: str, column: str | None = None) -> list[str]:
        """The names of the rows of a page that have a cell (in a column)."""
        return list(dict.fromkeys(row for row, at, _ in self._on(page) if column in (None, at)))

    def columns(self, page: str) -> list[str]:
        """The names of the columns of a page."""
        return list(dict.fromkeys(column for _, column, _ in self._on(page)))

    def _on(self, page: str) -> Sequence[tuple[str, str, str]]:
        if page not in self.names:
            raise Missing(f"the page {page}, which this plan does not have")
        self.opened.add(page)
        return self.names[page]
