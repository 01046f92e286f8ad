"""What the report consists of: the resolved configuration of results/report.html.

It names its tables and figures, section by section. The layout of a table and the runs of its cells
stand in results/pages/<table>/config.json; the report reads them there, and checks by a digest that
they are the planned ones.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from fixres.jobs import canonical, digest

if TYPE_CHECKING:
    from fixres.graph.plan import Plan

METHOD = "figure1"  # the figure that stands first, where there is one
LISTS = ("claims", "text")


class Section(NamedTuple):
    """A section of the paper."""

    title: str  # with its number, as "3.3 Larger test crops result in better accuracy"
    about: str  # what it says, for a reader who has not read the paper
    pages: tuple[str, ...]  # tables and figures in their order, by name


REST = Section("Further pages", "Tables and figures that are not the paper's.", ())


def contents(plan: "Plan", sections: Sequence[Section]) -> dict:
    """The report of a plan.

    A page that stands in no section, such as a table of one's own, comes last.
    """
    names = [*plan.tables, *plan.figures]
    placed = {name for section in sections for name in section.pages}
    rest = REST._replace(pages=tuple(name for name in names if name not in placed))
    shown = [s._replace(pages=tuple(p for p in s.pages if p in names)) for s in (*sections, rest)]
    return {
        "scale": plan.config.scale,
        "first": METHOD if METHOD in plan.figures else next(iter(plan.figures), ""),
        "sections": [section._asdict() for section in shown if section.pages],
        "pages": {name: _planned(plan, name) for name in (*names, *LISTS)},
        "jobs": _jobs(plan, names),
        # All that shapes a result, so that a reader can make the same again.
        "configuration": plan.config.model_dump(exclude={"hardware"}),
    }


def _planned(plan: "Plan", page: str) -> list[str]:
    """The stage of a page, and the digest by which the report recognises its configuration."""
    content = plan.resolved(f"pages/{page}")
    return [content["stage"], digest(canonical(content))]


def _jobs(plan: "Plan", pages: Sequence[str]) -> dict[str, list]:
    """Job -> [stage, seed] of all jobs behind the pages. The seed is None where it has none."""
    jobs = set().union(*(plan.with_ancestors(f"pages/{page}") for page in pages))
    jobs = sorted(job for job in jobs if not job.startswith("pages/"))
    return {job: [plan.jobs[job]["stage"], plan.jobs[job].get("seed")] for job in jobs}
