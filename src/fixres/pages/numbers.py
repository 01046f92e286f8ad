"""A number on a page: what the runs measured, and what the paper printed."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from fixres.artifacts import per_image
from fixres.graph.pages import Cell, Place

# The columns of a tidy CSV: one line a cell.
OF_CELL = ["row", "column", "paper_row", "paper_column", "metric"]
OF_NUMBER = ["paper", "ours", "low", "high", "seeds", "fold_std", "time_std"]
COLUMNS = ["table", *OF_CELL, *OF_NUMBER, "source"]


class Number(NamedTuple):
    """What a cell shows. None where there is no such number."""

    ours: float | None  # the mean over the seeds
    paper: float | None
    low: float | None = None  # the 95% interval of ours (intervals.py)
    high: float | None = None
    seeds: int = 0  # runs that ours is a mean of
    fold_std: float | None = None  # of ours over ten folds, the mean over the seeds (§5)
    time_std: float | None = None  # of a time over the batches
    paper_std: float | None = None  # of the paper's time


def number_of(cell: Cell, metrics: dict[str, dict]) -> Number:
    """The number of a cell, without its interval.

    Parameters
    ----------
    metrics : run -> its metrics.json. Raises KeyError or TypeError where it lacks the number.
    """
    number = Number(None, cell.paper, paper_std=cell.paper_std)
    if not cell.runs:
        return number
    of_runs, metric = [metrics[found.run] for found in cell.runs], cell.metric
    number = number._replace(seeds=len(set(cell.runs)))
    if metric == "parameters":
        return number._replace(ours=of_runs[0]["parameters"] / 1e6)
    if cell.k_test is None:
        more = metrics[cell.plus.run][metric] if cell.plus else 0
        std = of_runs[0][f"{metric}_std"] if metric.endswith("_ms") else None
        return number._replace(ours=_mean([m[metric] for m in of_runs]) + more, time_std=std)
    values = [m["k_test"][str(cell.k_test)] for m in of_runs]
    std = None
    if metric.startswith("top1") and is_accuracy(metric):
        std = float(np.mean([v[f"{metric}_std"] for v in values]))
    return number._replace(ours=_mean([v[metric] for v in values]), fold_std=std)


def is_accuracy(metric: str) -> bool:
    """Whether a metric is a share of right images: top1, top5, top1_10crops."""
    return metric.startswith(tuple(per_image.KINDS)) and not metric.endswith("_std")


def _mean(values: list) -> float | np.ndarray | None:
    """The mean of the seeds' numbers; of lists of numbers, an array of means.

    None where a network has no such number, such as one without a ReLU.
    """
    if None in values:
        return None
    mean = np.mean(values, axis=0)
    return float(mean) if mean.ndim == 0 else mean


def best(cells: list[Cell], numbers: dict[Place, Number], decimals: int) -> set[Place]:
    """The places of the cells that are, as printed, the largest of their column."""
    shown = {cell.place: numbers[cell.place].ours for cell in cells}
    rounded = {at: round(ours, decimals) for at, ours in shown.items() if ours is not None}
    top: dict[str, float] = {}
    for (_, column, *_), value in rounded.items():
        top[column] = max(top.get(column, value), value)
    return {at for at, value in rounded.items() if value == top[at[1]]}


def csv(table: pd.DataFrame) -> str:
    """A tidy CSV, for further computation."""
    return table.to_csv(index=False, float_format="%.4f", lineterminator="\n")
