"""Pages that are lists: paragraphs, then tables of text. In Markdown and in HTML."""

import html
from collections.abc import Collection

from tabulate import tabulate

from fixres.jobs.quoting import plain
from fixres.pages import web

Table = tuple[str, list[str], list[list[str]]]  # title, heads, rows


def markdown(title: str, paragraphs: list[str], tables: list[Table]) -> str:
    """The page for a terminal or a code host."""
    parts = [f"# {title}", *paragraphs]
    for name, heads, rows in tables:
        quoted = [[plain(cell) for cell in row] for row in rows]
        parts += [f"**{name}**", tabulate(quoted, heads, tablefmt="pipe", disable_numparse=True)]
    return "\n\n".join(parts) + "\n"


def webpage(
    title: str,
    paragraphs: list[str],
    tables: list[Table],
    marked: Collection[str] = (),
    figure: str = "",
) -> str:
    """The page for a browser and for Snakemake's report.

    Parameters
    ----------
    marked : texts whose cells have a class of that name (`web.STYLE`).
    figure : HTML that stands above the tables.
    """

    def cell(text: str) -> str:
        kind = f"text {text}" if text in marked else "text"
        return f'<td class="{kind}">{html.escape(text)}</td>'

    shown = ""
    for name, heads, rows in tables:
        head = "".join(f'<th class="text">{html.escape(h)}</th>' for h in heads)
        shown += web.table(name, head, ["".join(map(cell, row)) for row in rows]) + "\n"
    return web.document(title, paragraphs, shown, figure=figure)
