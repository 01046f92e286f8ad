"""The pages of a graph: what is declared in fixres.paper becomes jobs.

Declaring a table or a figure adds the jobs that its cells need. Then each page becomes a job, too:
its resolved configuration holds its layout and names the files that it reads.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from fixres.config import ConfigError
from fixres.config.datasets import Dataset
from fixres.graph.checks import expanded
from fixres.graph.claims import Claim, Quoted, planned
from fixres.graph.graph import JobGraph, Missing
from fixres.graph.jobs import Job
from fixres.graph.pages import (
    Cell,
    Cost,
    Crate,
    CrateJob,
    Figure,
    Images,
    Logs,
    Needed,
    Page,
    Report,
    Section,
    SourceJob,
    Summary,
    failed,
)
from fixres.graph.recommendation import recommend
from fixres.graph.stages import STAGES
from fixres.jobs import canonical, digest

RELEASED_TRANSFORM = (
    "Test transform: the image's height scaled to k_test_image, as in the authors' released code "
    "(evaluation.test_resize: released). By the paper's text it is the image's shorter side."
)
CRATE = "crate"  # the stage that holds all pages
NAMED = 3  # pages that are named of many
METHOD = "figure1"  # the figure that the report begins with, where there is one
REST = ("Further pages", "Tables and figures that are not the paper's.")


def declare(
    graph: JobGraph,
    tables: Iterable[Callable[[JobGraph], Page]],
    figures: Iterable[Callable[[JobGraph], Figure]] = (),
    claims: Sequence[Claim] = (),
    quoted: Sequence[Quoted] = (),
    sections: Sequence[Section] = (),
) -> JobGraph:
    """Add some pages to a graph, the pages over all of them, and all jobs that they need.

    Parameters
    ----------
    tables : functions that each declare one table.
    figures : functions that each declare one figure. They may use the tables.
    claims : the sentences that the cells of these pages decide.
    quoted : the numbers of the paper's text that they measure.
    sections : what the report shows where, in the order of the paper.
    """
    config = graph.config
    graph.tables |= {page.name: page for page in (ask(graph) for ask in tables)}
    graph.figures |= {figure.name: figure for figure in (ask(graph) for ask in figures)}
    pages = {name: _add_page(graph, page) for name, page in graph.pages.items()}
    answer = {job.id: job for job in ([_answer(graph)] if config.custom else [])}
    shown = pages | {
        "claims": _add_claims(graph, "claims", claims),
        "text": _add_claims(graph, "text", quoted),
    }
    summary = Summary(scale=config.scale, tables=tuple(graph.tables))
    tables = tuple(pages[name] for name in graph.tables)
    graph.add("summary", "pages/summary", summary.content(), others=tables)
    graph.add("cost", "pages/plan", _cost(graph, pages | answer).content())
    report = _report(graph, sections, shown).content()
    graph.add("report", "pages/report", report, others=tuple(shown.values()))
    _add_crate(graph)
    return graph


def _answer(graph: JobGraph) -> Job:
    try:
        return recommend(graph)
    except Missing as missing:
        raise ConfigError(str(missing)) from None


# --- tables and figures --------------------------------------------------------------------------


def _add_page(graph: JobGraph, page: Page) -> Job:
    """Complete the record of a table or figure, and add its job."""
    config, is_figure = graph.config, isinstance(page, Figure)
    measured = _jobs_behind(graph, page.cells())
    drawn = [graph.made_by[file] for file in page.files.values()] if is_figure else []
    completed = {
        "caption": config.pages.captions.get(page.name, page.caption),
        "scale": config.scale,
        "may_have_failed": _logs(graph, {job.id: job for job in drawn} | measured),
    }
    if not is_figure:
        notes = page.notes + _test_notes(graph, page)
        completed |= {"decimals": config.pages.decimals, "notes": notes}
    content = page.model_copy(update=completed).content()
    stage, others = "figure" if is_figure else "table", (*measured.values(), *drawn)
    return graph.add(stage, f"pages/{page.name}", content, others=others)


def _jobs_behind(graph: JobGraph, cells: Iterable[Cell]) -> dict[str, Job]:
    """Run, as pages show it -> the job that left its numbers, of all that some cells read."""
    found = (one for cell in cells for one in cell.measurements())
    return {one.run: graph.made_by[one.metrics] for one in found}


def _test_notes(graph: JobGraph, page: Page) -> tuple[str, ...]:
    """A note where the test transform of a page's accuracies is not the paper's.

    For the authors' weights, their own page says it.
    """
    tested = _jobs_behind(graph, (cell for cell in page.cells() if cell.k_test)).values()
    authors = all(job.run is not None and job.run.released for job in tested)
    other = graph.config.evaluation.test_resize == "released"
    return (RELEASED_TRANSFORM,) if other and not authors else ()


def _logs(graph: JobGraph, numbers: dict[str, Job]) -> dict[str, Logs]:
    """Run -> the logs of all jobs behind its numbers, where they may have failed."""
    wanted = numbers if graph.config.pages.allow_failed else {}
    return {run: logs_behind(job) for run, job in wanted.items()}


def logs_behind(job: Job) -> Logs:
    """The log of each job behind a job that leaves a mark when it fails."""
    return {one.id: one.log for one in job.ancestors if one.stage.fails_alone}


# --- pages over all others -----------------------------------------------------------------------


def _add_claims(graph: JobGraph, name: str, declared: Sequence[Claim | Quoted]) -> Job:
    """Add the page of claims, or of numbers in the text."""
    shown = {"scale": graph.config.scale, "decimals": graph.config.pages.decimals}
    page = planned(declared, graph.pages, **shown)
    measured = _jobs_behind(graph, page.cells.values())
    page = page.model_copy(update={"may_have_failed": _logs(graph, measured)})
    return graph.add(name, f"pages/{name}", page.content(), others=tuple(measured.values()))


def _report(graph: JobGraph, sections: Sequence[Section], pages: dict[str, Job]) -> Report:
    """What the report consists of. A page of no section, such as a table of the user's, is last."""
    names = list(graph.pages)
    placed = {name for section in sections for name in section.pages}
    rest = Section(*REST, tuple(name for name in names if name not in placed))
    shown = [
        s.model_copy(update={"pages": tuple(p for p in s.pages if p in names)})
        for s in (*sections, rest)
    ]
    behind = {job.id: job for name in names for job in pages[name].ancestors if not job.stage.page}
    return Report(
        scale=graph.config.scale,
        first=METHOD if METHOD in graph.figures else next(iter(graph.figures), ""),
        sections=tuple(section for section in shown if section.pages),
        pages={n: (job.stage.name, digest(canonical(job.config))) for n, job in pages.items()},
        jobs={
            name: SourceJob(job.stage.name, job.seed, job.benchmark)
            for name, job in sorted(behind.items())
        },
        # The crate is not listed, because it contains the report.
        work=tuple((stage.name, stage.work) for stage in STAGES.values() if stage.name != CRATE),
        # Everything that shapes a result, so that a reader can reproduce it.
        configuration=graph.config.model_dump(exclude={"hardware", "crate"}),
    )


def all_pages(graph: JobGraph) -> list[Job]:
    """The pages that `snakemake all` makes, and results/ro-crate holds.

    They are all pages of the paper; or the answer about a custom network, where that is asked.
    """
    names = (*graph.tables, "summary", "claims", "text", *graph.figures, "report")
    answers = graph.of_stage("answer")
    return answers or [graph.job(f"pages/{name}") for name in names]


def _add_crate(graph: JobGraph) -> Job:
    """Add the job that puts all pages, and the records of the jobs behind them, into a crate."""
    pages = all_pages(graph)
    behind = {job.id: job for page in pages for job in page.ancestors}
    stages = dict.fromkeys(job.stage.name for job in behind.values())
    of_work = [name for name, stage in STAGES.items() if not stage.page]
    of_pages = [name for name, stage in STAGES.items() if stage.page]
    crate = Crate(
        scale=graph.config.scale,
        network=graph.config.custom.name if graph.config.custom else "",
        pages=tuple(job.id for job in reversed(pages)),
        jobs={
            name: CrateJob(
                stage=job.stage.name,
                made_from=job.ancestry_digest,
                outputs=job.outputs,
                benchmark=job.benchmark,
                dataset=job.dataset if job.stage.name in ("render", "manifest") else "",
            )
            for name, job in sorted(behind.items())
        },
        stages=tuple(name for name in (*of_work, *reversed(of_pages)) if name in stages),
        configuration=graph.config.model_dump(exclude={"hardware"}),
    )
    return graph.add(CRATE, "pages/ro-crate", crate.content(), others=tuple(pages))


def _cost(graph: JobGraph, pages: dict[str, Job]) -> Cost:
    """The jobs that each page needs, and how much each of them computes (results/plan.md)."""
    config, hardware = graph.config, graph.config.hardware
    needed = {n: [job for job in page.ancestors if job is not page] for n, page in pages.items()}
    images = {}
    for name, dataset in config.datasets.items():
        images[name] = Images(
            source=dataset.source,
            rendered=_rendered(dataset),
            folder=None if dataset.rendered else expanded(dataset.root),
            split=dataset.split,
            limit=dict(dataset.limit or {}),
            only=dataset.only,
            labels=expanded(dataset.labels),
        )
    everything = {job.id: job for jobs in needed.values() for job in jobs}
    custom = {}
    if config.custom:
        counted = ("native", "stride", "multiply_adds", "parameters")
        network = {key: getattr(config.custom.network, key) for key in counted}
        custom[config.custom.name] = network
    return Cost(
        scale=config.scale,
        twins=config.twins,
        pages={name: tuple(job.id for job in jobs) for name, jobs in needed.items()},
        datasets=images,
        jobs={
            name: Needed(job.dataset, job.log, job.benchmark, job.config)
            for name, job in sorted(everything.items())
        },
        cache_gb=hardware.cache_gb,
        processes=hardware.processes or max(hardware.gpus, 1),
        multiply_adds_per_second=hardware.multiply_adds_per_second,
        custom=custom,
    )


def _rendered(dataset: Dataset) -> tuple[int, int] | None:
    """Training and validation images of a set that is rendered."""
    of = dataset.rendered
    return of and (0 if dataset.only else of.train_images, of.val_images)


# --- what the rules ask --------------------------------------------------------------------------


def require(graph: JobGraph, asked: Iterable[Job]) -> None:
    """Raise ConfigError where weights or images that some jobs need were not given.

    With pages.allow_missing, a page shows such cells as missing, if there are others.
    """
    allowed = graph.config.pages.allow_missing
    notes: dict[str, None] = {}
    needing, empty = [], []
    for job in asked:
        page = _shown_by(graph, job)
        missing = [cell.note for cell in (page.cells() if page else ()) if cell.source == "missing"]
        missing += page.missing if isinstance(page, Figure) else []
        nothing = not job.others and graph.config.dataset in graph.absent
        if missing and (nothing or not allowed):
            needing.append(f"results/{page.name}")
            empty += [page.name] if nothing else []
            notes |= dict.fromkeys(missing)
    if needing:
        more = f" and {len(needing) - NAMED} more" if len(needing) > NAMED else ""
        way_out = "Give these inputs"
        if len(empty) < len(needing):
            way_out += ", or set pages.allow_missing to show such cells as missing"
        head = f"{', '.join(needing[:NAMED])}{more}: inputs are not configured. {way_out}:"
        raise ConfigError("\n".join([head, *(f"  {note}" for note in notes)]))


def _shown_by(graph: JobGraph, job: Job) -> Page | Figure | None:
    """The table or figure that a job renders."""
    return graph.pages.get(job.config.get("name", "")) if job.stage.page else None


def measurements(graph: JobGraph, name: str) -> list[str]:
    """The files whose numbers a page's job reads, and those with what was found on each image.

    With pages.allow_failed, the files of failed runs are skipped.

    Parameters
    ----------
    name : id of the job of a table, figure, claims, text or choice.

    Raises
    ------
    ConfigError : weights or images that the page needs were not given, and pages.allow_missing
        does not ask to show such cells as missing.
    """
    job = graph.job(name)
    require(graph, [job])
    found = list(job.others)
    if graph.config.pages.allow_failed:
        found = [job for job in found if not failed(logs_behind(job), Path("results"))]
    page = _shown_by(graph, job)
    drawn = set(page.files.values()) if isinstance(page, Figure) else set()
    files = [
        file
        for one in found
        for output, file in one.outputs.items()
        if output in ("metrics", "hits", "samples") or file in drawn
    ]
    return [f"results/{file}" for file in dict.fromkeys(files)]


def records(graph: JobGraph) -> list[str]:
    """The files with numbers that results/ro-crate holds besides the pages.

    With pages.allow_failed, the files of runs that failed are left out.
    """
    found = [job for job in graph.job("pages/ro-crate").ancestors if "metrics" in job.outputs]
    if graph.config.pages.allow_failed:
        found = [job for job in found if not failed(logs_behind(job), Path("results"))]
    return [f"results/{job.outputs['metrics']}" for job in found]
