"""The graph: the jobs that a configuration asks for, by their ids.

The graph only holds jobs. The functions that ask for jobs (asking.py) take the graph, add a job and
the jobs that it needs, and return the job. Asking twice for the same job adds it once.
"""

import os
from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

from fixres.config import Config, ConfigError
from fixres.graph.checks import check, expanded
from fixres.graph.classes import classes_of
from fixres.graph.custom import custom_entry
from fixres.graph.jobs import Job
from fixres.graph.outside import sha256_of
from fixres.graph.pages import Figure, Page
from fixres.graph.stages import IMAGES, STAGES
from fixres.models.catalogue.zoo import ZOO
from fixres.nearest import closest

Asked = TypeVar("Asked")


class Missing(Exception):  # noqa: N818 (not an error: a page shows the cell as missing)
    """A number needs an input that is not configured. The message names the input and its key."""


class JobGraph:
    """The jobs that were asked for so far.

    Parameters
    ----------
    printed : page -> (row, column, metric) -> the number that the paper printed there.

    Attributes
    ----------
    jobs : id -> job.
    seed : of the jobs that are asked for. `at_every_seed` sets it.
    absent : datasets that were asked for, and whose folder is not there -> a line that says so.
    made_by : file below results/ -> the job that leaves it.
    tables, figures : name -> what was declared (declare.py).
    """

    def __init__(self, config: Config, printed: Callable[[str], dict] = lambda page: {}):
        check(config)
        self.config, self.printed = config, printed
        self.seed = config.seeds[0]
        self.jobs: dict[str, Job] = {}
        self.made_by: dict[str, Job] = {}
        self.absent: dict[str, str] = {}
        self.tables: dict[str, Page] = {}
        self.figures: dict[str, Figure] = {}

    def add(
        self,
        stage: str,
        name: str,
        content: dict,
        *,
        dataset: str = "",
        run: Job | None = None,
        start: Job | None = None,
        others: tuple[Job, ...] = (),
        released: bool = False,
    ) -> Job:
        """Add a job with the id `name`, or return the one that is there.

        Parameters
        ----------
        content : what shapes its result, besides the stage and its version.
        dataset, run, start, others, released : as in `Job`. Without a dataset it is the run's.

        Raises
        ------
        Missing : its images are not there, or are for validation alone and it needs others.
        ConfigError : another job has that id.
        """
        custom = self.config.custom
        if custom and content.get("network") == custom.name:
            content = content | {"entry": self._custom_entry}
        version = _version(stage, content.get("network"))
        config = {"stage": stage, "version": version, "run": name, **content}
        known = self.jobs.get(name)
        if known is None:
            dataset = dataset or (run.dataset if run else "")
            if STAGES[stage].trains and not self.config.datasets[dataset].has_training_images:
                key = "only" if self.config.datasets[dataset].only else "split"
                raise Missing(f"training images of {dataset}: none (datasets.{dataset}.{key})")
            images = list_images(self, dataset) if IMAGES in STAGES[stage].parents else None
            known = Job(name, config, dataset, images, run, start, others, released)
            self.jobs[name] = known
            self.made_by |= dict.fromkeys(known.outputs.values(), known)
        elif known.config != config:
            differ = ", ".join(key for key in config if known.config.get(key) != config[key])
            raise ConfigError(
                f"results/{name}: two different jobs would share this folder (they differ in "
                f"{differ}). Give both the same settings under `networks`."
            )
        return known

    @cached_property
    def _custom_entry(self) -> dict:
        return custom_entry(self.config.custom.network)

    @property
    def pages(self) -> dict[str, Page]:
        """The tables and figures, by name."""
        return self.tables | self.figures

    def table(self, name: str, figure: str) -> Page:
        """The table whose cells a figure draws. Raises ConfigError where there is none."""
        if name not in self.tables:
            raise ConfigError(
                f"pages.only: {figure} draws the cells of {name}, which is not listed. Add {name}."
            )
        return self.tables[name]

    def at_every_seed(self, ask: Callable[[], Asked], page: str = "") -> list[Asked]:
        """What `ask` returns at each seed that a page takes, in their order."""
        answers, several = [], self.config.pages.seeds.get(page)
        try:
            for seed in self.config.seeds[:several]:
                self.seed = seed
                answers.append(ask())
        finally:
            self.seed = self.config.seeds[0]
        return answers

    def job(self, name: str) -> Job:
        """The job with an id. Raises ConfigError where there is none; it names the nearest id."""
        if name not in self.jobs:
            [close] = closest(name, self.jobs, cutoff=0)
            raise ConfigError(
                f"results/{name}: no such run in this configuration (nearest: results/{close}). "
                "Correct the name."
            )
        return self.jobs[name]

    def resolved(self, name: str) -> dict:
        """The resolved configuration of a job. Raises ConfigError as `job` does."""
        return self.job(name).config

    def of_stage(self, stage: str) -> list[Job]:
        """All jobs of a stage."""
        return [job for job in self.jobs.values() if job.config["stage"] == stage]

    # --- how ids end ------------------------------------------------------------------------------

    @property
    def protocol(self) -> str:
        """What ids say of the configuration's protocol: `-trial`, or nothing."""
        return f"-{self.config.protocol}" if self.config.protocol else ""

    def seed_of(self, run: Job | None = None) -> str:
        """What ends the id of a job that has a seed: `-s1` for seed 1, nothing for seed 0.

        Parameters
        ----------
        run : the run that is adapted. The job is in the run's folder, so the run's seed is not
            named again.
        """
        known = run is not None and run.seed is not None
        return f"-s{self.seed}" if self.seed and not known else ""


def _version(stage: str, network: object) -> int | str:
    """The version of a job: of its stage, and of its network where that has a revision.

    Published weights are the same for every revision: they are not fetched again.
    """
    entry = ZOO.get(network) if stage != "pretrained" else None
    version = STAGES[stage].version
    return f"{version}.{entry.revision}" if entry and entry.revision else version


# --- images --------------------------------------------------------------------------------------


def list_images(graph: JobGraph, name: str) -> Job:
    """List the images of a dataset. Raises Missing where its folder is not there."""
    dataset, folder = graph.config.datasets[name], f"data/{name}"
    rendered = ()
    if dataset.rendered:
        content = {"source": dataset.source, "pinhole": dataset.rendered.model_dump()}
        rendered = (graph.add("render", f"{folder}/render", content, dataset=name),)
    else:
        root = expanded(dataset.root)
        if not os.path.isdir(root):
            from fixres.data import sources  # takes 0.3 s, so only where images are missing

            unset = "; check that the variable is set" if "$" in root else ""
            found = f"datasets.{name}.root: not a folder (got {root}{unset})"
            command = sources.load(dataset.source).fetched_into()
            way = f"to fetch them: {command}" if command else "docs/datasets.md"
            graph.absent[name] = f"the images of {name}: {found} ({way})"
            raise Missing(graph.absent[name])
    checksums = "listed" if dataset.rendered else dataset.checksums
    content = {"source": dataset.source, "on_bad": dataset.on_bad, "checksums": checksums}
    content |= {"split": dataset.split} if dataset.split else {}
    content |= {"only": dataset.only} if dataset.only else {}
    content |= {"limit": dict(dataset.limit)} if dataset.limit else {}
    content |= {"mislabelled": dataset.mislabelled} if dataset.mislabelled else {}
    if dataset.labels:
        labels = expanded(dataset.labels)
        sha256 = sha256_of(labels, f"datasets.{name}.labels")
        content |= {"labels": {"file": labels, "sha256": sha256}}
    content |= classes_of(dataset, f"datasets.{name}.classes")
    return graph.add("manifest", f"{folder}/manifest", content, dataset=name, others=rendered)


def images_of(graph: JobGraph, name: str) -> str:
    """The folder with a dataset's files: below results/ if rendered, else the user's."""
    settings = graph.config.datasets[name]
    return f"results/data/{name}/rendered" if settings.rendered else expanded(settings.root)
