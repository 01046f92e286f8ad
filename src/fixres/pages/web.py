"""A page as HTML, for a browser and for Snakemake's report: halves side by side, as printed."""

import html

from fixres.pages import layout
from fixres.pages.numbers import Number, Place

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1d2733; margin: 2rem auto; max-width: 78rem; padding: 0 1rem }
h1 { font-size: 1.4rem; margin-bottom: .3rem } p, li { max-width: 60rem }
.halves { display: flex; flex-wrap: wrap; gap: 1.5rem 2.5rem; align-items: start }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #dde3ea; white-space: nowrap }
th.name, th.name ~ th.label { text-align: left } th.label { font-weight: 400 }
thead th { border-bottom: 2px solid #1d2733 } .paper, .half { color: #6b7885; font-size: .85em; font-weight: 400 } .best { font-weight: 700 }
td.text, th.text { text-align: left; white-space: normal } .holds { color: #0b6b3a } .fails { color: #a3261b }
.reported { font-style: italic } .missing, .turned { color: #8a5a00 } ol, ul { color: #3c4957; font-size: .9em; padding-left: 1.2rem }
"""  # noqa: E501 (its bytes are part of every page)


def webpage(
    page: dict, numbers: dict[Place, Number], turned: set[Place], footnotes: list[str]
) -> str:
    """The page, with one table a block.

    Parameters
    ----------
    turned : the places of the cells whose trends are not the paper's.
    footnotes : what stands below the tables (`layout.notes`).
    """
    shown = layout.shower(page, numbers, turned)

    def text(cell: dict | None) -> str:
        s = shown(cell)
        kind = f' class="{s.kind}"' if s.kind else ""
        title = f' title="{html.escape(s.title)}"' if s.title else ""
        mark = f' <span class="turned">{layout.TURNED}</span>' if s.turned else ""
        paper = f' <span class="paper">({s.paper})</span>' if s.paper else ""
        half = f' <span class="half">{s.half}</span>' if s.half else ""
        return f"<td{kind}{title}>{s.ours}{half}{mark}{paper}</td>"

    tables = "\n".join(_table(block, layout.rows(block, text, _label)) for block in page["blocks"])
    reasons = [f"Missing: {reason}" for reason in layout.missing(page)]
    below = _list("ol", reasons) + _list("ul", footnotes)
    above = [page["caption"], layout.headline(page, numbers, bool(turned))]
    return document(page["title"], above, tables + "\n", below)


def document(title: str, above: list[str], tables: str, below: str = "", figure: str = "") -> str:
    """A whole page.

    Parameters
    ----------
    above : paragraphs above the tables, as text.
    tables, below, figure : HTML. The figure stands above the tables.
    """
    title = html.escape(title)
    paragraphs = "".join(f"<p>{html.escape(text)}</p>\n" for text in above)
    return (
        '<!doctype html>\n<html lang="en">\n'
        f'<head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style></head>\n'
        f"<body>\n<h1>{title}</h1>\n{paragraphs}{figure}"
        f'<div class="halves">\n{tables}</div>\n{below}</body>\n</html>\n'
    )


def table(caption: str, head: str, lines: list[str]) -> str:
    """A table.

    Parameters
    ----------
    head : HTML of the cells of its first row. lines : HTML of the cells of each further row.
    """
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return (
        f"<table><caption>{html.escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody></table>"
    )


def _table(block: dict, rows: list[list[str]]) -> str:
    n = len(block["heads"])
    classes = [""] if n == 1 else [' class="name"'] + [' class="label"'] * (n - 1)
    heads = zip(classes, block["heads"], strict=True)
    head = "".join(f"<th{kind}>{html.escape(text)}</th>" for kind, text in heads)
    head += "".join(f"<th>{_label(column)}</th>" for column in block["columns"])
    lines = []
    for row in rows:
        labels = zip(classes, row[:n], strict=True)
        lines.append("".join(f"<th{kind}>{x}</th>" for kind, x in labels) + "".join(row[n:]))
    return table(block["title"], head, lines)


def _label(ours_and_paper: list[str]) -> str:
    return layout.label(list(map(html.escape, ours_and_paper)), ' <span class="paper">({})</span>')


def _list(kind: str, items: list[str]) -> str:
    lines = "".join(f"<li>{html.escape(item)}</li>\n" for item in items)
    return f"<{kind}>\n{lines}</{kind}>\n" if items else ""
