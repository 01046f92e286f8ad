"""The whole page from its parts: template, style and script are files beside this one."""

from pathlib import Path
from string import Template

from fixres.pages.report.markup import Part, link, text

FOLDER = Path(__file__).parent


def document(top: str, parts: list[Part], cells: str) -> str:
    """The page.

    Parameters
    ----------
    top : HTML below the title.
    cells : JSON, where the cells' numbers come from (`tables.details`).
    """
    return Template(_file("page.html")).substitute(
        style=_file("style.css"),
        script=_file("script.js"),
        top=top,
        contents="".join(map(_entry, parts)),
        parts="\n".join(map(_part, parts)),
        cells=cells,
    )


def _file(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _entry(part: Part) -> str:
    """A line of the contents."""
    below = "".join(f" {link(p.anchor, p.title)}" for p in part.parts)
    return f"<li>{link(part.anchor, part.title)}{below}</li>\n"


def _part(part: Part) -> str:
    below = "\n".join(
        f'<article id="{text(p.anchor)}">\n<h3>{text(p.title)}</h3>\n'
        f'<p class="caption">{text(p.about)}</p>\n{p.body}</article>'
        for p in part.parts
    )
    return (
        f'<section id="{text(part.anchor)}">\n<h2>{text(part.title)}</h2>\n'
        f'<p class="about">{text(part.about)}</p>\n{part.body}{below}</section>'
    )
