"""Tables: from declared cells and measured numbers to Markdown, tidy CSV and HTML.

    python -m fixres table --config results/pages/table5/config.json --results results \\
        --out results/table5.md

A cell names a run, a test resolution and a metric, so no table knows how a network is trained. The
same input gives the same bytes.
"""

from fixres import jobs
from fixres.pages import layout
from fixres.pages.command import page_parser
from fixres.pages.markdown import markdown
from fixres.pages.numbers import collect, read_metrics, tidy, without_failed
from fixres.pages.web import webpage


def main(arguments: list[str]) -> None:
    args = page_parser("table", __doc__).parse_args(arguments)
    config = jobs.read_config(args.config, "table", args.ancestry_digest)
    page = without_failed(config, args.results)
    measured = read_metrics(page, args.results)
    numbers = collect(page, measured)
    footnotes = layout.notes(page, measured)
    texts = {
        ".md": markdown(page, numbers, footnotes),
        ".csv": tidy(page, numbers),
        ".html": webpage(page, numbers, footnotes),
    }
    for suffix, text in texts.items():
        with jobs.atomic(args.out.with_suffix(suffix)) as temporary:
            temporary.write_text(text, encoding="utf-8")
