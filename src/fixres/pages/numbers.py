"""The numbers of a page: what the runs measured, beside what the paper printed."""

import contextlib
import copy
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from fixres import jobs
from fixres.artifacts import per_image
from fixres.artifacts.per_image import PerImage
from fixres.graph import failed, metrics_of, per_image_of
from fixres.pages import intervals

# The columns of a tidy CSV: one line a cell.
COLUMNS = [
    "table",
    "row",
    "column",
    "paper_row",
    "paper_column",
    "metric",
    "paper",
    "ours",
    "low",
    "high",
    "seeds",
    "fold_std",
    "time_std",
    "source",
]
Place = tuple[str, str, str, str]  # row and column of a cell, ours and the paper's


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

    @property
    def half_width(self) -> float | None:
        """Half of the interval."""
        return None if self.low is None else (self.high - self.low) / 2


class Measured(NamedTuple):
    """What the runs of a page have left."""

    metrics: dict[str, dict]  # run -> its metrics.json
    per_image: dict[str, PerImage]  # run -> its hits.npz or samples.npz; a time has none


def cells(page: dict) -> list[dict]:
    """All cells of a page, block by block, row by row."""
    return [cell for block in page["blocks"] for line in block["cells"] for cell in line if cell]


def place(cell: dict) -> Place:
    """Where a cell stands. Two resolutions of the paper may be one of ours: both are needed."""
    return cell["row"], cell["column"], cell["paper_row"], cell["paper_column"]


def without_failed(page: dict, results: Path) -> dict:
    """The page with the cells of failed runs as missing ones, which name the run and its log.

    Only where pages.allow_failed asks for it are there runs to look for.
    """
    page = copy.deepcopy(page)
    for cell in cells(page):
        for run in runs_of(cell):
            log = failed(page["may_have_failed"].get(run, []), results)
            if log:  # even if metrics of a former run are still there
                note = f"{run} failed; see {log}"
                cell |= {"runs": [], "plus": None, "source": "missing", "note": note}
                break
    return page


def runs_of(cell: dict) -> list[str]:
    """The runs whose results a cell shows, each once."""
    return list(dict.fromkeys([*cell["runs"], *([cell["plus"]] if cell["plus"] else [])]))


def read(page: dict, results: Path) -> Measured:
    """What the runs of a page have left in `results`.

    Raises
    ------
    JobError : a file is missing or damaged. The message names the cell and the file.
    """
    measured = Measured({}, {})
    for cell, run in [(c, run) for c in cells(page) for run in runs_of(c)]:
        if run not in measured.metrics:
            file = results / metrics_of(run)
            with _named(page, cell, file):
                metrics = {"file": str(file), **jobs.read_json(file)}
            measured.metrics[run] = metrics
            if per_image_of(run):
                file = results / per_image_of(run)
                digest = metrics.get("hits") or metrics.get("samples", "")
                with _named(page, cell, file):
                    measured.per_image[run] = per_image.load(file, digest)
    return measured


@contextlib.contextmanager
def _named(page: dict, cell: dict, file: Path) -> Iterator[None]:
    """Let an error of the block name the cell and the file."""
    where = f"{_where(page, cell)}: {file}"
    try:
        yield
    except OSError as error:
        raise jobs.JobError(f"{where} cannot be read ({error.strerror})") from None
    except ValueError as error:
        way_out = "delete it and let Snakemake make it again"
        raise jobs.JobError(f"{where} is damaged ({error}); {way_out}") from None


def resampled(page: dict, measured: Measured) -> dict[Place, np.ndarray]:
    """The bootstrap replicas of every number of a page that is a mean over images (intervals.py).

    Accuracies are in per cent, other numbers as their job gives them.

    Raises
    ------
    JobError : the hits of a run lack a resolution. The message names the cell and the file.
    """
    by_images: dict[str, dict[Place, np.ndarray]] = {}
    for cell in cells(page):
        of_runs = [measured.per_image[run] for run in cell["runs"] if run in measured.per_image]
        name = per_image.name(cell["metric"], cell["k_test"])
        if of_runs and (is_accuracy(cell["metric"]) or name in of_runs[0].values):
            with _damaged(page, cell, measured.metrics):
                values = np.stack([found.values[name] for found in of_runs])
            by_images.setdefault(of_runs[0].image_set, {})[place(cell)] = values
    replicas: dict[Place, np.ndarray] = {}
    for image_set, values in by_images.items():
        replicas |= intervals.resample(values, image_set)
    return replicas


def is_accuracy(metric: str) -> bool:
    """Whether a metric is a share of right images: top1, top5, top1_10crops."""
    return metric.startswith(tuple(per_image.KINDS)) and not metric.endswith("_std")


def collect(page: dict, measured: Measured, replicas: dict[Place, np.ndarray]) -> dict:
    """Place -> Number for every cell of a page.

    Raises
    ------
    JobError : the metrics of a run lack a number. The message names the cell and the file.
    """
    numbers = {}
    for cell in cells(page):
        number = Number(None, cell["paper"], paper_std=cell["paper_std"])
        if cell["runs"]:
            with _damaged(page, cell, measured.metrics):
                number = number._replace(**_measured(cell, measured.metrics))
        if place(cell) in replicas and replicas[place(cell)].ndim == 1:
            low, high = intervals.interval(replicas[place(cell)])
            number = number._replace(low=low, high=high)
        numbers[place(cell)] = number
    return numbers


@contextlib.contextmanager
def _damaged(page: dict, cell: dict, metrics: dict[str, dict]) -> Iterator[None]:
    """Let a number that is missing in the block be an error that names the cell and the file."""
    try:
        yield
    except (KeyError, TypeError) as error:
        file = metrics[cell["runs"][0]]["file"]
        raise jobs.JobError(
            f"{_where(page, cell)}: {file} is damaged or lacks {error}; delete it and let "
            "Snakemake make it again"
        ) from None


def _measured(cell: dict, metrics: dict[str, dict]) -> dict[str, float | int]:
    """Our number of a cell, and what else its runs say of it."""
    of_runs, metric = [metrics[run] for run in cell["runs"]], cell["metric"]
    seeds = len(set(cell["runs"]))
    if metric == "parameters":
        return {"ours": of_runs[0]["parameters"] / 1e6, "seeds": seeds}
    if cell["k_test"] is None:
        more = metrics[cell["plus"]][metric] if cell["plus"] else 0
        std = {"time_std": of_runs[0][f"{metric}_std"]} if metric.endswith("_ms") else {}
        return {"ours": _mean([m[metric] for m in of_runs]) + more, "seeds": seeds, **std}
    values = [m["k_test"][str(cell["k_test"])] for m in of_runs]
    std = {}
    if metric.startswith("top1") and is_accuracy(metric):
        std = {"fold_std": float(np.mean([v[f"{metric}_std"] for v in values]))}
    return {"ours": _mean([v[metric] for v in values]), "seeds": seeds, **std}


def _mean(values: list) -> float | np.ndarray | None:
    """The mean of the seeds' numbers; of lists of numbers, an array of means.

    None where a network has no such number, such as one without a ReLU.
    """
    if None in values:
        return None
    mean = np.mean(values, axis=0)
    return float(mean) if mean.ndim == 0 else mean


def _where(page: dict, cell: dict) -> str:
    return f"{page['title']}, row {cell['row']}, column {cell['column']}"


def best(block: dict, numbers: dict[Place, Number], decimals: int) -> set[Place]:
    """The places of the cells that are, as printed, the largest of their column."""
    shown = {place(c): numbers[place(c)].ours for line in block["cells"] for c in line if c}
    rounded = {at: round(ours, decimals) for at, ours in shown.items() if ours is not None}
    top: dict[str, float] = {}
    for (_, column, *_), value in rounded.items():
        top[column] = max(top.get(column, value), value)
    return {at for at, value in rounded.items() if value == top[at[1]]}


def frame(page: dict, numbers: dict[Place, Number]) -> pd.DataFrame:
    """One line a cell, in full precision; columns: `COLUMNS`."""
    lines = []
    for cell in cells(page):
        number = numbers[place(cell)]
        line = {"table": page.get("name", ""), **{c: cell[c] for c in COLUMNS[1:6]}}
        line |= {column: getattr(number, column) for column in COLUMNS[6:-1]}
        lines.append(line | {"source": cell["source"]})
    return pd.DataFrame(lines, columns=COLUMNS)


def csv(table: pd.DataFrame) -> str:
    """A tidy CSV, for further computation."""
    out = io.StringIO()
    table.to_csv(out, index=False, float_format="%.4f", lineterminator="\n")
    return out.getvalue()
