"""The numbers of a page: what the runs measured, beside what the paper printed."""

import copy
import io
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from fixres import jobs
from fixres.plan import failed, metrics_of

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
    "std",
    "source",
]
Place = tuple[str, str, str, str]  # row and column of a cell, ours and the paper's


class Number(NamedTuple):
    """What a cell shows. None where there is no such number."""

    ours: float | None
    std: float | None  # fold standard deviation of ours
    paper: float | None
    paper_std: float | None = None


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
        for run in (cell["run"], cell["plus"]):
            log = failed(page["may_have_failed"].get(run, []), results)
            if log:  # even if metrics of a former run are still there
                note = f"{run} failed; see {log}"
                cell |= {"run": None, "source": "missing", "note": note}
                break
    return page


def read_metrics(page: dict, results: Path) -> dict[str, dict]:
    """Run -> its metrics.json, for every run that a page shows.

    Raises
    ------
    JobError : a file is missing or damaged. The message names the cell and the file.
    """
    measured: dict[str, dict] = {}
    for cell, run in [(c, run) for c in cells(page) for run in (c["run"], c["plus"])]:
        if run is None or run in measured:
            continue
        file = results / metrics_of(run)
        where = f"{_where(page, cell)}: {file}"
        try:
            measured[run] = {"file": str(file), **jobs.read_json(file)}
        except OSError as error:
            raise jobs.JobError(f"{where} cannot be read ({error.strerror})") from None
        except ValueError as error:
            way_out = "delete it and let Snakemake make it again"
            raise jobs.JobError(f"{where} is damaged ({error}); {way_out}") from None
    return measured


def collect(page: dict, measured: dict[str, dict]) -> dict[Place, Number]:
    """Place -> Number for every cell of a page.

    Raises
    ------
    JobError : the metrics of a run lack a number. The message names the cell and the file.
    """
    numbers = {}
    for cell in cells(page):
        ours = std = None
        if cell["run"] is not None:
            try:
                ours, std = _measured(cell, measured)
            except (KeyError, TypeError) as error:
                file = measured[cell["run"]]["file"]
                raise jobs.JobError(
                    f"{_where(page, cell)}: {file} is damaged or lacks {error}; delete it and let "
                    "Snakemake make it again"
                ) from None
        numbers[place(cell)] = Number(ours, std, cell["paper"], cell["paper_std"])
    return numbers


def _measured(cell: dict, measured: dict[str, dict]) -> tuple[float, float | None]:
    """Our number of a cell, and its deviation."""
    metrics, metric = measured[cell["run"]], cell["metric"]
    if metric == "parameters":
        return metrics["parameters"] / 1e6, None
    if cell["k_test"] is None:  # a time
        ours = metrics[metric] + (measured[cell["plus"]][metric] if cell["plus"] else 0)
        return ours, metrics.get(f"{metric}_std")
    values = metrics["k_test"][str(cell["k_test"])]
    return values[metric], values[f"{metric}_std"] if metric.startswith("top1") else None


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
        line |= {"paper": number.paper, "ours": number.ours, "std": number.std}
        lines.append(line | {"source": cell["source"]})
    return pd.DataFrame(lines, columns=COLUMNS)


def tidy(page: dict, numbers: dict[Place, Number]) -> str:
    """The tidy CSV, for further computation."""
    out = io.StringIO()
    frame(page, numbers).to_csv(out, index=False, float_format="%.4f", lineterminator="\n")
    return out.getvalue()
