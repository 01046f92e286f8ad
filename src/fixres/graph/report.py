"""What the report consists of: the resolved configuration of results/report.html.

It names its tables and figures, section by section. The layout of a table and the runs of its cells
stand in results/pages/<table>/config.json; the report reads them there, and checks by a digest that
they are the planned ones.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fixres.graph.outputs import benchmark_of
from fixres.graph.pages import Report, Section, SourceJob
from fixres.jobs import canonical, digest

if TYPE_CHECKING:
    from fixres.graph.plan import Plan

METHOD = "figure1"  # the figure that stands first, where there is one
LISTS = ("claims", "text")
WORK = (  # stage, and what its jobs do, in the order of the work
    ("render", "rendering images"),
    ("manifest", "listing images"),
    ("pretrained", "fetching weights"),
    ("train", "training"),
    ("match", "matching distributions"),
    ("finetune", "fine-tuning"),
    ("evaluate", "evaluating"),
    ("time", "timing"),
)


REST = ("Further pages", "Tables and figures that are not the paper's.")


def contents(plan: "Plan", sections: Sequence[Section]) -> Report:
    """The report of a plan.

    A page that stands in no section, such as a table of one's own, comes last.
    """
    names = [*plan.tables, *plan.figures]
    placed = {name for section in sections for name in section.pages}
    rest = Section(*REST, tuple(name for name in names if name not in placed))
    shown = [
        s.model_copy(update={"pages": tuple(p for p in s.pages if p in names)}) for s in sections
    ]
    return Report(
        scale=plan.config.scale,
        first=METHOD if METHOD in plan.figures else next(iter(plan.figures), ""),
        sections=[section for section in (*shown, rest) if section.pages],
        pages={name: _planned(plan, name) for name in (*names, *LISTS)},
        jobs=_jobs(plan, names),
        work=WORK,
        configuration=plan.config.model_dump(exclude={"hardware"}),
    )


def _planned(plan: "Plan", page: str) -> tuple[str, str]:
    """The stage of a page, and the digest by which the report recognises its configuration."""
    content = plan.resolved(f"pages/{page}")
    return content["stage"], digest(canonical(content))


def _jobs(plan: "Plan", pages: Sequence[str]) -> dict[str, SourceJob]:
    """All jobs behind the pages, by their ids."""
    jobs = set().union(*(plan.with_ancestors(f"pages/{page}") for page in pages))
    found = {job: plan.jobs[job] for job in sorted(jobs) if not job.startswith("pages/")}
    return {
        job: SourceJob(content["stage"], content.get("seed"), benchmark_of(job, content["stage"]))
        for job, content in found.items()
    }
