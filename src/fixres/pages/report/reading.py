"""What the report shows: the pages that the workflow has made, read again.

Nothing is computed from measurements here. A number is the one of its CSV.
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from fixres import jobs, paper
from fixres.graph import metrics_of
from fixres.pages import decided, layout, numbers, trends
from fixres.pages.decided import Decisions
from fixres.pages.numbers import Number, Place, cells, place, runs_of
from fixres.pages.summary import read as read_csv

DECLARED = {"claims": paper.CLAIMS, "text": paper.QUOTED}


class Sheet(NamedTuple):
    """One table."""

    page: dict  # its resolved configuration; cells of failed runs are missing
    numbers: dict[Place, Number]
    turned: set[Place]  # cells whose trends are not the paper's
    trends: dict[str, int]  # verdict -> trends
    footnotes: list[str]


class Run(NamedTuple):
    """What identifies the result of a run."""

    number: int  # in the list of all runs
    file: str  # its metrics.json, below results/
    seed: int | None
    metrics: str  # digest of the content of its metrics.json
    per_image: str  # digest of what it found on each image; empty where it has no such file


class Contents(NamedTuple):
    """All that the report shows."""

    config: dict  # of the report
    results: Path
    sheets: dict[str, Sheet]  # table -> what it shows
    figures: dict[str, dict]  # figure -> its resolved configuration
    lists: dict[str, Decisions]  # claims, text -> what they show
    runs: dict[str, Run]  # every run that a cell shows, in order of its name

    def title(self, name: str) -> str:
        """The title of a table or figure."""
        page = self.sheets[name].page if name in self.sheets else self.figures[name]
        return page["title"]


def read(config: dict, results: Path) -> Contents:
    """Read the pages that the report consists of.

    Raises
    ------
    JobError : a file is missing, damaged, or not of this plan. The message names it.
    """
    contents, metrics = Contents(config, results, {}, {}, {}, {}), {}
    for name, (stage, planned) in config["pages"].items():
        page = configuration(results, name, stage, planned)
        if "blocks" not in page:
            contents.lists[name] = decided.decide(page, DECLARED[name], results)
            continue
        page = numbers.without_failed(page, results)
        measured = numbers.read(page, results)
        metrics |= measured.metrics
        if stage == "table":
            contents.sheets[name] = _sheet(name, page, measured, results)
        else:
            contents.figures[name] = page
    for i, run in enumerate(sorted(metrics)):
        contents.runs[run] = _run(i, run, config["jobs"].get(run, ["", None])[1], metrics[run])
    return contents


def configuration(results: Path, name: str, stage: str, planned: str) -> dict:
    """The resolved configuration that a page was made from, checked against the planned digest."""
    try:
        return jobs.read_config(results / "pages" / name / "config.json", stage, planned)
    except jobs.JobError as error:
        page = results / f"{name}.md"
        raise jobs.JobError(f"{error}. Delete {page}, too: Snakemake then makes both") from None


def _sheet(name: str, page: dict, measured: numbers.Measured, results: Path) -> Sheet:
    table = read_csv(results / f"{name}.csv", numbers.COLUMNS)
    found = read_csv(results / f"{name}.trends.csv", trends.COLUMNS)
    declared = {place(cell): cell for cell in cells(page)}
    shown = {}
    for line in table.to_dict("records"):
        at = tuple(line[key] for key in ("row", "column", "paper_row", "paper_column"))
        if at not in declared:
            raise jobs.JobError(
                f"{results / name}.csv: found a cell in row {at[0]}, column {at[1]}, which "
                f"results/pages/{name}/config.json does not declare; delete the CSV and let "
                "Snakemake make it again"
            )
        shown[at] = _number(line, declared[at])
    if len(shown) < len(declared):
        raise jobs.JobError(
            f"{results / name}.csv: found {len(shown)} cells, expected {len(declared)}; delete it "
            "and let Snakemake make it again"
        )
    turned = _turned(found, list(declared))
    verdicts = {verdict: int((found["verdict"] == verdict).sum()) for verdict in trends.VERDICTS}
    return Sheet(page, shown, turned, verdicts, layout.notes(page, measured.metrics))


def _number(line: dict, cell: dict) -> Number:
    known = {key: None if pd.isna(line[key]) else line[key] for key in ("ours", "low", "high")}
    std = float(line["time_std"]) if line["time_std"] else None
    return Number(
        paper=cell["paper"],
        paper_std=cell["paper_std"],
        seeds=int(line["seeds"] or 0),
        time_std=std,
        **known,
    )


def _turned(found: pd.DataFrame, places: list[Place]) -> set[Place]:
    """As `trends.turned_cells`, from the CSV, which has the paper's names of the cells."""
    balance: Counter[tuple[str, str]] = Counter()
    for line in found.to_dict("records"):
        along, _, name = line["line"].partition(" ")
        for end in (line["from"], line["to"]):
            at = (name, end) if along == "row" else (end, name)
            balance[at] += (line["verdict"] == trends.OTHER) - (line["verdict"] == trends.SAME)
    return {at for at in places if balance[at[2:]] > 0}


def _run(i: int, run: str, seed: int | None, metrics: dict) -> Run:
    content = {key: value for key, value in metrics.items() if key != "file"}
    per_image = metrics.get("hits") or metrics.get("samples", "")
    return Run(i, metrics_of(run), seed, jobs.digest(jobs.canonical(content)), per_image)


def runs_behind(contents: Contents, cell: dict) -> list[int]:
    """The numbers of the runs that a cell shows."""
    return [contents.runs[run].number for run in runs_of(cell)]
