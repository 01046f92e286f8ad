"""Where our trends differ from the paper's.

A trend is the order of two numbers in one row or one column of a table, if the paper tells them
apart by half a point or more. The 95% interval of our difference decides it (intervals.py): ours
goes the same way as the paper's, or the other way. An interval that holds 0 decides nothing.
"""

import itertools
from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd

from fixres.graph.pages import Cell, Place
from fixres.pages import intervals
from fixres.pages.numbers import Number

LEAST = 0.5  # points: a difference of the paper's that counts; its fold deviation is 0.03
SAME, OTHER, UNDECIDED = VERDICTS = ("same way", "other way", "undecided")
COLUMNS = ["line", "metric", "from", "to", "paper", "ours", "low", "high", "verdict"]


class Pair(NamedTuple):
    """Two cells of one row or column that the paper tells apart."""

    line: str  # "row 128" or "column 224", in the paper's names
    metric: str
    a: Place
    b: Place
    paper: float  # b - a, points
    ours: float
    low: float  # the 95% interval of ours
    high: float

    @property
    def verdict(self) -> str:
        """Whether ours goes the paper's way, the other way, or neither for sure."""
        if self.low <= 0 <= self.high:
            return UNDECIDED
        return SAME if self.low * self.paper > 0 else OTHER


def pairs(
    cells: list[Cell], numbers: dict[Place, Number], replicas: dict[Place, np.ndarray]
) -> list[Pair]:
    """Every trend of some cells, row by row, then column by column; replicas : `View.replicas`."""
    compared = [c for c in cells if c.metric in ("top1", "top5") and c.place in replicas]
    compared = [c for c in compared if c.paper is not None]
    found = []
    for along in ("row", "column"):
        lines: dict[tuple[str, str], list[Place]] = {}
        for cell in compared:
            key = getattr(cell, f"paper_{along}"), cell.metric
            lines.setdefault(key, []).append(cell.place)
        for (line, metric), places in lines.items():
            for a, b in itertools.combinations(places, 2):
                paper = numbers[b].paper - numbers[a].paper
                if abs(paper) >= LEAST:
                    ours = numbers[b].ours - numbers[a].ours
                    between = intervals.interval(replicas[b] - replicas[a])
                    found.append(Pair(f"{along} {line}", metric, a, b, paper, ours, *between))
    return found


def turned_cells(found: list[Pair]) -> set[Place]:
    """The cells of whose decided trends more go the other way than the paper's way."""
    balance: Counter[Place] = Counter()
    for pair in found:
        for cell in (pair.a, pair.b):
            balance[cell] += (pair.verdict == OTHER) - (pair.verdict == SAME)
    return {cell for cell, surplus in balance.items() if surplus > 0}


def frame(found: list[Pair]) -> pd.DataFrame:
    """One line a trend; columns: `COLUMNS`. Cells have the paper's names."""
    lines = []
    for p in found:
        across = 3 if p.line.startswith("row") else 2  # the paper's column, or its row
        names = [p.line, p.metric, p.a[across], p.b[across]]
        lines.append([*names, p.paper, p.ours, p.low, p.high, p.verdict])
    return pd.DataFrame(lines, columns=COLUMNS)
