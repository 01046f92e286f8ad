"""The plan: pages as rows, columns and cells, and with them every job of the DAG. Pure data; imports no torch.

The Snakefile takes its files from here, each job its resolved configuration, each page its layout: all three from one declaration
(paper/pages.py). A cell says which run and metric give its number, and which of the paper's it is; asking for a run adds its jobs
(`runs.Runs`).
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from fixres.config import Config, ConfigError
from fixres.jobs import canonical, digest
from fixres.plan.outputs import failed, metrics_of
from fixres.plan.pages import Cell, Label, Page, printed
from fixres.plan.runs import Missing, Runs


class Plan(Runs):
    """Everything that one configuration asks for.

    Attributes
    ----------
    jobs : id -> resolved configuration.
    tables : name -> Page.
    """

    def __init__(self, config: Config, declarations: Iterable[Callable[["Plan"], Page]]):
        super().__init__(config)
        self._made_of: dict[str, str] = {}
        self.tables = {page.name: page for page in (declare(self) for declare in declarations)}
        figures = [page.figure.name for page in self.tables.values() if page.figure]
        unknown = [name for name in config.pages.captions if name not in [*self.tables, *figures]]
        if unknown:
            raise ConfigError(
                f"pages.captions.{unknown[0]}: no such page; known: {', '.join([*self.tables, *figures])}"
            )
        self.add_evaluations()
        for page in self.tables.values():
            self._add_page(page)
        self._add("summary", "pages/summary", scale=config.scale, tables=list(self.tables))
        self._add("cost", "pages/plan", **self._costs())

    def cell(
        self,
        page: str | float | None,
        row: Label,
        column: Label,
        metric: str,
        k_test: int,
        run: Callable[[], str],
    ) -> Cell:
        """A cell measured on `run()`, beside the number of the paper's table `page`; where it needs what was not given, it says so."""
        paper = printed(page).get((row[1], column[1], metric)) if isinstance(page, str) else page
        common = (row[0], column[0], row[1], column[1], metric, paper)
        try:
            asked = self.measured_on_ten_crops if metric.endswith("_10crops") else self.measured
            return Cell(*common, asked(run(), k_test), k_test)
        except Missing as missing:
            return Cell(*common, None, None, "missing", str(missing))

    def timing(
        self,
        page: str,
        row: Label,
        column: Label,
        metric: str,
        run: Callable[[], str],
        plus: Callable[[], str] | None = None,
    ) -> Cell:
        """A cell of milliseconds or hours."""
        paper, std = (
            printed(page).get((row[1], column[1], name))
            for name in (metric.split("_")[-1], "ms_std")
        )
        common = (row[0], column[0], row[1], column[1], metric, paper)
        try:
            return Cell(*common, run(), None, plus=plus and plus(), paper_std=std)
        except Missing as missing:
            return Cell(*common, None, None, "missing", str(missing), paper_std=std)

    def _add_page(self, page: Page) -> None:
        c = self.config
        blocks = [
            b._asdict()
            | {
                "rows": [row._asdict() for row in b.rows],
                "cells": [[cell and cell._asdict() for cell in line] for line in b.cells],
            }
            for b in page.blocks
        ]
        common = {"title": page.title, "blocks": blocks, "scale": c.scale, "subject": page.subject}
        caption = c.pages.captions.get(page.name, page.caption)
        settings = {
            "name": page.name,
            "caption": caption,
            "decimals": c.pages.decimals,
            "notes": page.notes,
            "bold": page.bold,
        }
        runs = dict.fromkeys(run for cell in page.cells() for run in (cell.run, cell.plus) if run)
        needs = (
            {
                run: [[job, self.jobs[job]["stage"]] for job in sorted(self._needed(run))]
                for run in runs
            }
            if c.pages.allow_failed
            else {}
        )
        settings["may_have_failed"] = needs
        self._add("table", f"pages/{page.name}", **common, **settings)
        if page.figure:
            caption = c.pages.captions.get(page.figure.name, page.figure.caption)
            self._add("figure", f"pages/{page.figure.name}", **common, caption=caption)

    def _costs(self) -> dict:
        """What results/plan.md adds up: the jobs that each page needs, and how much each of them computes."""
        needed = {name: sorted(self.needed(name)) for name in self.tables}
        sets = {}
        for name, dataset in self.config.datasets.items():
            size = (
                [dataset.rendered.train_images, dataset.rendered.val_images]
                if dataset.rendered
                else None
            )
            sets[name] = {"source": dataset.source, "images": size}
        jobs = {job: self.jobs[job] for job in sorted(set().union(*needed.values()))}
        h = self.config.hardware
        hardware = {"cache_gb": h.cache_gb, "processes": h.processes or max(h.gpus, 1)}
        return {
            "scale": self.config.scale,
            "twins": self.config.twins,
            "pages": needed,
            "datasets": sets,
            "jobs": jobs,
            **hardware,
        }

    def needed(self, page: str) -> set[str]:
        """The ids of all jobs that a page needs, itself left out."""
        return set().union(*(self._needed(run) for run in self._measured_runs(page)))

    def _needed(self, run: str) -> set[str]:
        """The ids of all jobs that the numbers of a run need."""
        wanted, todo = set(), [metrics_of(run).rsplit("/", 1)[0]]
        while todo:
            job = todo.pop()
            if job not in wanted:
                wanted.add(job)
                todo += self._parents(job)
        return wanted

    def ancestry_digest(self, job: str) -> str:
        """Everything configured that shapes a job's result, as two digests: of its own resolved configuration, and of its ancestors'.

        Snakemake compares it with what it remembers of the result that is there. Dates tell the same as long as no clock was set back and
        nothing was interrupted in between; this always does.
        """
        if job not in self._made_of:
            parents = sorted(self._parents(job))
            ancestors = digest(*(f"{parent} {self.ancestry_digest(parent)}" for parent in parents))
            self._made_of[job] = f"{digest(canonical(self.resolved(job)))}.{ancestors}"
        return self._made_of[job]

    def _parents(self, job: str) -> list[str]:
        content = self.resolved(job)
        if content["stage"] in ("table", "figure"):
            return [
                metrics_of(run).rsplit("/", 1)[0]
                for run in self._measured_runs(job.removeprefix("pages/"))
            ]
        if content["stage"] == "summary":
            return [f"pages/{table}" for table in self.tables]
        if content["stage"] == "manifest":
            render = job.replace("/manifest", "/render")
            return [render] if render in self.jobs else []
        if not job.startswith(("runs/", "timing/")):
            return []
        parents = [f"data/{job.split('/')[1]}/manifest"] if content["stage"] != "pretrained" else []
        if content["stage"] in ("evaluate", "finetune", "match"):
            parents.append(job.rsplit("/", 1)[0])
        return parents + ([content["init"]] if content.get("init") else [])

    # --- what the rules ask ------------------------------------------------------------------------------------------

    def _measured_runs(self, page: str) -> list[str]:
        blocks = self.resolved(f"pages/{page}")["blocks"]
        cells = [cell for block in blocks for line in block["cells"] for cell in line if cell]
        return list(
            dict.fromkeys(run for cell in cells for run in (cell["run"], cell["plus"]) if run)
        )

    def metrics(self, page: str) -> list[str]:
        """The files whose numbers a table or figure shows.

        Raises ConfigError where weights or images that it needs were not given, unless pages.allow_missing asks for such cells to be shown.
        With pages.allow_failed, those of runs that failed are left out.
        """
        blocks = self.resolved(f"pages/{page}")["blocks"]
        cells = [cell for block in blocks for line in block["cells"] for cell in line if cell]
        reasons = list(dict.fromkeys(cell["note"] for cell in cells if cell["source"] == "missing"))
        runs = self._measured_runs(page)
        nothing = not runs and self.config.dataset in self.absent
        if reasons and (nothing or not self.config.pages.allow_missing):
            way_out = (
                "give it"
                if nothing
                else "give it, or set pages.allow_missing to have such cells shown as missing"
            )
            raise ConfigError(
                "\n".join(
                    [
                        f"results/{page} needs what was not given; {way_out}:",
                        *(f"  {reason}" for reason in reasons),
                    ]
                )
            )
        may_have_failed = self.resolved(f"pages/{page}").get("may_have_failed", {})
        runs = [run for run in runs if not failed(may_have_failed.get(run, []), Path("results"))]
        return [f"results/{metrics_of(run)}" for run in runs]

    @property
    def figures(self) -> list[str]:
        """The figures, by name."""
        return [
            job.removeprefix("pages/")
            for job, content in self.jobs.items()
            if content["stage"] == "figure"
        ]
