"""What a page consists of: a grid of cells, each one number with its runs. Pure data.

The plan writes these records into the resolved configuration of a page (`Record.content`), and the
page reads them back with the same class (`Record.read`).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fixres import jobs
from fixres.jobs import failures

Label = tuple[str, str]  # what we write, and what the paper writes in the same place
Place = tuple[str, str, str, str]  # row and column of a cell, ours and the paper's
Logs = dict[str, str]  # jobs that may have failed -> the log of each, below results/


class Record(BaseModel):
    """A frozen record. Its values may be given in their order, as in fixres.paper."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, *values: object, **named: object):
        names = list(type(self).model_fields)[: len(values)]
        super().__init__(**dict(zip(names, values, strict=True)), **named)

    def content(self) -> dict[str, Any]:
        """The record as plain values, for the resolved configuration of its job."""
        return self.model_dump(mode="json")

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """The record in a resolved configuration. Raises ValidationError where it is another."""
        about = {"stage", "version", "run"} - set(cls.model_fields)
        return cls.model_validate({k: v for k, v in config.items() if k not in about})

    @classmethod
    def read(cls, path: Path, stage: str, ancestry_digest: str = "") -> Self:
        """The record in the resolved configuration of a job (`jobs.read_config`).

        Raises
        ------
        JobError : the file cannot be read, or is not of that stage, that plan or this record.
        """
        config = jobs.read_config(path, stage, ancestry_digest)
        try:
            return cls.of(config)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"]))
            raise jobs.JobError(
                f"{path}: {where}: {problem['msg']}. Delete it and let Snakemake write it again."
            ) from None


class Measurement(Record):
    """What a cell reads of one run."""

    run: str  # the id, as pages show it
    metrics: str  # the file with its numbers, below results/
    per_image: str = ""  # the file with what it found on each image; "": it has none


class Cell(Record):
    """One number of a page."""

    row: str
    column: str
    paper_row: str  # the paper's name of this row (paper/reference/*.csv)
    paper_column: str
    # top1, top5, top1_10crops (per cent), parameters (millions), forward_ms, backward_ms, hours,
    # megabytes
    metric: str
    paper: float | None = None  # what the paper printed here; None: it printed nothing
    # The runs that are measured, one per seed. A run without a seed, such as published weights, is
    # repeated for each. If empty, `note` says why.
    runs: tuple[Measurement, ...] = ()
    k_test: int | None = None  # the test resolution that it is measured at, pixels
    # reported: the paper quotes it from the literature
    source: Literal["measured", "reported", "missing"] = "measured"
    note: str = ""
    plus: Measurement | None = None  # of a run whose number is added
    paper_std: float | None = None

    @property
    def seeds(self) -> int | None:
        """How many seeds it is a mean over; None: it follows from no seed, as a time."""
        timed = self.metric == "hours" or self.metric.endswith("_ms")
        return None if timed or not self.runs else len(self.runs)

    @property
    def place(self) -> Place:
        """Its place on the page. Two resolutions of the paper may map to one of ours."""
        return self.row, self.column, self.paper_row, self.paper_column

    def measurements(self) -> list[Measurement]:
        """All that it reads, each once."""
        return list(dict.fromkeys([*self.runs, *([self.plus] if self.plus else [])]))


class Row(Record):
    """A row of a table: its name, and the texts of its leading columns."""

    key: Label
    labels: tuple[Label, ...]


class Block(Record):
    """A part of a table with its own columns, such as the left half of Table 5."""

    title: str
    heads: tuple[str, ...]  # of the leading columns
    columns: tuple[Label, ...]
    rows: tuple[Row, ...]
    cells: tuple[tuple[Cell | None, ...], ...]  # row by row


class Page(Record):
    """A table, or what a figure shares with it. The plan adds the fields below the blank line."""

    name: str
    title: str
    caption: str
    subject: Label  # the networks and images of our numbers, and of the paper's
    blocks: tuple[Block, ...] = ()
    notes: tuple[str, ...] = ()
    bold: str = ""  # "column": the best of our numbers in a column is bold

    scale: str = ""
    decimals: int = 1
    may_have_failed: dict[str, Logs] = {}  # run -> the jobs that its numbers need

    def cells(self) -> list[Cell]:
        """All cells, block by block, row by row."""
        return [cell for block in self.blocks for line in block.cells for cell in line if cell]

    def measurements(self) -> list[Measurement]:
        """All that its cells read, in order of appearance, each once."""
        return list(dict.fromkeys(found for c in self.cells() for found in c.measurements()))

    def with_cells(self, change: Callable[[Cell], Cell]) -> Self:
        """The page with each of its cells changed."""
        blocks = []
        for block in self.blocks:
            cells = tuple(tuple(c and change(c) for c in line) for line in block.cells)
            blocks.append(block.model_copy(update={"cells": cells}))
        return self.model_copy(update={"blocks": tuple(blocks)})


class Figure(Page):
    """A figure. It draws the cells of its blocks, and the content of some files."""

    draw: str  # the module of pages/figures/ that draws it
    files: dict[str, str] = {}  # name -> a file below results/
    settings: dict[str, Any] = {}  # further settings of the drawing
    missing: tuple[str, ...] = ()  # missing inputs, without which a file of `files` is not made


class Summary(Record):
    """The page over all tables."""

    scale: str
    tables: tuple[str, ...]


class Images(Record):
    """A dataset, as far as its images can be counted."""

    source: str
    rendered: tuple[int, int] | None  # training and validation images of a set that is rendered
    folder: str | None  # of the user's images
    split: float | None
    limit: dict[str, int]
    only: str | None = Field(None, exclude_if=lambda only: only is None)  # "val"
    labels: str = Field("", exclude_if=lambda labels: not labels)  # the list of the images


class Needed(Record):
    """A job that pages need."""

    dataset: str  # "": it sees no images
    log: str  # below results/
    benchmark: str  # the file in which Snakemake leaves its time, below results/; "": nowhere
    config: dict[str, Any]  # its resolved configuration


class Cost(Record):
    """What each page would cost."""

    scale: str
    twins: bool
    pages: dict[str, tuple[str, ...]]  # page -> the ids of the jobs that it needs
    datasets: dict[str, Images]
    jobs: dict[str, Needed]
    cache_gb: float
    processes: int
    multiply_adds_per_second: float | None  # of a device, as a trial measured it
    custom: dict[str, dict[str, float]]  # custom network -> what its work is estimated from


class Section(Record):
    """A section of the paper."""

    title: str  # with its number, as "3.3 Larger test crops result in better accuracy"
    about: str  # what it says, for a reader who has not read the paper
    pages: tuple[str, ...]  # tables and figures in their order, by name


class SourceJob(Record):
    """A job behind the pages of the report."""

    stage: str
    seed: int | None  # None: it has none
    benchmark: str  # the file in which Snakemake leaves its time, below results/


class Report(Record):
    """All pages in one file."""

    scale: str
    first: str  # the figure that opens the report; "": none
    sections: tuple[Section, ...]
    pages: dict[str, tuple[str, str]]  # page -> its stage, and the digest of its configuration
    jobs: dict[str, SourceJob]
    work: tuple[tuple[str, str], ...]  # a stage, and what its jobs do; in the order of the work
    configuration: dict[str, Any]  # all that shapes a result, to make the same again


class CrateJob(Record):
    """A job behind a crate."""

    stage: str
    made_from: str  # `Job.ancestry_digest`, which the seal of the job names, too
    outputs: dict[str, str]  # name -> file below results/
    benchmark: str  # the file in which Snakemake leaves its time, below results/; "": nowhere
    dataset: str  # whose images it renders or lists; "": it does neither


class Crate(Record):
    """All pages with their provenance, to deposit (docs/ro-crate.md)."""

    scale: str
    network: str  # the custom network that the pages answer for; "": they are the paper's
    pages: tuple[str, ...]  # the ids of the jobs whose files it holds, the main page first
    jobs: dict[str, CrateJob]  # these and all jobs behind them
    stages: tuple[str, ...]  # their stages, in the order of the work
    # All that shapes a result, to make the same again, and what the deposit says of itself.
    configuration: dict[str, Any]


class Recommendation(Record):
    """What the three pages about a custom network share (docs/recommend.md)."""

    network: str
    dataset: str
    runs: dict[str, dict[int, tuple[Measurement, ...]]]  # method -> k_test -> one run per seed
    entry: dict[str, Any] = {}  # what is known of the network (graph/custom.py)

    def measurements(self) -> list[Measurement]:
        """The measurements of all runs, without repeats."""
        found = (one for at in self.runs.values() for of_seeds in at.values() for one in of_seeds)
        return list(dict.fromkeys(found))


class Candidates(Recommendation):
    """All that the best is chosen from."""

    run: str  # the job's own id, which its result names
    native: int  # k_test as it is used now, pixels
    native_crop_pct: float
    crop_pct: tuple[float, ...]
    speed: Measurement
    masked: bool = False  # whether only logits of classes that have images count


class Answer(Recommendation):
    """The page."""

    title: str
    native: int
    native_crop_pct: float
    crop_pct: tuple[float, ...]
    trained: bool  # whether the network was first trained on these images
    seeds: int
    decimals: int
    # How to give training images; "": there are some.
    to_fix: str = Field("", exclude_if=lambda to_fix: not to_fix)


def failed(logs: Mapping[str, str], results: Path) -> Path | None:
    """The log of the first job that left the mark of a failure; None: there is no such job.

    `logs` has all jobs that a number needs. Nothing else is a failure: not a job that was
    interrupted, not a result that was deleted.
    """
    for job, log in logs.items():
        if (results / job / failures.NAME).is_file():
            return results / log
    return None
