"""The plan: from one configuration to every job of the DAG and every cell of a page. Pure data; imports no torch.

The Snakefile takes its files from here, each job its resolved configuration, each page its layout: all three from one declaration.

- A *job* has an id (its folder below results/) and a resolved configuration, a dict that holds everything that shapes its result
  and nothing of the hardware. Rule `resolve` writes it to results/<id>/config.json, which is an input of the job.
- A *page* (`table5`) declares rows, columns and cells; a cell says which run and metric give its number, and which of the paper's it is.
"""

import csv
import difflib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from fixres.config import Config, ConfigError
from fixres.models.zoo import ZOO

# "This change of the code changes results": raise a stage's number and exactly its jobs, and what depends on them, run again.
VERSIONS = {"render": 1, "manifest": 1, "train": 1, "finetune": 1, "evaluate": 1, "table": 1, "figure": 1}

LAYERS = {"cls": ["classifier"], "cls+bn": ["batch-norm", "classifier"]}


class Cell(NamedTuple):
    """One number of a page."""

    row: str
    column: str
    paper_row: str  # the row and column of the paper's table that it stands for (reference/*.csv)
    paper_column: str
    run: str  # what is measured …
    k_test: int  # … at which test resolution …
    metric: str  # … and which number of it …
    paper: float | None  # … beside the number that the paper printed there, if it printed one


class Block(NamedTuple):
    """A part of a table with columns of its own: the left or right half of Table 5."""

    title: str
    rows: list[tuple[str, str]]  # (ours, the paper's)
    columns: list[tuple[str, str]]
    cells: list[Cell]


class Figure(NamedTuple):
    """A figure that draws a table's cells."""

    name: str
    caption: str


class Page(NamedTuple):
    """A table, and the figure that draws the same cells: what it shows and how it is headed."""

    name: str
    title: str
    caption: str
    corner: str
    blocks: list[Block]
    figure: Figure | None = None


class Plan:
    """Everything that one configuration asks for.

    Attributes
    ----------
    jobs : id -> resolved configuration.
    tables : name -> Page.
    """

    def __init__(self, config: Config):
        check(config)
        self.config = config
        self.jobs: dict[str, dict] = {}
        self.k_tests: dict[str, list[int]] = {}
        self._add_data()
        self.tables = {page.name: page for page in (table5(self),)}
        for run, k_tests in self.k_tests.items():
            self._add_evaluation(run, k_tests)
        for page in self.tables.values():
            self._add_page(page)

    # --- runs --------------------------------------------------------------------------------------------------------

    def base(self, k_train: int) -> str:
        """The base training at `k_train`."""
        c = self.config
        run = f"runs/{c.dataset.name}/{c.network}-k{k_train}"
        recipe = c.base_training.model_dump()
        lr_per_256, augmentation = recipe.pop("lr_per_256"), recipe.pop("augmentation")
        recipe["lr"] = lr_per_256 * recipe["batch_size"] / 256
        augmentation = {"name": "train DA", **augmentation}
        self._add("train", run, seed=c.seed, network=c.network, k_train=k_train, recipe=recipe, augmentation=augmentation)
        return run

    def adapted(self, k_train: int, k_test: int) -> str:
        """That network, fine-tuned at `k_test`."""
        c = self.config
        recipe = c.fine_tuning.model_dump()
        layers, name, jitter = recipe.pop("layers"), recipe.pop("augmentation"), recipe.pop("jitter")
        augmentation: dict = {"name": name}
        if name == "train DA":
            augmentation |= c.base_training.augmentation.model_dump()
        elif name == "test DA2":
            augmentation |= {"jitter": jitter}
        what = layers.replace("bn", "bnstats") if recipe["batch_norm"] == "statistics" else layers
        run = f"{self.base(k_train)}/ft-k{k_test}-{what}-{name.replace(' ', '').lower()}"
        settings = {"layers": LAYERS[layers], "recipe": recipe, "augmentation": augmentation}
        self._add("finetune", run, seed=c.seed, network=c.network, k_test=k_test, **settings)
        return run

    def measured(self, run: str, k_test: int) -> str:
        """Ask for the accuracy of `run` at `k_test`; returns the run."""
        wanted = self.k_tests.setdefault(run, [])
        if k_test not in wanted:
            wanted.append(k_test)
        return run

    # --- jobs --------------------------------------------------------------------------------------------------------

    def _add(self, stage: str, job: str, **content: object) -> None:
        self.jobs[job] = {"stage": stage, "version": VERSIONS[stage], "run": job, **content}

    def _add_data(self) -> None:
        dataset = self.config.dataset
        folder = f"data/{dataset.name}"
        if self.rendered:
            self._add("render", f"{folder}/render", pinhole=self.config.pinhole.model_dump())
        self._add("manifest", f"{folder}/manifest", source=dataset.source, root=dataset.root)

    def _add_evaluation(self, run: str, k_tests: list[int]) -> None:
        folds = self.config.evaluation.folds
        self._add("evaluate", f"{run}/evaluation", network=self.config.network, k_test=sorted(k_tests), folds=folds)

    def _add_page(self, page: Page) -> None:
        c = self.config
        blocks = [b._asdict() | {"cells": [cell._asdict() for cell in b.cells]} for b in page.blocks]
        common = {"title": page.title, "blocks": blocks, "scale": c.scale, "dataset": c.dataset.name}
        caption = c.pages.captions.get(page.name, page.caption)
        settings = {"name": page.name, "caption": caption, "corner": page.corner, "decimals": c.pages.decimals}
        self._add("table", f"pages/{page.name}", **common, **settings, network=ZOO[c.network].title)
        if page.figure:
            caption = c.pages.captions.get(page.figure.name, page.figure.caption)
            self._add("figure", f"pages/{page.figure.name}", **common, caption=caption)

    # --- what the Snakefile asks -------------------------------------------------------------------------------------

    def resolved(self, job: str) -> dict:
        """The resolved configuration of a job. Raises ConfigError naming the nearest job where there is none."""
        if job not in self.jobs:
            close = difflib.get_close_matches(job, self.jobs, n=1, cutoff=0)
            raise ConfigError(f"results/{job}: no such run in this configuration; nearest: results/{close[0]}")
        return self.jobs[job]

    def metrics(self, page: str) -> list[str]:
        """The files whose numbers a table or figure shows."""
        blocks = self.resolved(f"pages/{page}")["blocks"]
        runs = dict.fromkeys(cell["run"] for block in blocks for cell in block["cells"])
        return [f"results/{run}/evaluation/metrics.json" for run in runs]

    def resolution(self, job: str) -> int:
        """The crop side that a training or fine-tuning works at: its cost grows with the square, so larger ones start first."""
        content = self.resolved(job)
        return content.get("k_train") or content["k_test"]

    @property
    def figures(self) -> list[str]:
        """The figures, by name."""
        return [job.removeprefix("pages/") for job, content in self.jobs.items() if content["stage"] == "figure"]

    @property
    def images(self) -> str:
        """The image folder: rendered below results/, or the one that the configuration names."""
        dataset = self.config.dataset
        return f"results/data/{dataset.name}/images" if self.rendered else data_root(dataset.root)

    @property
    def rendered(self) -> bool:
        """Whether the suite renders the images itself."""
        return self.config.dataset.source == "pinhole"


REFERENCE = Path(__file__).parent / "paper" / "reference"


def printed(table: str) -> dict[tuple[str, str, str], float]:
    """(row, column, metric) -> the number that the paper printed: reference/<table>.csv."""
    with open(REFERENCE / f"{table}.csv", newline="", encoding="utf-8") as f:
        return {(line["row"], line["column"], line["metric"]): float(line["value"]) for line in csv.DictReader(f)}


def data_root(root: str) -> str:
    return os.path.expandvars(os.path.expanduser(root))


def check(config: Config) -> None:
    """What can be known to fail before anything runs. Raises ConfigError with one line for each problem."""
    problems = []
    if config.network not in ZOO:
        close = difflib.get_close_matches(config.network, ZOO, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(ZOO)}"
        raise ConfigError(f"network: found '{config.network}'; {hint}")
    entry = ZOO[config.network]
    for key in ("k_train", "k_test"):
        for k in getattr(config.table5, key):
            if k % entry.stride:
                near = sorted({max(k // entry.stride, 1) * entry.stride, (k // entry.stride + 1) * entry.stride})
                problems.append(
                    f"table5.{key}: found {k}, expected a multiple of {entry.stride}, the stride of {config.network} (Appendix B); "
                    f"take {' or '.join(map(str, near))}"
                )
    training = config.base_training
    if training.samples_per_epoch < training.batch_size:
        problems.append(
            f"base_training.samples_per_epoch: found {training.samples_per_epoch}, expected at least one batch "
            f"(base_training.batch_size {training.batch_size})"
        )
    root = Path(data_root(config.dataset.root))
    if config.dataset.source == "imagefolder":
        for folder in (root, root / "train", root / "val"):
            if not folder.is_dir():
                problems.append(f"dataset.root: no folder {folder}; expected train/CLASS/* and val/CLASS/* below {root}")
                break
    if problems:
        raise ConfigError("\n".join(problems))


# --- the paper's pages -------------------------------------------------------------------------------------------------------


def table5(plan: Plan) -> Page:
    """Table 5: top-1 for combinations of train and test resolution; left unadapted, right fine-tuned."""
    c, divisor, reference = plan.config.table5, plan.config.resolution_divisor, printed("table5")

    def both(resolutions: Iterable[int]) -> list[tuple[str, str]]:
        return [(str(k), str(k * divisor)) for k in resolutions]

    def cell(k_test: int, k_train: int, run: str, suffix: str = "") -> Cell:
        theirs = str(k_test * divisor), f"{k_train * divisor}{suffix}"
        value = reference.get((*theirs, "top1"))
        return Cell(str(k_test), f"{k_train}{suffix}", *theirs, plan.measured(run, k_test), k_test, "top1", value)

    rows = both(c.k_test)
    left = Block(
        "Left: standard training, no adaptation",
        rows,
        both(c.k_train),
        [cell(k_test, k_train, plan.base(k_train)) for k_test in c.k_test for k_train in c.k_train],
    )
    layers = {"cls": "classifier", "cls+bn": "classifier and last batch-norm"}[plan.config.fine_tuning.layers]
    right = Block(
        f"Right: {layers} fine-tuned",
        rows,
        both(c.k_train_adapted),
        [cell(k_test, k_train, plan.adapted(k_train, k_test), " adapted") for k_test in c.k_test for k_train in c.k_train_adapted],
    )
    return Page(
        "table5",
        "Table 5",
        "Top-1 validation accuracy (%) for different combinations of training and testing resolution.",
        "test \\ train",
        [left, right] if c.k_train_adapted else [left],
        Figure("figure5", "Top-1 accuracy according to the test resolution, without and with resolution adaptation."),
    )
