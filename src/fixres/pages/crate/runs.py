"""What is recorded of the jobs behind a crate: configuration, seal, time, machine."""

from pathlib import Path
from typing import NamedTuple

from fixres import jobs
from fixres.graph.pages import Crate, CrateJob
from fixres.graph.stages import STAGES, Stage
from fixres.jobs import REMAKE, JobError, failures, made, seals
from fixres.jobs.made import Made
from fixres.jobs.seals import Seal
from fixres.pages.report.origins import seconds_of


class Run(NamedTuple):
    """A job that has left its results, or has failed."""

    id: str
    job: CrateJob
    config: dict  # its resolved configuration
    seal: Seal | None  # None: it failed
    made: Made | None  # when, where and with what; None: an earlier version did not record it
    seconds: float | None  # that it took, as Snakemake wrote it down
    error: str  # how it failed; "": it did not

    @property
    def stage(self) -> Stage:
        return STAGES[self.job.stage]

    @property
    def outputs(self) -> dict[str, str]:
        """File that it left, below results/ -> SHA-256."""
        sums = self.seal.files if self.seal else {}
        named = {file: sums.get(Path(file).name) for file in self.job.outputs.values()}
        return {file: found[0] for file, found in named.items() if found}

    @property
    def inputs(self) -> dict[str, str]:
        """Result that it read, below results/ -> SHA-256."""
        return self.seal.read if self.seal else {}


def read(crate: Crate, results: Path) -> list[Run]:
    """The jobs that ended, in the order of their ids. Those that never ended are left out.

    Raises
    ------
    JobError : a record is damaged, or is not of the job that is planned. The message names it.
    """
    found = (_read(name, job, results) for name, job in crate.jobs.items())
    return [run for run in found if run]


def _read(name: str, job: CrateJob, results: Path) -> Run | None:
    folder = results / name
    seal, error = seals.read(folder), failures.error_of(folder)
    if not seal and not error:
        return None
    config = jobs.read_config(folder / "config.json", job.stage, job.made_from)
    if error:
        return Run(name, job, config, None, None, None, error)
    if (seal.job, seal.made_from) != (name, job.made_from):
        raise JobError(f"{folder}: made from another configuration than is planned; {REMAKE}")
    seconds = seconds_of(results / job.benchmark) if job.benchmark else None
    return Run(name, job, config, seal, made.read(folder, seal), seconds, "")
