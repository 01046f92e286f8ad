"""Small pieces of HTML that several parts of the report are made of."""

import html
from typing import NamedTuple

from fixres.jobs.quoting import visible


class Part(NamedTuple):
    """A part of the report, with a heading that the contents link to."""

    anchor: str
    title: str
    about: str  # one paragraph below the heading, as text
    body: str  # HTML
    parts: tuple["Part", ...] = ()  # below it, with smaller headings


def text(words: object) -> str:
    """Words that show what they are and do nothing else."""
    return html.escape(visible(str(words)))


def link(anchor: str, words: str) -> str:
    """A link to a part of this page."""
    return f'<a href="#{text(anchor)}">{text(words)}</a>'


def box(label: str, table: str) -> str:
    """A table in a box of its own, which scrolls where the table is wider than the screen."""
    return f'<div class="box" role="region" tabindex="0" aria-label="{text(label)}">{table}</div>'


def table(label: str, heads: list[str], rows: list[list[str]], caption: bool = True) -> str:
    """A plain table, in its box.

    Parameters
    ----------
    label : what it is. It is shown above the table unless `caption` is false.
    heads : as text. rows : as HTML.
    """
    shown = f"<caption>{text(label)}</caption>" if caption else ""
    head = "".join(f'<th scope="col">{text(h)}</th>' for h in heads)
    lines = "\n".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
    inner = f"{shown}<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody>"
    return box(label, f'<table class="plain">{inner}</table>')


def folded(summary: str, body: str) -> str:
    """HTML behind a line that opens it."""
    return f"<details><summary>{text(summary)}</summary>{body}</details>"


def listed(kind: str, items: list[str]) -> str:
    """A list (ol or ul) of texts; nothing where there are none."""
    lines = "".join(f"<li>{text(item)}</li>\n" for item in items)
    return f'<{kind} class="notes">\n{lines}</{kind}>\n' if items else ""


def counted(n: int, one: str) -> str:
    """`3 cells`, `1 cell`."""
    return f"{n:,} {one}{'s' * (n != 1)}"
