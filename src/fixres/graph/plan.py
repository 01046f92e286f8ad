"""The plan: all pages of one configuration, and every job of the DAG that they need.

The pages are declared once (fixres.paper). From that one declaration the Snakefile takes its
files, each job its resolved configuration, and each page its layout.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from fixres.config import Config, ConfigError
from fixres.graph.checks import expanded
from fixres.graph.custom import CustomJobs
from fixres.graph.outputs import failed, metrics_of, parent_of, per_image_of
from fixres.graph.pages import Block, Cell, Figure, Page
from fixres.graph.quantities import Cells, Claim, Quoted
from fixres.graph.registry import Missing
from fixres.graph.report import Section, contents
from fixres.jobs import canonical, digest

RELEASED_TRANSFORM = (
    "Test transform: the image's height scaled to k_test_image, as in the authors' released code "
    "(evaluation.test_resize: released). By the paper's text it is the image's shorter side."
)

# (row, column, metric) -> number, of one page of the paper
Printed = Mapping[tuple[str, str, str], float]


class Plan(CustomJobs):
    """Everything that one configuration asks for.

    Parameters
    ----------
    declarations : functions that each declare one page; declaring it adds its jobs.
    printed : page -> the numbers that the paper printed there.
    claims : the sentences that the cells of these pages decide.
    quoted : the numbers of the paper's text that they measure.
    figures : functions that each declare one figure. They may use the tables.
    sections : what the report shows where, in the order of the paper.

    Attributes
    ----------
    jobs : id -> resolved configuration.
    tables : name -> Page.
    figures : name -> Figure.
    """

    def __init__(
        self,
        config: Config,
        declarations: Iterable[Callable[["Plan"], Page]],
        printed: Callable[[str], Printed],
        claims: Sequence[Claim] = (),
        quoted: Sequence[Quoted] = (),
        figures: Iterable[Callable[["Plan"], Figure]] = (),
        sections: Sequence[Section] = (),
    ):
        super().__init__(config)
        self.printed = printed
        self._digests: dict[str, str] = {}
        self.tables = {page.name: page for page in (declare(self) for declare in declarations)}
        self.figures = {figure.name: figure for figure in (declare(self) for declare in figures)}
        self._check_captions()
        self.add_custom()
        self.add_evaluations()
        for page in self.tables.values():
            self._add_table(page)
        for figure in self.figures.values():
            self._add_figure(figure)
        self._add_claims(claims)
        self._add_text(quoted)
        self._add("summary", "pages/summary", scale=config.scale, tables=list(self.tables))
        self._add("cost", "pages/plan", **self._costs())
        self._add("report", "pages/report", **contents(self, sections))

    # --- pages -----------------------------------------------------------------------------------

    def table(self, name: str, figure: str) -> Page:
        """The table whose cells a figure draws. Raises ConfigError where there is none."""
        if name not in self.tables:
            raise ConfigError(f"pages.only: {figure} draws the cells of {name}; name {name}, too")
        return self.tables[name]

    def _check_captions(self) -> None:
        known = [*self.tables, *self.figures]
        for name in self.config.pages.captions:
            if name not in known:
                raise ConfigError(f"pages.captions.{name}: no such page; known: {', '.join(known)}")

    def _add_table(self, page: Page) -> None:
        self._add(
            "table",
            f"pages/{page.name}",
            **self._common(page),
            decimals=self.config.pages.decimals,
            notes=page.notes + self._test_notes(page),
            bold=page.bold,
        )

    def _add_figure(self, figure: Figure) -> None:
        common = self._common(figure)
        if self.config.pages.allow_failed:
            of_files = (job for job, _ in figure.files.values())
            stages = {job: self._stages(self.with_ancestors(job)) for job in of_files}
            common["may_have_failed"] = stages | common["may_have_failed"]
        self._add(
            "figure",
            f"pages/{figure.name}",
            **common,
            draw=figure.draw,
            files={name: f"{job}/{file}" for name, (job, file) in figure.files.items()},
            settings=figure.settings,
        )

    def _common(self, page: Page | Figure) -> dict:
        """What the pages of tables and figures share."""
        return {
            "name": page.name,
            "title": page.title,
            "caption": self.config.pages.captions.get(page.name, page.caption),
            "scale": self.config.scale,
            "subject": page.subject,
            "blocks": [_block(block) for block in page.blocks],
            "may_have_failed": self._jobs_by_run(page.cells()),
        }

    def _test_notes(self, page: Page) -> tuple[str, ...]:
        """A note where the test transform of a page's accuracies is not the paper's.

        For the authors' weights, their own page says it.
        """
        tested = [run for cell in page.cells() if cell.k_test for run in cell.runs]
        other = self.config.evaluation.test_resize == "released"
        return (RELEASED_TRANSFORM,) if other and not all(map(self.is_authors, tested)) else ()

    def _jobs_by_run(self, cells: Iterable[Cell]) -> dict[str, list[list[str]]]:
        """Run -> [job, stage] of every job that its numbers need, where a job may have failed."""
        if not self.config.pages.allow_failed:
            return {}
        runs = dict.fromkeys(run for cell in cells for run in (*cell.runs, cell.plus) if run)
        return {run: self._stages(self._needed(run)) for run in runs}

    def _stages(self, jobs: Iterable[str]) -> list[list[str]]:
        """[job, stage] of each."""
        return [[job, self.jobs[job]["stage"]] for job in sorted(jobs)]

    def _add_claims(self, claims: Sequence[Claim]) -> None:
        cells, shown = Cells(self.tables | self.figures), []
        for claim in claims:
            above_0, note = _asked(claim.above_0, cells)
            shown.append(claim._asdict() | {"above_0": above_0, "note": note})
        self._add("claims", "pages/claims", claims=shown, **self._used(cells))

    def _add_text(self, quoted: Sequence[Quoted]) -> None:
        cells, shown = Cells(self.tables | self.figures), []
        for number in quoted:
            asked, note = _asked(number.number, cells)
            shown.append(number._asdict() | {"number": asked.get(""), "note": note})
        self._add("text", "pages/text", numbers=shown, **self._used(cells))

    def _used(self, cells: Cells) -> dict:
        """What the pages of claims and numbers share: the cells that these are computed from."""
        used = {key: _placed(*found) for key, found in cells.used.items()}
        return {
            "scale": self.config.scale,
            "cells": {key: cell._asdict() for key, cell in used.items()},
            "decimals": self.config.pages.decimals,
            "may_have_failed": self._jobs_by_run(used.values()),
        }

    def _costs(self) -> dict:
        """The jobs that each page needs, and how much each of them computes (results/plan.md)."""
        needed = {name: sorted(self.needed(name)) for name in (*self.tables, *self.figures)}
        if self.config.custom:
            needed[self.recommendation_job()] = sorted(
                self.with_ancestors(self.recommendation_job())
            )
        datasets = {}
        for name, dataset in self.config.datasets.items():
            rendered = dataset.rendered
            size = [rendered.train_images, rendered.val_images] if rendered else None
            folder = None if rendered else expanded(dataset.root)
            datasets[name] = {"source": dataset.source, "images": size, "folder": folder}
            datasets[name] |= {"split": dataset.split} if dataset.split else {}
            datasets[name] |= {"limit": dict(dataset.limit)} if dataset.limit else {}
        hardware = self.config.hardware
        return {
            "scale": self.config.scale,
            "twins": self.config.twins,
            "pages": needed,
            "datasets": datasets,
            "jobs": {job: self.jobs[job] for job in sorted(set().union(*needed.values()))},
            "cache_gb": hardware.cache_gb,
            "processes": hardware.processes or max(hardware.gpus, 1),
            **self.custom_costs(),
        }

    # --- which job needs which -------------------------------------------------------------------

    def needed(self, page: str) -> set[str]:
        """The ids of all jobs that a page needs, without its own."""
        return set().union(*map(self.with_ancestors, self._measuring(page)))

    def _needed(self, run: str) -> set[str]:
        """The ids of all jobs that the numbers of a run need."""
        return self.with_ancestors(parent_of(metrics_of(run)))

    def _measuring(self, page: str) -> list[str]:
        """The ids of the jobs whose files a page reads."""
        of_cells = [parent_of(metrics_of(run)) for run in self._runs_on(page)]
        figure = self.figures.get(page)
        return of_cells + ([job for job, _ in figure.files.values()] if figure else [])

    def with_ancestors(self, job: str) -> set[str]:
        """The ids of a job and of all jobs that it needs."""
        wanted, todo = set(), [job]
        while todo:
            job = todo.pop()
            if job not in wanted:
                wanted.add(job)
                todo += self._parents(job)
        return wanted

    def ancestry_digest(self, job: str) -> str:
        """All that is configured and shapes a job's result, as two digests with a point between.

        The first digest is of the job's own resolved configuration, the second of its ancestors'.
        Snakemake compares the text with the one that it remembers of the result on disk. Dates of
        files tell the same as long as no clock is set back and nothing is interrupted; the digests
        always do.
        """
        if job not in self._digests:
            parents = sorted(self._parents(job))
            ancestors = digest(*(f"{parent} {self.ancestry_digest(parent)}" for parent in parents))
            self._digests[job] = f"{digest(canonical(self.resolved(job)))}.{ancestors}"
        return self._digests[job]

    def _parents(self, job: str) -> list[str]:
        content = self.resolved(job)
        stage = content["stage"]
        if stage in ("table", "figure", "claims", "text"):
            return self._measuring(job.removeprefix("pages/"))
        if stage == "summary":
            return [f"pages/{table}" for table in self.tables]
        if stage == "report":
            return [f"pages/{page}" for page in (*self.tables, *self.figures, "claims", "text")]
        if stage in ("choose", "export", "answer"):
            return self.custom_parents(job)
        if stage == "manifest":
            render = job.replace("/manifest", "/render")
            return [render] if render in self.jobs else []
        if not job.startswith(("runs/", "timing/", "memory/", "sizes/")):
            return []
        parents = [] if stage == "pretrained" else [f"data/{job.split('/')[1]}/manifest"]
        if stage in ("evaluate", "finetune", "match", "activations", "statistics"):
            parents.append(parent_of(job))
        return parents + ([content["init"]] if content.get("init") else [])

    # --- what the rules ask ----------------------------------------------------------------------

    def measurements(self, page: str) -> list[str]:
        """The files whose numbers a table or figure shows, and those with the hits behind them.

        With pages.allow_failed, the files of runs that failed are left out.

        Raises
        ------
        ConfigError : weights or images that the page needs were not given, and pages.allow_missing
            does not ask to show such cells as missing.
        """
        runs, figure = self._runs_on(page), self.figures.get(page)
        files = list(figure.files.values()) if figure else []
        missing = [cell["note"] for cell in self._cells_on(page) if cell["source"] == "missing"]
        missing += figure.missing if figure else []
        nothing = not runs and not files and self.config.dataset in self.absent
        if missing and (nothing or not self.config.pages.allow_missing):
            way_out = "give it"
            if not nothing:
                way_out += ", or set pages.allow_missing to have such cells shown as missing"
            lines = [f"results/{page} needs what was not given; {way_out}:"]
            raise ConfigError(
                "\n".join([*lines, *(f"  {note}" for note in dict.fromkeys(missing))])
            )
        jobs = self.resolved(f"pages/{page}").get("may_have_failed", {})

        def there(job: str) -> bool:
            return not failed(jobs.get(job, []), Path("results"))

        runs = list(filter(there, runs))
        wanted = [*map(metrics_of, runs), *filter(None, map(per_image_of, runs))]
        wanted += [f"{job}/{file}" for job, file in files if there(job)]
        return [f"results/{file}" for file in wanted]

    def caption(self, name: str) -> str:
        """The caption of a table or figure."""
        return self.resolved(f"pages/{name}")["caption"]

    def report_labels(self, name: str) -> dict[str, str]:
        """How Snakemake's report lists a table or figure."""
        page = (self.tables | self.figures)[name]
        return {"page": page.title, "shows": self.caption(name)}

    def wildcards(self) -> dict[str, str]:
        """What each wildcard of the rules may be, as regular expressions.

        They follow from how ids are made (`fixres.graph.runs`) and from the names in the plan. So a
        new page, network or dataset needs no edit of a rule.
        """
        one = "[^/]+"
        published = [
            job.split("/")[2] for job, c in self.jobs.items() if c["stage"] == "pretrained"
        ]
        fetched = _any_of(published)
        base = rf"runs/{one}/{one}"
        matched = rf"{base}/match-{one}"
        return {
            "dataset": one,
            "pretrained": rf"runs/{one}/(?:{fetched})",
            "trained": rf"runs/{one}/(?!(?:{fetched})/){one}",
            "matched": matched,
            "adapted": rf"(?:{base}|{matched})/ft-{one}",
            "restated": rf"{base}/statistics-{one}",
            "run": rf"{base}(?:/(?:match|statistics)-{one})?(?:/ft-{one})?",
            "timed": rf"timing/{one}/{one}",
            "weighed": rf"memory/{one}/{one}",
            "sized": rf"sizes/{one}/k{one}",
            "cropped": rf"sizes/{one}/crops-{one}",
            "speeded": rf"speed/{one}/{one}",
            "custom": re.escape(self.config.custom.name) if self.config.custom else r"(?!)",
            "table": _any_of(self.tables),
            "figure": _any_of(self.figures),
        }

    def _runs_on(self, page: str) -> list[str]:
        """The runs that a page shows, in order of appearance."""
        cells = self._cells_on(page)
        return list(dict.fromkeys(run for c in cells for run in (*c["runs"], c["plus"]) if run))

    def _cells_on(self, page: str) -> list[dict]:
        content = self.resolved(f"pages/{page}")
        if "blocks" not in content:
            return list(content["cells"].values())
        blocks = content["blocks"]
        return [cell for block in blocks for line in block["cells"] for cell in line if cell]


def _block(block: Block) -> dict:
    """A block as plain dicts and lists."""
    rows = [row._asdict() for row in block.rows]
    cells = [[cell and cell._asdict() for cell in line] for line in block.cells]
    return block._asdict() | {"rows": rows, "cells": cells}


def _placed(page: str, cell: Cell, metric: str) -> Cell:
    """A cell that stands among cells of other pages, for one of its metrics, in a place of its own.

    A number of the text may want the deviation of a cell whose accuracy another number wants.
    """
    placed = cell._replace(row=f"{page} {cell.row}", paper_row=f"{page} {cell.paper_row}")
    if metric == cell.metric:
        return placed
    column, paper_column = f"{cell.column} {metric}", f"{cell.paper_column} {metric}"
    return placed._replace(column=column, paper_column=paper_column, metric=metric, paper=None)


def _asked(ask: Callable, cells: Cells) -> tuple[dict[str, list], str]:
    """What a claim or a number asks of the cells: label -> node; and what is missing for it."""
    try:
        asked = ask(cells)
    except Missing as missing:
        return {}, str(missing)
    asked = asked if isinstance(asked, dict) else {"": asked}
    return {label: quantity.node for label, quantity in asked.items()}, ""


def _any_of(names: Iterable[str]) -> str:
    """A regular expression that matches exactly these names; nothing where there are none."""
    return "|".join(map(re.escape, names)) or r"(?!)"
