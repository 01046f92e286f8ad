"""A job: one node of the graph.

Its id is its folder below results/. The id is made where the job is added to the graph, and nobody
takes it apart again: what a reader of a job wants to know is an attribute.
"""

from dataclasses import dataclass
from functools import cached_property

from fixres.graph.pages import Measurement
from fixres.graph.stages import STAGES, Stage, file_of
from fixres.jobs import canonical, digest


@dataclass(frozen=True, eq=False)
class Job:
    """A stage with its resolved configuration.

    Attributes
    ----------
    id : folder below results/.
    config : all that shapes the result, and nothing of the hardware; content of its config.json.
    dataset : the entry of `datasets` whose images it sees; "" where it sees none.
    images : the job that lists these images.
    run : the run that it adapts or measures.
    start : the run whose weights a training starts from.
    others : whatever else must be there first.
    released : whether these are weights that the paper's authors released.
    """

    id: str
    config: dict
    dataset: str = ""
    images: "Job | None" = None
    run: "Job | None" = None
    start: "Job | None" = None
    others: tuple["Job", ...] = ()
    released: bool = False

    @property
    def stage(self) -> Stage:
        return STAGES[self.config["stage"]]

    @property
    def rule(self) -> str:
        """The rule that runs it: its stage, except that a sweep has its own rule."""
        sweeps = self.config["stage"] == "evaluate" and self.id != evaluation_of(self.run)
        return "sweep" if sweeps else self.config["stage"]

    @property
    def parents(self) -> list["Job"]:
        """The jobs that must be done before it, each once."""
        known = [self.images, self.run, self.start, *self.others]
        return list(dict.fromkeys(job for job in known if job))

    @property
    def network(self) -> str:
        """The name of its network in the zoo, or of the custom network."""
        return self.config["network"]

    @property
    def seed(self) -> int | None:
        return self.config.get("seed")

    @property
    def k(self) -> int:
        """The crop side of a training or an adaptation, pixels. Larger crops take longer."""
        return self.config.get("k_train") or self.config["k_test"]

    # --- its files, below results/ ----------------------------------------------------------------

    @cached_property
    def outputs(self) -> dict[str, str]:
        return self.stage.files(self.id)

    @property
    def weights(self) -> str:
        return self.outputs["weights"]

    @property
    def log(self) -> str:
        return file_of(self.stage.log, self.id)

    @property
    def benchmark(self) -> str:
        return file_of(self.stage.benchmark, self.id)

    @property
    def measurement(self) -> Measurement:
        """What a cell reads of it. A page shows an evaluation under the name of its run."""
        shown = self.run if self.id == evaluation_of(self.run) else self
        per_image = self.outputs.get("hits") or self.outputs.get("samples", "")
        return Measurement(shown.id, self.outputs["metrics"], per_image)

    # --- the jobs behind it -----------------------------------------------------------------------

    @cached_property
    def ancestors(self) -> list["Job"]:
        """The job and all jobs that it needs, by their ids."""
        found, todo = {}, [self]
        while todo:
            job = todo.pop()
            if job.id not in found:
                found[job.id] = job
                todo += job.parents
        return [found[name] for name in sorted(found)]

    @cached_property
    def ancestry_digest(self) -> str:
        """All that is configured and shapes its result, as two digests with a point between.

        The first digest is of the job's own resolved configuration, the second of its ancestors'.
        Snakemake compares the text with the one that it remembers of the result on disk. Dates of
        files tell the same as long as no clock is set back and nothing is interrupted; the digests
        always do.
        """
        parents = sorted(self.parents, key=lambda job: job.id)
        ancestors = digest(*(f"{parent.id} {parent.ancestry_digest}" for parent in parents))
        return f"{digest(canonical(self.config))}.{ancestors}"


def evaluation_of(run: Job | None) -> str:
    """The id of the evaluation of a run."""
    return f"{run.id}/evaluation" if run else ""
