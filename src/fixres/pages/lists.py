"""Pages that are lists: paragraphs, tables of text, then notes. In Markdown and in HTML."""

from collections.abc import Collection, Sequence

from tabulate import tabulate

from fixres.jobs.quoting import plain
from fixres.pages import web

Table = tuple[str, list[str], list[list[str]]]  # title, heads, rows


def markdown(
    title: str, paragraphs: list[str], tables: list[Table], notes: Sequence[str] = ()
) -> str:
    """The page for a terminal or a code host."""
    parts = [f"# {plain(title)}", *paragraphs]
    for name, heads, rows in tables:
        parts += [f"**{name}**", pipe(heads, [[plain(cell) for cell in row] for row in rows])]
    parts += ["\n".join(f"- {plain(note)}" for note in notes)] if notes else []
    return "\n\n".join(parts) + "\n"


def forms(
    title: str, above: list[str], tables: list[Table], notes: Sequence[str] = (), **options: object
) -> dict[str, str]:
    """The page as Markdown and as HTML, by suffix, with the options of `webpage`."""
    page = webpage(title, above, tables, notes=notes, **options)
    return {".md": markdown(title, above, tables, notes), ".html": page}


def pipe(heads: Sequence[str], rows: list[list[str]], names: int | None = None) -> str:
    """A table in Markdown: the first columns (None: all) to the left, the others to the right."""
    left = len(heads) if names is None else names
    align = ["left"] * left + ["right"] * (len(heads) - left)
    return tabulate(rows, heads, tablefmt="pipe", disable_numparse=True, colalign=align)


def webpage(
    title: str,
    paragraphs: list[str],
    tables: list[Table],
    marked: Collection[str] = (),
    figure: str = "",
    of_numbers: bool = False,
    notes: Sequence[str] = (),
) -> str:
    """The page for a browser and for Snakemake's report.

    Parameters
    ----------
    marked : texts whose cells have a class of that name up to the comma (templates/page.css).
    figure : an SVG that is shown above the tables.
    of_numbers : whether the tables hold numbers, which are aligned right, instead of text.
    notes : notes on the numbers, such as missing images.
    """
    values = {"tables": tables, "marked": marked, "figure": figure, "of_numbers": of_numbers}
    return web.render("list", title=title, above=paragraphs, notes=notes, **values)
