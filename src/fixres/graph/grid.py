"""The one builder of tables: rows × columns × what to run for a cell.

Example, with one row and two columns:

    grid(
        plan,
        "table10",
        "Top-1 accuracy at test resolution",
        heads=["Train resolution"],
        rows=[line(plan, "accuracy", 224)],
        columns=resolutions(plan, [224, 288]),
        cell=lambda _, k_test: Accuracy(train(plan, scaled(plan, 224)), k_test),
    )
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from fixres.artifacts.per_image import among
from fixres.graph.graph import JobGraph, Missing
from fixres.graph.jobs import Job
from fixres.graph.measurements import evaluate
from fixres.graph.pages import Block, Cell, Label, Row
from fixres.graph.scale import resolution_label, scaled


class Line(NamedTuple):
    """A row or a column of a table."""

    key: Label  # its name in the tidy CSV, and the paper's name (paper/reference/<page>.csv)
    labels: list[Label]  # its heading; a row may have several, in leading columns
    value: Any = None  # what the cells of this line are made from
    metric: str = "top1"  # of a column: the number that its cells show


class Accuracy(NamedTuple):
    """The cell shows the accuracy (or the size) of a run, tested at `k_test` pixels."""

    run: Job
    k_test: int


class Time(NamedTuple):
    """The cell shows a time that a job of stage `time` measured; `plus`: another is added."""

    run: Job
    plus: Job | None = None


class Sample(NamedTuple):
    """The cell shows the mean over images of what a job found on each of them."""

    run: Job
    k_test: int | None = None
    objects: str = ""  # of which objects alone (`per_image.OBJECTS`)


class Reported(NamedTuple):
    """The cell shows a number that the paper quotes from the literature."""


def line(
    plan: JobGraph, key: str, *labels: str | int, value: Any = None, metric: str = "top1"
) -> Line:
    """A row or column with the paper's name `key`.

    Parameters
    ----------
    labels : texts, or numbers: a resolution of the paper, in pixels, shown at this scale.
    """
    shown = [resolution_label(plan, x) if isinstance(x, int) else (x, x) for x in labels]
    return Line((key, key), shown, value, metric)


def resolutions(plan: JobGraph, paper: list[int]) -> list[Line]:
    """A line for each of the paper's resolutions (pixels); its value is the resolution here."""
    labels = [resolution_label(plan, k) for k in paper]
    return [Line(label, [label], scaled(plan, k)) for k, label in zip(paper, labels, strict=True)]


def ticks(*on: object) -> list[str]:
    """A tick for each thing that is on, a dash for the others."""
    return ["✓" if x else "–" for x in on]


def grid(
    plan: JobGraph,
    page: str,
    title: str,
    heads: list[str],
    rows: list[Line],
    columns: list[Line],
    cell: Callable[[Any, Any], Accuracy | Time | Sample | Reported | None],
) -> Block:
    """Build a block of a page. Asking for a cell adds its runs to the plan, one for each seed.

    Parameters
    ----------
    page : the page whose printed numbers are shown next to ours.
    heads : headings of the leading columns.
    cell : (value of the row, value of the column) -> what the cell shows, or None: it stays empty.
        A cell that needs weights or images which were not given is shown as missing.
    """
    cells = [[_cell(plan, page, row, column, cell) for column in columns] for row in rows]
    headings = [Row(row.key, row.labels) for row in rows]
    return Block(title, heads, [column.labels[0] for column in columns], headings, cells)


def _cell(plan: JobGraph, page: str, row: Line, column: Line, cell: Callable) -> Cell | None:
    printed, metric = plan.printed(page), column.metric
    place = (row.key[1], column.key[1])
    is_time = metric == "hours" or metric.endswith("_ms")
    paper = printed.get((*place, "ms" if metric.endswith("_ms") else metric))
    empty = Cell(
        row.key[0],
        column.key[0],
        *place,
        metric,
        paper,
        paper_std=printed.get((*place, "ms_std")) if is_time else None,
    )
    try:
        at_seeds = plan.at_every_seed(lambda: cell(row.value, column.value), page)
        asked = at_seeds[0]
        if asked is None:
            return None
        if isinstance(asked, Reported):
            return empty.model_copy(update={"source": "reported"})
        if isinstance(asked, Time):  # it follows from no seed
            plus = asked.plus and asked.plus.measurement
            return empty.model_copy(update={"runs": (asked.run.measurement,), "plus": plus})
        jobs = [one.run for one in at_seeds]
        if isinstance(asked, Accuracy):
            ten_crops = metric.endswith("_10crops")
            jobs = [evaluate(plan, run, asked.k_test, ten_crops) for run in jobs]
        runs = tuple(job.measurement for job in jobs)
        if isinstance(asked, Sample) and asked.objects:
            empty = empty.model_copy(update={"metric": among(metric, asked.objects)})
        return empty.model_copy(update={"runs": runs, "k_test": asked.k_test})
    except Missing as missing:
        return empty.model_copy(update={"source": "missing", "note": str(missing)})
