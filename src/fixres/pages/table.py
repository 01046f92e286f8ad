"""Tables: from declared cells and measured numbers to Markdown, tidy CSV and HTML.

A cell names its runs, a test resolution and a metric, so no table knows how a network is trained.
<page>.trends.csv lists each difference of the paper's and our result for it. The same input gives
the same bytes.
"""

from fixres.graph.pages import Cell, Page
from fixres.jobs.quoting import plain
from fixres.pages import command, layout, lists, trends, web
from fixres.pages.numbers import csv
from fixres.pages.view import View


def main(arguments: list[str]) -> None:
    page, args = command.read(arguments, "table", __doc__, Page)
    view = View(page, args.results)
    texts = {
        ".md": markdown(view),
        ".csv": csv(view.frame()),
        ".html": webpage(view),
        ".trends.csv": csv(trends.frame(view.trends)),
    }
    command.write(args.out, texts)


def markdown(view: View) -> str:
    """The page for a terminal or a code host, with one table a block."""

    def text(cell: Cell | None) -> str:
        if cell is None:
            return ""
        s = layout.shown(view, cell)
        ours = {"best": f"**{s.ours}**", "reported": f"*{s.ours}*"}.get(s.kind, s.ours)
        return " ".join(filter(None, (ours, s.half, s.mark, s.paper and f"({s.paper})")))

    parts = [f"# {view.page.title}", view.page.caption, layout.headline(view)]
    for block in view.page.blocks:
        rows = [
            [*(plain(layout.label(x)) for x in row.labels), *map(text, line)]
            for row, line in zip(block.rows, block.cells, strict=True)
        ]
        # Names are to the left, numbers to the right; a single leading column holds numbers.
        names = 0 if len(block.heads) == 1 else len(block.heads)
        heads = [*block.heads, *map(layout.label, block.columns)]
        parts += [f"**{block.title}**", lists.pipe(heads, rows, names)]
    reasons = [f"{i}. Missing: {plain(reason)}" for i, reason in enumerate(view.reasons, 1)]
    notes = [f"- {plain(note)}" for note in view.notes]
    parts += ["\n".join(lines) for lines in (reasons, notes) if lines]
    return "\n\n".join(parts) + "\n"


def webpage(view: View) -> str:
    """The page for a browser and for Snakemake's report: halves side by side, as printed."""
    above = [view.page.caption, layout.headline(view)]
    return web.render("table", title=view.page.title, above=above, view=view, shown=layout.shown)
