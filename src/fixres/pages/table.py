"""Tables: from declared cells and measured numbers to Markdown, tidy CSV and HTML.

    python -m fixres table --config results/pages/table5/config.json --results results \\
        --out results/table5.md

A cell names its runs, a test resolution and a metric, so no table knows how a network is trained.
Beside the page lies <page>.trends.csv: how each difference of the paper's came out here. The same
input gives the same bytes.
"""

from fixres.graph.pages import Page
from fixres.pages import layout, trends, web
from fixres.pages.command import page_parser, write
from fixres.pages.markdown import markdown
from fixres.pages.numbers import csv
from fixres.pages.view import View


def main(arguments: list[str]) -> None:
    args = page_parser("table", __doc__).parse_args(arguments)
    view = View(Page.read(args.config, "table", args.ancestry_digest), args.results)
    texts = {
        ".md": markdown(view),
        ".csv": csv(view.frame()),
        ".html": webpage(view),
        ".trends.csv": csv(trends.frame(view.trends)),
    }
    write(args.out, texts)


def webpage(view: View) -> str:
    """The page for a browser and for Snakemake's report: halves side by side, as printed."""
    above = [view.page.caption, layout.headline(view)]
    return web.render("table", title=view.page.title, above=above, view=view, shown=layout.shown)
