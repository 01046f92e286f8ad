"""The report: one file, without outside links, that holds everything. To send to a colleague.

It shows the numbers that the other pages show, from the same measurements, and the drawings
results/<figure>.svg. The same inputs, on the same machine and at the same commit, give the same
bytes.
"""

from pathlib import Path

from fixres.graph.pages import Report, Section
from fixres.pages import command, web
from fixres.pages.report import figures, origins, overview, tables, verdicts
from fixres.pages.report.reading import Contents, Part, read


def main(arguments: list[str]) -> None:
    report, args = command.read(arguments, "report", __doc__, Report)
    command.write(args.out, {".html": page(report, args.results)})


def page(report: Report, results: Path) -> str:
    """The whole page."""
    contents = read(report, results)
    parts = [
        *([figures.first(contents, report.first)] if report.first else []),
        *verdicts.parts(contents),
        *(_section(contents, section, i) for i, section in enumerate(report.sections, 1)),
        overview.missing(contents),
        origins.part(contents),
    ]
    cells = tables.details(contents)
    return web.render("report", **overview.top(contents), parts=parts, cells=cells)


def _section(contents: Contents, section: Section, i: int) -> Part:
    """A section of the paper with its tables and figures, in their order."""
    shown = tuple(_page(contents, name) for name in section.pages)
    return Part(f"section-{i}", section.title, section.about, parts=shown)


def _page(contents: Contents, name: str) -> Part:
    if name in contents.tables:
        return tables.part(contents, name)
    make = figures.above if name == contents.report.first else figures.part
    return make(contents, name)
