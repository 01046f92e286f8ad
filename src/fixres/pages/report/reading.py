"""What the report shows: the pages of the plan with their numbers, as the pages themselves do."""

from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from fixres import jobs, paper
from fixres.graph.claims import ClaimsPage
from fixres.graph.pages import Figure, Page, Report
from fixres.pages import decided
from fixres.pages.decided import Decisions
from fixres.pages.view import View

DECLARED = {"claims": paper.CLAIMS, "text": paper.QUOTED}


class Part(NamedTuple):
    """A part of the report, with a heading that the contents link to."""

    anchor: str
    title: str
    about: str  # one paragraph below the heading
    body: Markup = Markup()
    parts: tuple["Part", ...] = ()  # below it, with smaller headings


class Run(NamedTuple):
    """What identifies the result of a run."""

    number: int  # in the list of all runs
    file: str  # its metrics.json, below results/
    seed: int | None
    metrics: str  # digest of the content of its metrics.json
    per_image: str  # digest of what it found on each image; empty where it has no such file


class Contents(NamedTuple):
    """All that the report shows."""

    report: Report
    results: Path
    tables: dict[str, View]
    figures: dict[str, View]
    lists: dict[str, Decisions]  # claims, text
    runs: dict[str, Run]  # every run that a cell shows, in order of its name

    def title(self, name: str) -> str:
        """The title of a table or figure."""
        return (self.tables | self.figures)[name].page.title


def read(report: Report, results: Path) -> Contents:
    """Read the pages that the report consists of.

    Raises
    ------
    JobError : a file is missing, damaged, or not of this plan. The message names it.
    """
    contents, asked = Contents(report, results, {}, {}, {}, {}), {}
    kinds = {"table": (Page, contents.tables), "figure": (Figure, contents.figures)}
    for name, (stage, planned) in report.pages.items():
        kind, shown = kinds.get(stage, (ClaimsPage, asked))
        try:
            page = kind.read(results / "pages" / name / "config.json", stage, planned)
        except jobs.JobError as error:
            page = results / f"{name}.md"
            raise jobs.JobError(
                f"{str(error).rstrip('.')}. Also delete {page}, so that Snakemake makes both."
            ) from None
        shown[name] = page if shown is asked else View(page, results)
    found = {}
    for view in (*contents.tables.values(), *contents.figures.values()):
        for one in view.page.measurements():
            found[one.run] = one.metrics, view.measured.metrics[one.run]
    for i, (run, (file, metrics)) in enumerate(sorted(found.items())):
        seed = report.jobs[run].seed if run in report.jobs else None
        digest = jobs.digest(jobs.canonical(metrics))
        per_image = metrics.get("hits") or metrics.get("samples", "")
        contents.runs[run] = Run(i, file, seed, digest, per_image)
    for name, page in asked.items():  # last: a damaged file is an error of the table that shows it
        contents.lists[name] = decided.decide(page, DECLARED[name], results)
    return contents
