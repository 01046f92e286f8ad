"""The tables of the report. Each cell holds our number, the paper's, and their difference.

A switch at the top of the page shows one of the three (style.css). A click on a cell shows where
its number comes from: the script reads that from one JSON block (`details`).
"""

import json

from fixres.pages import layout
from fixres.pages.numbers import Number, cells, place
from fixres.pages.report import markup
from fixres.pages.report.markup import Part, text
from fixres.pages.report.reading import Contents, Sheet, runs_behind

READING = (
    "Each cell: ours; the switch at the top of this page shows the paper's number or the "
    "difference in its place"
)
METRICS = {
    "top1": "Top-1 accuracy (%)",
    "top5": "Top-5 accuracy (%)",
    "top1_10crops": "Top-1 accuracy over ten crops an image (%)",
    "parameters": "Parameters (millions)",
    "forward_ms": "Forward pass (ms a batch)",
    "backward_ms": "Backward pass (ms a batch)",
    "hours": "Time (hours)",
}
NONE = "–"


def part(contents: Contents, name: str) -> Part:
    """A table with its caption, and what stands below it."""
    sheet = contents.sheets[name]
    page, first = sheet.page, _first_cell(contents, name)
    shown = layout.shower(page, sheet.numbers, sheet.turned)
    blocks = []
    for block in page["blocks"]:
        blocks.append(_block(page, block, [_cell(sheet, shown, c) for c in _flat(block)], first))
        first += len([c for c in _flat(block) if c])
    reasons = [f"Missing: {reason}" for reason in layout.missing(page)]
    above = layout.headline(page, sheet.numbers, bool(sheet.turned), READING)
    body = f'<p class="how">{text(above)}</p>\n<div class="blocks">\n' + "\n".join(blocks)
    body += "</div>\n" + markup.listed("ol", reasons) + markup.listed("ul", sheet.footnotes)
    return Part(name, page["title"], page["caption"], body)


def _flat(block: dict) -> list[dict | None]:
    return [cell for line in block["cells"] for cell in line]


def _first_cell(contents: Contents, name: str) -> int:
    """How many cells the tables before this one have."""
    before = list(contents.sheets)[: list(contents.sheets).index(name)]
    return sum(len(cells(contents.sheets[other].page)) for other in before)


def _block(page: dict, block: dict, shown: list[str], first: int) -> str:
    """A block, in a box of its own.

    Parameters
    ----------
    shown : HTML inside each cell, row by row; empty where there is none.
    first : the number of its first cell among all cells of the report.
    """
    n, width = len(block["heads"]), len(block["columns"])
    heads = "".join(_head(text(h), "name" if n > 1 else "") for h in block["heads"])
    heads += "".join(_head(_label(column), "") for column in block["columns"])
    lines, at = [], first
    for i, row in enumerate(block["rows"]):
        names = [_row_head(label, "name" if n > 1 else "") for label in row["labels"]]
        for inside in shown[i * width : (i + 1) * width]:
            names.append(f'<td data-cell="{at}">{inside}</td>' if inside else "<td></td>")
            at += bool(inside)
        lines.append(f"<tr>{''.join(names)}</tr>")
    table = (
        f"<table><caption>{text(block['title'])}</caption>\n<thead><tr>{heads}</tr></thead>\n"
        "<tbody>\n" + "\n".join(lines) + "\n</tbody></table>"
    )
    return markup.box(f"{page['title']}: {block['title']}", table)


def _head(label: str, kind: str) -> str:
    """The heading of a column: a button that sorts by it."""
    kind = f' class="{kind}"' if kind else ""
    return f'<th scope="col"{kind}><button type="button" class="sort">{label}</button></th>'


def _row_head(label: list[str], kind: str) -> str:
    kind = f' class="{kind}"' if kind else ""
    return f'<th scope="row"{kind}>{_label(label)}</th>'


def _label(ours_and_paper: list[str]) -> str:
    return layout.label(list(map(text, ours_and_paper)), " <small>({})</small>")


def _cell(sheet: Sheet, shown: layout.Shown, cell: dict | None) -> str:
    """A button with all three numbers, of which style.css shows one."""
    if cell is None:
        return ""
    s, number = shown(cell), sheet.numbers[place(cell)]
    paper = s.ours if s.kind == "reported" else s.paper or NONE
    half = f" <small>{s.half}</small>" if s.half else ""
    mark = f" <small>{layout.TURNED}</small>" if s.turned else ""
    kind = f"ours {s.kind}".strip()
    less = difference(cell, number, sheet.page["decimals"])
    less += half if less != NONE else ""
    return (
        f'<button type="button" class="cell"><span class="{kind}">{s.ours}{half}{mark}</span>'
        f'<span class="paper">{paper}</span><span class="less">{less}</span></button>'
    )


def difference(cell: dict, number: Number, decimals: int) -> str:
    """Ours less the paper's, in the unit of the cell."""
    if number.ours is None or number.paper is None:
        return NONE
    less, metric = number.ours - number.paper, cell["metric"]
    if metric.endswith("_ms"):
        return f"{less:+.1f}"
    return ("−" if less < 0 else "+") + layout.amount(abs(less), metric, decimals)


def details(contents: Contents) -> str:
    """Where each cell's number comes from, as JSON: a list in the order of the cells' numbers.

    One cell: the number of its page, its row, its column, what it measures, our number, the ends of
    its interval, the paper's number, k_test in pixels, the numbers of its runs, and a remark.
    """
    titles, lines = [], []
    for sheet in contents.sheets.values():
        for cell in cells(sheet.page):
            number = sheet.numbers[place(cell)]
            line = [len(titles), _name(cell, "row"), _name(cell, "column")]
            line += [METRICS.get(cell["metric"], cell["metric"])]
            line += [number.ours, number.low, number.high, number.paper]
            lines.append([*line, cell["k_test"], runs_behind(contents, cell), _remark(cell)])
        titles.append(sheet.page["title"])
    found = {"pages": titles, "cells": lines}
    # No "<" may stand in a script element.
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _name(cell: dict, along: str) -> str:
    """The name of a row or column, and the paper's in parentheses where that is another."""
    return layout.label([cell[along], cell[f"paper_{along}"]])


def _remark(cell: dict) -> str:
    if cell["source"] == "reported":
        return "The paper quotes this number from the literature. We did not measure it."
    return f"Missing: {cell['note']}" if cell["source"] == "missing" else ""
