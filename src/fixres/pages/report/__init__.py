"""The report: one file, without outside links, that holds everything. To send to a colleague.

    python -m fixres report --config results/pages/report/config.json --results results \\
        --out results/report.html

It shows what the other pages measured: the numbers are those of results/<table>.csv, the verdicts
those of results/claims.csv, the drawings results/<figure>.svg. The same inputs, on the same machine
and at the same commit, give the same bytes.
"""

from pathlib import Path

from fixres import jobs
from fixres.pages.command import page_parser, write
from fixres.pages.report import figures, origins, overview, skeleton, tables, verdicts
from fixres.pages.report.markup import Part
from fixres.pages.report.reading import Contents, read


def main(arguments: list[str]) -> None:
    args = page_parser("report", __doc__).parse_args(arguments)
    config = jobs.read_config(args.config, "report", args.ancestry_digest)
    write(args.out, {".html": page(config, args.results)})


def page(config: dict, results: Path) -> str:
    """The whole page."""
    contents = read(config, results)
    first = config["first"]
    parts = [
        *([figures.first(contents, first)] if first else []),
        *verdicts.parts(contents),
        *(_section(contents, section, i) for i, section in enumerate(config["sections"], 1)),
        overview.missing(contents),
        origins.part(contents),
    ]
    return skeleton.document(overview.top(contents), parts, tables.details(contents))


def _section(contents: Contents, section: dict, i: int) -> Part:
    """A section of the paper with its tables and figures, in their order."""
    shown = tuple(_page(contents, name) for name in section["pages"])
    return Part(f"section-{i}", section["title"], section["about"], "", shown)


def _page(contents: Contents, name: str) -> Part:
    if name in contents.sheets:
        return tables.part(contents, name)
    make = figures.above if name == contents.config["first"] else figures.part
    return make(contents, name)
