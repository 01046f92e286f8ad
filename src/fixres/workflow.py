"""All that the Snakefile calls: the checked plan, and the environment that its jobs run in."""

import _thread
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.io import ancient
from snakemake.iocontainers import Wildcards
from snakemake.jobs import Job
from snakemake.logging import logger
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.workflow import Workflow

from fixres import config, jobs, paper
from fixres.config import ConfigError
from fixres.graph import Plan
from fixres.jobs import stopping
from fixres.pages.costs import Costs

START_UP = 1.5  # seconds that any job takes to start: importing torch, reading its files

# --- the plan ------------------------------------------------------------------------------------


def open_plan(files: list[str | Path], merged: dict, given: Mapping | None = None) -> Plan:
    """The plan for Snakemake's merged configuration.

    Parameters
    ----------
    files : the configuration files. They are checked for a key that stands twice, which Snakemake
        lets pass.
    merged : the configuration as Snakemake merged it.
    given : the part of it that --config gives. Snakemake leaves strings in it.

    Raises
    ------
    WorkflowError : the configuration cannot be run. The message says what to mend.
    """
    try:
        for file in files:
            config.read_yaml(file)
        where = [*map(str, files), *(["--config"] if given else [])]
        merged = config.merge(merged, config.typed(dict(given or {})))
        return paper.plan_of(config.parse(merged, where=" + ".join(where)))
    except ConfigError as error:
        raise WorkflowError(str(error)) from None


def check_command_line(words: list[str]) -> None:
    """Raise WorkflowError where --configfile stands twice.

    Snakemake would keep the last one alone, and plan another scale than the one that was meant.

    Parameters
    ----------
    words : the command line of Snakemake.
    """
    files, flags, inside = [], 0, False
    for word in words:
        flag, _, value = word.partition("=")
        if word.startswith("-"):
            inside = flag in ("--configfile", "--configfiles")
            flags += inside
            files += [value] if inside and value else []
        elif inside and word.endswith((".yaml", ".yml", ".json")):
            files.append(word)
    if flags > 1:
        raise WorkflowError(
            f"--configfile: found it {flags} times, of which Snakemake reads the last alone; "
            f"expected one, with all files behind it: --configfile {' '.join(files)}"
        )


def ancestry_digest(plan: Plan, job: str) -> Callable[[Wildcards], str]:
    """For a rule's params: the digest of all that is configured and shapes its result.

    A changed digest is what makes Snakemake run a job again (`Plan.ancestry_digest`).

    Parameters
    ----------
    job : the id of the rule's job, with the rule's wildcards in braces.
    """

    def digest(wildcards: Wildcards) -> str:
        try:
            return plan.ancestry_digest(job.format(**dict(wildcards.items())))
        except ConfigError as error:
            raise WorkflowError(str(error)) from None

    return digest


def write_configurations(workflow: Workflow, plan: Plan) -> None:
    """Write the resolved configuration of each job that is about to run.

    A job reads its own results/<id>/config.json and no other configuration. The files of jobs that
    do not run are left alone, so that each says how the results beside it were made.
    """
    for job in workflow.dag.needrun_jobs():
        name = _id_of(job)
        if name is None:
            continue
        path = Path("results", name, "config.json")
        text = jobs.canonical(plan.resolved(name)) + "\n"
        if not path.is_file() or path.read_bytes() != text.encode():
            with jobs.atomic(path) as temporary:
                temporary.write_text(text, encoding="utf-8")


def announce(workflow: Workflow, plan: Plan) -> None:
    """Say how many jobs will run, and about how long they take; the progress display reads it."""
    to_run = list(workflow.dag.needrun_jobs())
    cores = workflow.resource_settings.cores if workflow.local_exec else None
    try:
        durations = expected_durations(plan, [name for job in to_run if (name := _id_of(job))])
        minutes = max(sum(durations.values()) / 60 / (cores or 1), 1)
        about = f"about {minutes:.0f} min on {f'{cores} core(s)' if cores else 'one device'}"
    except Exception as error:  # an estimate stops no run; the job that it concerns says more
        durations, about = {}, f"how long they take is not known ({error})"
    extra = {"fixres_durations": durations, "fixres_cores": cores}
    logger.info(f"{len(to_run)} jobs, {about}", extra=extra)


def expected_durations(plan: Plan, names: list[str]) -> dict[str, float]:
    """Seconds that each of these jobs is expected to take, of those that compute something."""
    costs = Costs(plan.resolved("pages/plan"), Path("results"))
    return {name: costs.duration(name) + START_UP for name in names if name in costs.jobs}


def _id_of(job: Job) -> str | None:
    """The id of a job of Snakemake's, or None: the targets `all` and `tables` have no such job."""
    config = getattr(job.params, "config", None)
    return str(Path(config).parent.relative_to("results")) if config else None


def measurements(plan: Plan, page: str) -> list[str]:
    """The files with the numbers of a page.

    Raises
    ------
    WorkflowError : weights or images that the page needs were not given.
    """
    try:
        return plan.measurements(page)
    except ConfigError as error:
        raise WorkflowError(str(error)) from None


def report_inputs(plan: Plan) -> list[str]:
    """The pages that the report shows."""
    files = [f"{table}.{kind}" for table in plan.tables for kind in ("csv", "trends.csv")]
    files += [f"{figure}.svg" for figure in plan.figures]
    files += ["claims.csv", "claims.comparisons.csv", "text.csv"]
    return [f"results/{file}" for file in files]


def all_measurements(plan: Plan) -> list[str]:
    """The files that say where the numbers of all tables and figures come from, each once."""
    pages = (*plan.tables, *plan.figures)
    return list(dict.fromkeys(file for page in pages for file in measurements(plan, page)))


def targets(plan: Plan) -> list[str]:
    """All pages of the paper; or the answer about a custom network, where that is asked."""
    if plan.config.custom:
        return [
            f"results/{plan.recommendation_job()}.{kind}" for kind in ("md", "html", "csv", "svg")
        ]
    files = [f"{page}.{kind}" for page in ("claims", "text") for kind in ("md", "csv", "html")]
    files += [f"{figure}.{kind}" for figure in plan.figures for kind in ("svg", "png", "csv")]
    return [*tables(plan), *(f"results/{file}" for file in (*files, "report.html"))]


def all_is_there(plan: Plan) -> str:
    """What is said when all `targets` are made."""
    if plan.config.custom:
        return f"The answer is there: open results/{plan.recommendation_job()}.html"
    return "Tables, figures, claims: all are there. Open results/report.html"


def tables(plan: Plan) -> list[str]:
    """The files of all tables of the paper, and of the page over them."""
    files = [f"{table}.{kind}" for table in plan.tables for kind in ("md", "csv", "html")]
    return [f"results/{file}" for file in (*files, "summary.md")]


# --- inputs of the rules -------------------------------------------------------------------------


def images(plan: Plan, dataset: str) -> str:
    """The folder of a dataset.

    The date of a folder that the user gives changes for many reasons, so it is ignored. The date of
    a rendered folder changes only when it is rendered.
    """
    datasets = plan.config.datasets
    if dataset not in datasets:
        known = ", ".join(datasets)
        raise WorkflowError(f"results/data/{dataset}: no such entry of datasets; known: {known}")
    folder = plan.images(dataset)
    return folder if datasets[dataset].rendered else ancient(folder)


def init(plan: Plan, run: str) -> list[str]:
    """The weights of another run that a training starts from, or nothing."""
    start = plan.jobs.get(run, {}).get("init")
    return [f"results/{start}/weights.safetensors"] if start else []


def local_weights_file(plan: Plan, run: str) -> list[str]:
    """The local file that published weights are read from, or nothing.

    When the file changes, it is read again.
    """
    source = plan.jobs.get(run, {}).get("source", {})
    file = source.get("file") or source.get("custom")
    return [file] if file and file not in ("pretrained", "none") else []


def finished() -> str:
    """A digest of which jobs have left a time. A new time means that costs are estimated anew."""
    return jobs.digest(*sorted(map(str, Path("results").glob("runs/**/*benchmark.tsv"))))


# --- resources -----------------------------------------------------------------------------------


def stage_resources(plan: Plan, stage: str) -> dict[str, int | str]:
    """What `hardware` of the configuration gives a job of a stage. None of it triggers a rerun.

    runtime (minutes), mem_mb, gpu, nodes, mpi and tasks are words of Snakemake's executors; a
    profile may overrule them. `options` are for the job's command line, and are alike for all
    stages that may share a group job.
    """
    h = plan.config.hardware
    # A fine-tuning keeps activations, or decoded images where they change from epoch to epoch.
    kept = {"train": h.decoded_gb, "finetune": max(h.cache_gb, h.decoded_gb)}
    memory = getattr(h.memory_gb, stage) + kept.get(stage, 0)
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
    if stage == "train" and h.nodes > 1:  # the job calls srun itself; to Snakemake, that is MPI
        # Without tasks_per_gpu the SLURM executor (2.8) takes `tasks` for it.
        gpus, tasks = h.gpus * h.nodes, h.nodes
        resources |= {"gpu": gpus, "nodes": h.nodes, "mpi": "srun", "tasks": tasks}
        resources["tasks_per_gpu"] = 0
        options += ["--nodes", h.nodes]
    return resources | {"options": " ".join(map(str, options))}


def all_cores(workflow: Workflow) -> int | None:
    """All that --cores gives, for a job beside which nothing should run.

    None where a scheduler runs the jobs.
    """
    return workflow.resource_settings.cores if workflow.is_main_process else None


# --- how Snakemake itself behaves ----------------------------------------------------------------


def freeze_configuration(workflow: Workflow, merged: dict) -> None:
    """Hand the jobs of a cluster the configuration as it is now, whole and checked.

    These jobs read the Snakefile again when they start. An edit that is made while they wait in the
    queue is for the next invocation. They compute from their resolved files alone, but without this
    an edit could keep a job from starting.
    """
    text = yaml.safe_dump(json.loads(json.dumps(merged)))
    snapshot = Path(".snakemake", "fixres", f"config-{jobs.digest(text)}.yaml").absolute()
    with jobs.atomic(snapshot) as temporary:
        temporary.write_text(text, encoding="utf-8")
    workflow.config_settings.configfiles = [snapshot]


def without_rate_limit(workflow: Workflow) -> None:
    """Let jobs on this machine start as soon as there are cores for them.

    Snakemake 9.27 limits job starts to 100 a second. As long as jobs are ready, the limit asks
    itself again every second, once more for each job that has finished. With hundreds of ready jobs
    its process took 27% of a core for 40 minutes.
    """
    workflow.scheduler.job_rate_limiter = None


def end_without_waiting() -> None:
    """Let Snakemake end when it is told to (SIGTERM), at whatever moment that is.

    Snakemake's handler takes locks. It interrupts the main thread, which may hold them; then it
    would wait for ever (Snakemake 9.27; seen at one of a few closed terminals). Here the handler
    runs in a thread of its own.
    """
    if not hasattr(JobScheduler, "wait_and_exit"):
        JobScheduler.wait_and_exit = JobScheduler.exit_gracefully
        JobScheduler.exit_gracefully = lambda scheduler, *_: _thread.start_new_thread(
            scheduler.wait_and_exit, ()
        )


def use_this_python(source: Path) -> None:
    """Let `python -m fixres` in a job be this package.

    It is run by the interpreter that runs Snakemake, or by a rule's conda environment.
    """
    os.environ["PYTHONPATH"] = str(source)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ[stopping.SNAKEMAKE] = str(os.getpid())
    # A scheduler sends SIGUSR1 to all that runs in an allocation. It is meant for the job, not for
    # the Snakemake that waits for the job there.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    end_without_waiting()
    # A closed terminal is treated like SIGTERM: running jobs may end, and no lock is left behind.
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
