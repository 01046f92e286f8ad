"""Where our numbers go another way than the paper's.

A trend is the order of two numbers in one row or one column of a table, if the paper tells them
apart by half a point or more. Our trend differs where ours go the other way by more than three fold
standard deviations.
"""

import itertools
import math
from collections import Counter
from collections.abc import Hashable
from typing import NamedTuple

import pandas as pd

LEAST = 0.5  # points: a difference of the paper's that counts; its fold deviation is 0.03
SIGMAS = 3.0


class Pair(NamedTuple):
    """Two cells of one row or column that the paper tells apart."""

    line: str  # "row 128" or "column 224"
    a: Hashable  # the cells' index in the frame
    b: Hashable
    paper: float  # b - a, points
    ours: float
    turned: bool  # ours go the other way


def pairs(cells: pd.DataFrame) -> list[Pair]:
    """Every trend of a table's tidy frame (`numbers.frame`, or its CSV)."""
    is_accuracy = cells["metric"].isin(["top1", "top5"]) & (cells["source"] == "measured")
    accuracy = cells[is_accuracy].dropna(subset=["paper", "ours"])
    found = []
    for along in ("paper_row", "paper_column"):
        for (line, _), group in accuracy.groupby([along, "metric"], sort=False):
            for (i, a), (j, b) in itertools.combinations(group.iterrows(), 2):
                paper, ours = b["paper"] - a["paper"], b["ours"] - a["ours"]
                if abs(paper) < LEAST:
                    continue
                turned = ours * paper < 0 and abs(ours) > _noise(a["std"], b["std"])
                name = f"{along.removeprefix('paper_')} {line}"
                found.append(Pair(name, i, j, paper, ours, turned))
    return found


def _noise(*stds: float) -> float:
    """The difference that two numbers may have by chance, points."""
    return SIGMAS * math.hypot(*(0 if math.isnan(std) else std for std in stds))


def turned_cells(cells: pd.DataFrame) -> set[Hashable]:
    """The cells most of whose trends differ: more than half of the pairs that they are in."""
    compared, turned = Counter(), Counter()
    for pair in pairs(cells):
        for cell in (pair.a, pair.b):
            compared[cell] += 1
            turned[cell] += pair.turned
    return {cell for cell, n in compared.items() if 2 * turned[cell] > n}
