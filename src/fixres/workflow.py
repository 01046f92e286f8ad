"""What the Snakefile needs of the package: the checked plan, and the environment that its jobs run in."""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.io import ancient
from snakemake.workflow import Workflow

from fixres import config, job, plan
from fixres.paper import pages


def open_plan(files: list[str | Path], merged: dict) -> plan.Plan:
    """The plan for Snakemake's merged configuration. Raises WorkflowError with what to mend, before anything is planned.

    Parameters
    ----------
    files : the configuration files, checked for what Snakemake lets pass (a key that stands twice).
    """
    try:
        for file in files:
            config.read_yaml(file)
        return pages.plan_of(config.parse(merged, where=" + ".join(map(str, files))))
    except config.ConfigError as error:
        raise WorkflowError(str(error)) from None


def resolved(the_plan: plan.Plan, name: str) -> str:
    """The resolved configuration of a job as one canonical line: Snakemake compares it as text, so key order never matters."""
    try:
        return job.canonical(the_plan.resolved(name))
    except config.ConfigError as error:
        raise WorkflowError(str(error)) from None


def metrics(the_plan: plan.Plan, page: str) -> list[str]:
    """The metrics that a page shows; WorkflowError where weights or images that it needs were not given."""
    try:
        return the_plan.metrics(page)
    except config.ConfigError as error:
        raise WorkflowError(str(error)) from None


def images(the_plan: plan.Plan, dataset: str) -> str:
    """The folder of a dataset. One that the user gives changes its date for many reasons; a rendered one only when it is rendered."""
    if dataset not in the_plan.config.datasets:
        raise WorkflowError(f"results/data/{dataset}: no such entry of datasets; known: {', '.join(the_plan.config.datasets)}")
    folder = the_plan.images(dataset)
    return folder if the_plan.config.datasets[dataset].rendered else ancient(folder)


def init(the_plan: plan.Plan, run: str) -> list[str]:
    """The weights that a training starts from: of another run, or none."""
    start = the_plan.jobs.get(run, {}).get("init")
    return [f"results/{start}/weights.safetensors"] if start else []


def given_weights(the_plan: plan.Plan, run: str) -> list[str]:
    """The local file that published weights are read from, if they are: when it changes, they are read again."""
    file = the_plan.jobs.get(run, {}).get("source", {}).get("file")
    return [file] if file else []


def finished() -> str:
    """Which jobs have left a time so far: with a new one, the estimate of the others is made again."""
    return job.digest(*sorted(map(str, Path("results").glob("runs/**/*benchmark.tsv"))))


def without_rate_limit(workflow: Workflow) -> None:
    """Let jobs on this machine start when there are cores for them.

    Snakemake's limit of 100 job starts a second asks itself again a second after each time it was asked, as long as jobs are ready: after
    every finished job one more time a second (Snakemake 9.27). With hundreds of ready jobs its process took 27% of a core for 40 minutes.
    """
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


def use_this_python(source: Path) -> None:
    """Let `python -m fixres` in a job be this package, run by the interpreter that runs Snakemake (or by a rule's conda environment)."""
    os.environ["PYTHONPATH"] = str(source)
    # glibc gives the memory of each step's activations back and takes it again, page by page: 5 to 14% of a training's time (measured at
    # 96 and 112 px on two cores). Kept instead; other C libraries do not read these.
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**25))
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**33))
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
