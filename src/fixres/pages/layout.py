"""The text of a page's cells and the text around them, the same in Markdown and in HTML."""

import itertools
from typing import NamedTuple

from fixres.graph.pages import Cell, Label
from fixres.pages.numbers import is_accuracy
from fixres.pages.view import View

READING = "Each cell: ours, then the paper's in parentheses"
TURNED = "↕"  # marks a number whose trends differ from the paper's


class Shown(NamedTuple):
    """The text of a cell."""

    kind: str  # "", "best", "reported" or "missing"
    ours: str  # our number, or "missing [i]"; in a reported cell the paper's number
    paper: str  # the paper's number next to ours, or ""
    title: str  # more about it
    half: str = ""  # half of the interval of ours, with ±
    mark: str = ""  # `TURNED`, or ""


def shown(view: View, cell: Cell) -> Shown:
    """How a cell of a page reads."""
    at, metric, decimals = cell.place, cell.metric, view.page.decimals
    number, paper = view.numbers[at], ""
    if number.paper is not None:
        paper = amount(number.paper, metric, 1, number.paper_std)
    if cell.source == "reported":
        return Shown("reported", paper, "", "")
    if number.ours is None and not cell.note:
        return Shown("missing", "–", paper, "there are no such images")
    if number.ours is None:
        footnote = view.reasons.index(cell.note) + 1
        return Shown("missing", f"missing [{footnote}]", paper, cell.note)
    ours = amount(number.ours, metric, decimals, number.time_std)
    half, title = "", ""
    if number.low is not None:
        half = f"± {(number.high - number.low) / 2:.{decimals}f}"
        title = f"95% interval {number.low:.{decimals}f} to {number.high:.{decimals}f}"
    mark = TURNED if at in view.turned else ""
    return Shown("best" if at in view.bold else "", ours, paper, title, half, mark)


def amount(value: float, metric: str, decimals: int, std: float | None = None) -> str:
    """A number as it is printed, in the unit of its metric; milliseconds with their deviation."""
    if metric == "hours":
        return f"{value:.{decimals}f}" if value >= 0.1 else f"{3600 * value:.{decimals}f} s"
    if metric.endswith("_ms"):
        return f"{value:.1f} ± {std:.1f}"
    if metric.startswith("objects"):
        return f"{value:,.0f}"
    if metric == "megabytes":
        return f"{value:,.{0 if value >= 100 else 1}f}"
    if metric == "parameters":
        return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}M"
    return f"{value:.{decimals}f}"


def label(ours_and_paper: Label) -> str:
    """A heading: ours, then the paper's where it is another."""
    ours, theirs = ours_and_paper
    return ours if ours == theirs else f"{ours} ({theirs})"


def headline(view: View, reading: str = READING) -> str:
    """At which scale the numbers were measured, and how a cell reads."""
    page = view.page
    ours, theirs = page.subject
    parts = [f"Measured at the {page.scale} scale ({ours}); the paper: {theirs}."]
    rows = (row.labels for block in page.blocks for row in block.rows)
    labels = itertools.chain(*(block.columns for block in page.blocks), *rows)
    if any(mine != paper for mine, paper in labels):
        parts.append("A resolution is followed by the paper's that it stands for, in parentheses.")
    bold = "; the best of ours in a column is bold" if page.bold else ""
    parts.append(f"{reading}{bold}.")
    seeds = max((n.seeds for n in view.numbers.values() if n.low is not None), default=0)
    if seeds:
        covers = "images (one seed: images only)" if seeds == 1 else f"images and {seeds} seeds"
        which = "validation" if any(is_accuracy(c.metric) for c in page.cells()) else "training"
        parts.append(f"±: half of the 95% interval over the {which} {covers}.")
    if view.turned:
        parts.append(
            f"{TURNED}: most of this number's decided differences within its row and column go "
            "the other way than the paper's."
        )
    if any(cell.source == "reported" for cell in page.cells()):
        parts.append("In italics: what the paper reports, not measured by us.")
    return " ".join(parts)
