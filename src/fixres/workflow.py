"""What the Snakefile needs of the package: the checked plan, and the environment that its jobs run in."""

import _thread
import json
import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.io import ancient
from snakemake.iocontainers import Wildcards
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.workflow import Workflow

from fixres import config, jobs, paper, plan
from fixres.jobs import stopping


def open_plan(files: list[str | Path], merged: dict) -> plan.Plan:
    """The plan for Snakemake's merged configuration. Raises WorkflowError with what to mend, before anything is planned.

    Parameters
    ----------
    files : the configuration files, checked for what Snakemake lets pass (a key that stands twice).
    """
    try:
        for file in files:
            config.read_yaml(file)
        return paper.plan_of(config.parse(merged, where=" + ".join(map(str, files))))
    except config.ConfigError as error:
        raise WorkflowError(str(error)) from None


def resolved(the_plan: plan.Plan, name: str) -> str:
    """The resolved configuration of a job as one canonical line: Snakemake compares it as text, so key order never matters."""
    try:
        return jobs.canonical(the_plan.resolved(name))
    except config.ConfigError as error:
        raise WorkflowError(str(error)) from None


def ancestry_digest(the_plan: plan.Plan, job: str) -> Callable[[Wildcards], str]:
    """For a rule's params: what its result is made of (`plan.Plan.ancestry_digest`).

    Parameters
    ----------
    job : the id of the rule's job, with the rule's wildcards in braces.
    """

    def digests(wildcards: Wildcards) -> str:
        try:
            return the_plan.ancestry_digest(job.format(**dict(wildcards.items())))
        except config.ConfigError as error:
            raise WorkflowError(str(error)) from None

    return digests


def stage_resources(the_plan: plan.Plan, stage: str) -> dict[str, int | str]:
    """A rule's resources: what the configuration's `hardware` gives a job of a stage. None of it triggers a rerun.

    runtime (minutes), mem_mb, gpu, nodes, mpi and tasks are words of Snakemake's executors, and a profile may set them otherwise; options
    are for the job's command line, alike for all stages that may share a group job.
    """
    h = the_plan.config.hardware
    memory = getattr(h.memory_gb, stage) + (h.cache_gb if stage == "finetune" else 0)
    resources: dict[str, int | str] = {
        "runtime": math.ceil(60 * getattr(h.hours, stage)),
        "mem_mb": math.ceil(1000 * memory),
    }
    if stage in ("render", "manifest", "pretrained"):
        return resources
    options = ["--loader", h.loader, "--precision", h.precision, "--device", h.device]
    options += ["--workers", h.workers] if h.workers else []
    options += ["--compile"] if h.compile else []
    processes = 1 if stage == "time" else h.processes
    options += ["--processes", processes] if processes else []
    resources["gpu"] = h.gpus
    if stage == "train" and h.nodes > 1:  # a job that calls srun itself; to Snakemake, that is MPI
        # tasks_per_gpu: otherwise the SLURM executor (2.8) takes `tasks` for it.
        resources |= {
            "gpu": h.gpus * h.nodes,
            "nodes": h.nodes,
            "mpi": "srun",
            "tasks": h.nodes,
            "tasks_per_gpu": 0,
        }
        options += ["--nodes", h.nodes]
    return resources | {"options": " ".join(map(str, options))}


def freeze_configuration(workflow: Workflow, merged: dict) -> None:
    """Hand the jobs of a cluster the configuration as it is now, whole and checked: they read the Snakefile again when they start.

    What is edited while they wait in the queue is for the next invocation. (They compute from their resolved files alone; but without
    this, an edit could keep a job from starting.)
    """
    text = yaml.safe_dump(json.loads(json.dumps(merged)))
    snapshot = Path(".snakemake", "fixres", f"config-{jobs.digest(text)}.yaml").absolute()
    with jobs.atomic(snapshot) as temporary:
        temporary.write_text(text, encoding="utf-8")
    workflow.config_settings.configfiles = [snapshot]


def metrics(the_plan: plan.Plan, page: str) -> list[str]:
    """The metrics that a page shows; WorkflowError where weights or images that it needs were not given."""
    try:
        return the_plan.metrics(page)
    except config.ConfigError as error:
        raise WorkflowError(str(error)) from None


def images(the_plan: plan.Plan, dataset: str) -> str:
    """The folder of a dataset. One that the user gives changes its date for many reasons; a rendered one only when it is rendered."""
    if dataset not in the_plan.config.datasets:
        raise WorkflowError(
            f"results/data/{dataset}: no such entry of datasets; known: {', '.join(the_plan.config.datasets)}"
        )
    folder = the_plan.images(dataset)
    return folder if the_plan.config.datasets[dataset].rendered else ancient(folder)


def init(the_plan: plan.Plan, run: str) -> list[str]:
    """The weights that a training starts from: of another run, or none."""
    start = the_plan.jobs.get(run, {}).get("init")
    return [f"results/{start}/weights.safetensors"] if start else []


def local_weights_file(the_plan: plan.Plan, run: str) -> list[str]:
    """The local file that published weights are read from, if they are: when it changes, they are read again."""
    file = the_plan.jobs.get(run, {}).get("source", {}).get("file")
    return [file] if file else []


def finished() -> str:
    """Which jobs have left a time so far: with a new one, the estimate of the others is made again."""
    return jobs.digest(*sorted(map(str, Path("results").glob("runs/**/*benchmark.tsv"))))


def without_rate_limit(workflow: Workflow) -> None:
    """Let jobs on this machine start when there are cores for them.

    Snakemake's limit of 100 job starts a second asks itself again a second after each time it was asked, as long as jobs are ready: after
    every finished job one more time a second (Snakemake 9.27). With hundreds of ready jobs its process took 27% of a core for 40 minutes.
    """
    workflow.scheduler.job_rate_limiter = None


def all_cores(workflow: Workflow) -> int | None:
    """All that --cores gives, for a job that nothing should run beside; None where a scheduler runs the jobs."""
    return workflow.resource_settings.cores if workflow.is_main_process else None


def end_without_waiting() -> None:
    """Let Snakemake end when it is told to (SIGTERM), at whatever moment that is.

    Its handler takes locks. In the main thread, which it interrupts and which may hold them, it would wait for ever (Snakemake 9.27; seen
    at one of a few closed terminals): here it runs in a thread of its own.
    """
    if not hasattr(JobScheduler, "told"):
        JobScheduler.told = JobScheduler.exit_gracefully
        JobScheduler.exit_gracefully = lambda scheduler, *_: _thread.start_new_thread(
            scheduler.told, ()
        )


def use_this_python(source: Path) -> None:
    """Let `python -m fixres` in a job be this package, run by the interpreter that runs Snakemake (or by a rule's conda environment)."""
    os.environ["PYTHONPATH"] = str(source)
    os.environ[stopping.SNAKEMAKE] = str(os.getpid())
    # Meant for the job, but sent to all that runs in an allocation, also to the Snakemake that waits for the job there.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    end_without_waiting()
    # A closed terminal: as SIGTERM, which lets the running jobs end (they were told, too) and leaves no lock behind.
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    # glibc gives the memory of each step's activations back and takes it again, page by page: 5 to 14% of a training's time (measured at
    # 96 and 112 px on two cores). Kept instead; other C libraries do not read these.
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**25))
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**33))
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
