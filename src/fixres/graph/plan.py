"""The plan: all pages of one configuration, and every job of the DAG that they need.

The pages are declared once (fixres.paper). From that one declaration the Snakefile takes its
files, each job its resolved configuration, and each page its layout.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from fixres.config import Config, ConfigError
from fixres.graph.checks import expanded
from fixres.graph.claims import Claim, Quoted, planned
from fixres.graph.custom import CustomJobs
from fixres.graph.outputs import log_of, parent_of
from fixres.graph.pages import Cell, Figure, Logs, Measurement, Page, Section, Summary, failed
from fixres.graph.report import contents
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
        self._add_claims("claims", claims)
        self._add_claims("text", quoted)
        summary = Summary(scale=config.scale, tables=tuple(self.tables))
        self._add("summary", "pages/summary", **summary.content())
        self._add("cost", "pages/plan", **self._costs())
        self._add("report", "pages/report", **contents(self, sections).content())

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
        more = {
            "decimals": self.config.pages.decimals,
            "notes": page.notes + self._test_notes(page),
        }
        page = page.model_copy(update=self._common(page) | more)
        self._add("table", f"pages/{page.name}", **page.content())

    def _add_figure(self, figure: Figure) -> None:
        common = self._common(figure)
        if self.config.pages.allow_failed:
            of_files = map(parent_of, figure.files.values())
            logs = {job: self._logs(self.with_ancestors(job)) for job in of_files}
            common["may_have_failed"] = logs | common["may_have_failed"]
        figure = figure.model_copy(update=common)
        self._add("figure", f"pages/{figure.name}", **figure.content())

    def _common(self, page: Page) -> dict:
        """What the plan adds to the pages of tables and figures."""
        return {
            "caption": self.config.pages.captions.get(page.name, page.caption),
            "scale": self.config.scale,
            "may_have_failed": self._jobs_by_run(page.cells()),
        }

    def _test_notes(self, page: Page) -> tuple[str, ...]:
        """A note where the test transform of a page's accuracies is not the paper's.

        For the authors' weights, their own page says it.
        """
        tested = [found.run for cell in page.cells() if cell.k_test for found in cell.runs]
        other = self.config.evaluation.test_resize == "released"
        return (RELEASED_TRANSFORM,) if other and not all(map(self.is_authors, tested)) else ()

    def _jobs_by_run(self, cells: Iterable[Cell]) -> dict[str, Logs]:
        """Run -> the log of every job that its numbers need, where a job may have failed."""
        if not self.config.pages.allow_failed:
            return {}
        found = dict.fromkeys(one for cell in cells for one in cell.measurements())
        return {one.run: self._logs(self.with_ancestors(parent_of(one.metrics))) for one in found}

    def _logs(self, jobs: Iterable[str]) -> Logs:
        """The log of each job that leaves a mark when it fails."""
        logs = {job: log_of(job, self.jobs[job]["stage"]) for job in sorted(jobs)}
        return {job: log for job, log in logs.items() if log}

    def _add_claims(self, name: str, declared: Sequence[Claim | Quoted]) -> None:
        """Add the page of claims, or of numbers in the text."""
        shown = {"scale": self.config.scale, "decimals": self.config.pages.decimals}
        page = planned(declared, self.tables | self.figures, self._jobs_by_run, **shown)
        self._add(name, f"pages/{name}", **page.content())

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

    def _measuring(self, page: str) -> list[str]:
        """The ids of the jobs whose files a page reads."""
        of_cells = [parent_of(found.metrics) for found in self._read_by(page)]
        figure = self.figures.get(page)
        return of_cells + (list(map(parent_of, figure.files.values())) if figure else [])

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
        found, figure = self._read_by(page), self.figures.get(page)
        files = list(figure.files.values()) if figure else []
        missing = [cell.note for cell in self._cells_on(page) if cell.source == "missing"]
        missing += figure.missing if figure else []
        nothing = not found and not files and self.config.dataset in self.absent
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
            return not failed(jobs.get(job, {}), Path("results"))

        found = [one for one in found if there(one.run)]
        wanted = [*(one.metrics for one in found), *(x.per_image for x in found if x.per_image)]
        wanted += [file for file in files if there(parent_of(file))]
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
        published = [job.split("/")[2] for job in self.jobs if job.endswith("-pretrained")]
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

    def _read_by(self, page: str) -> list[Measurement]:
        """What a page reads, in order of appearance."""
        return list(dict.fromkeys(one for c in self._cells_on(page) for one in c.measurements()))

    def _cells_on(self, page: str) -> list[Cell]:
        if page in self.tables or page in self.figures:
            return (self.tables | self.figures)[page].cells()
        return list(map(Cell.model_validate, self.resolved(f"pages/{page}")["cells"].values()))


def _any_of(names: Iterable[str]) -> str:
    """A regular expression that matches exactly these names; nothing where there are none."""
    return "|".join(map(re.escape, names)) or r"(?!)"
