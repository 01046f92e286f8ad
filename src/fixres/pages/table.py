"""Tables: from declared cells and measured numbers to Markdown, tidy CSV and HTML.

    python -m fixres table --config results/pages/table5/config.json --results results \\
        --out results/table5.md

A cell names its runs, a test resolution and a metric, so no table knows how a network is trained.
Beside the page lies <page>.trends.csv: how each difference of the paper's came out here. The same
input gives the same bytes.
"""

from fixres import jobs
from fixres.pages import layout, trends
from fixres.pages.command import page_parser, write
from fixres.pages.markdown import markdown
from fixres.pages.numbers import collect, csv, frame, read, resampled, without_failed
from fixres.pages.web import webpage


def main(arguments: list[str]) -> None:
    args = page_parser("table", __doc__).parse_args(arguments)
    config = jobs.read_config(args.config, "table", args.ancestry_digest)
    page = without_failed(config, args.results)
    measured = read(page, args.results)
    replicas = resampled(page, measured)
    numbers = collect(page, measured, replicas)
    found = trends.pairs(page, numbers, replicas)
    turned = trends.turned_cells(found)
    footnotes = layout.notes(page, measured.metrics)
    texts = {
        ".md": markdown(page, numbers, turned, footnotes),
        ".csv": csv(frame(page, numbers)),
        ".html": webpage(page, numbers, turned, footnotes),
        ".trends.csv": csv(trends.frame(found)),
    }
    write(args.out, texts)
