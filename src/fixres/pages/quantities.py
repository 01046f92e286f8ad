"""Compute what is written down in graph/quantities.py: from ours, the replicas, and the paper's.

Each quantity has three values.

- ours: from the means over the seeds.
- replicas: (REPLICAS,), from the bootstrap replicas of the same cells. The draws are shared, so a
  difference is paired (intervals.py). None where a cell has no replicas, such as a time.
- paper: from the numbers that the paper printed. None where it printed none.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Value(NamedTuple):
    """What a quantity comes to. None: it cannot be computed."""

    ours: float | None
    replicas: np.ndarray | None
    paper: float | None


def compute(node: Any, cell: Callable[[str], Value]) -> Value:
    """The value of a node.

    Parameters
    ----------
    node : as in `plan.quantities.Quantity`.
    cell : key of a cell -> its value.
    """
    if not isinstance(node, list):
        return Value(float(node), np.float64(node), float(node))
    operation, *operands = node
    if not operands:  # of a column that this scale does not have
        return Value(None, None, None)
    if operation == "cell":
        return cell(operands[0])
    if operation == "where largest":
        keys = np.array([key for key, _ in operands], float)
        values = [compute(operand, cell) for _, operand in operands]
        return Value(*(_at_largest(keys, parts) for parts in zip(*values, strict=True)))
    values = [compute(operand, cell) for operand in operands]
    if operation in ("largest", "smallest"):
        return Value(*_chosen(values, operation))
    apply = OPERATIONS[operation]
    return Value(*(_applied(apply, parts) for parts in zip(*values, strict=True)))


def _rank_correlation(*values: Any) -> Any:
    """Spearman's correlation of every second value, the first ones with those behind them.

    Without differences on one side it is 0: nothing rises with anything.
    """
    from scipy import stats  # here: few pages need it

    together = np.stack(np.broadcast_arrays(*values))
    a, b = (stats.rankdata(part, axis=0) for part in (together[::2], together[1::2]))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    spread = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    found = (a * b).sum(axis=0) / np.where(spread == 0, 1, spread)
    return float(found) if found.ndim == 0 else found


OPERATIONS: dict[str, Callable] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "mean": lambda *values: sum(values) / len(values),
    "largest gap": lambda a, b: 100 * np.abs(cdf(a) - cdf(b)).max(axis=-1),
    "rank correlation": _rank_correlation,
}


def cdf(counts: np.ndarray) -> np.ndarray:
    """The share of values up to each bin; counts : (…, bins)."""
    return np.cumsum(counts, axis=-1) / np.sum(counts, axis=-1, keepdims=True)


def _applied(apply: Callable, parts: tuple) -> Any:
    return None if any(part is None for part in parts) else apply(*parts)


def _chosen(values: list[Value], operation: str) -> tuple:
    """Of each kind of number, that of the quantity which is largest (or smallest)."""
    sign = 1 if operation == "largest" else -1

    def place(numbers: list) -> int | None:
        known = None not in numbers
        return max(range(len(numbers)), key=lambda i: sign * numbers[i]) if known else None

    ours, paper = (place([getattr(v, kind) for v in values]) for kind in ("ours", "paper"))
    return (
        None if ours is None else values[ours].ours,
        None if ours is None else values[ours].replicas,
        None if paper is None else values[paper].paper,
    )


def _at_largest(keys: np.ndarray, parts: tuple) -> Any:
    if any(part is None for part in parts):
        return None
    at = keys[np.argmax(np.stack(np.broadcast_arrays(*parts)), axis=0)]
    return float(at) if np.ndim(at) == 0 else at
