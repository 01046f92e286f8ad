"""The tables of the report. Each cell holds our number, the paper's, and their difference.

A switch at the top of the page shows one of the three (report.css). A click on a cell shows where
its number comes from: the script reads that from one JSON block (`details`).
"""

import itertools
import json

from markupsafe import Markup

from fixres.graph.pages import Cell
from fixres.pages import layout, web
from fixres.pages.numbers import Number
from fixres.pages.report.reading import Contents, Part

READING = (
    "Each cell: ours; the switch at the top of this page shows the paper's number or the "
    "difference instead"
)
METRICS = {
    "top1": "Top-1 accuracy (%)",
    "top5": "Top-5 accuracy (%)",
    "top1_10crops": "Top-1 accuracy over ten crops per image (%)",
    "parameters": "Parameters (millions)",
    "forward_ms": "Forward pass (ms per batch)",
    "backward_ms": "Backward pass (ms per batch)",
    "hours": "Time (hours)",
}
REPORTED = "The paper quotes this number from the literature. We did not measure it."


def part(contents: Contents, name: str) -> Part:
    """A table with its caption, and the notes below it."""
    view = contents.tables[name]
    before = itertools.takewhile(lambda other: other is not view, contents.tables.values())
    first = sum(len(other.page.cells()) for other in before)
    body = web.render(
        "report_table",
        view=view,
        above=layout.headline(view, READING),
        shown=layout.shown,
        less=lambda cell: difference(cell, view.numbers[cell.place], view.page.decimals),
        next_number=itertools.count(first).__next__,  # of each cell among all of the report
    )
    return Part(name, view.page.title, view.page.caption, body)


def difference(cell: Cell, number: Number, decimals: int) -> str:
    """Our number minus the paper's, in the unit of the cell."""
    if number.ours is None or number.paper is None:
        return "–"
    less = number.ours - number.paper
    if cell.metric.endswith("_ms"):
        return f"{less:+.1f}"
    return ("−" if less < 0 else "+") + layout.amount(abs(less), cell.metric, decimals)


def details(contents: Contents) -> Markup:
    """Where each cell's number comes from, as JSON: a list in the order of the cells' numbers.

    One cell: the number of its page, its row, its column, what it measures, our number, the ends of
    its interval, the paper's number, k_test in pixels, the numbers of its runs, and a remark.
    """
    lines = []
    for i, view in enumerate(contents.tables.values()):
        for cell in view.page.cells():
            number = view.numbers[cell.place]
            # The name of the row and column, and the paper's where that is another.
            row = layout.label((cell.row, cell.paper_row))
            column = layout.label((cell.column, cell.paper_column))
            numbers = (number.ours, number.low, number.high, number.paper)
            exact = [None if x is None else round(x, 4) for x in numbers]  # as in the CSVs
            runs = [contents.runs[found.run].number for found in cell.measurements()]
            remarks = {"reported": REPORTED, "missing": f"Missing: {cell.note}"}
            line = [i, row, column, METRICS.get(cell.metric, cell.metric), *exact]
            lines.append([*line, cell.k_test, runs, remarks.get(cell.source, "")])
    found = {"pages": [view.page.title for view in contents.tables.values()], "cells": lines}
    # A script element may not contain "<".
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))
