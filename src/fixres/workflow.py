"""Everything that the Snakefile calls: the checked plan, and the environment of its jobs."""

import _thread
import json
import math
import os
import shlex
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml
from snakemake.dag import DAG
from snakemake.io import ancient
from snakemake.iocontainers import InputFiles, OutputFiles, Wildcards
from snakemake.jobs import Job as RuleJob
from snakemake.logging import logger
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.settings.types import RerunTrigger
from snakemake.workflow import Workflow

from fixres import config, jobs, paper
from fixres.asked import PlanningError
from fixres.config import ConfigError
from fixres.graph import current, declare
from fixres.graph.costs import Costs
from fixres.graph.enough import check_listed_images
from fixres.graph.graph import JobGraph, images_of
from fixres.graph.jobs import Job
from fixres.graph.pages import Cost
from fixres.graph.stages import STAGES
from fixres.jobs import JobError, stopping

SHOWN = 5  # results to name, if there are many
START_UP = 1.5  # seconds that any job takes to start: importing torch, reading its files
LEADING = 5000  # above any k_test, and below the trainings
OVER_ALL = {  # page about all others -> its title and what it shows, in Snakemake's report
    "summary": ("Summary", "all tables: what is measured, and trends"),
    "claims": ("Claims", "the claims of the paper, each with a verdict"),
    "text": ("Numbers in the text", "what the text says, what its tables say, ours"),
    "report": ("Report", "everything on one page, to send to a colleague"),
}

# --- the graph ------------------------------------------------------------------------------------


def open_graph(files: list[str | Path], merged: dict, given: Mapping | None = None) -> JobGraph:
    """The jobs of Snakemake's merged configuration.

    Parameters
    ----------
    files : the configuration files, checked here for duplicate keys, which Snakemake accepts.
    merged : the configuration as Snakemake merged it.
    given : the part of it from --config, in which Snakemake leaves values as strings.

    Raises
    ------
    PlanningError : the configuration cannot be run. The message says what to fix.
    """
    try:
        for file in files:
            config.read_yaml(file)
        where = [*map(str, files), *(["--config"] if given else [])]
        merged = config.merge(merged, config.typed(dict(given or {})))
        graph = paper.plan_of(config.parse(merged, where=" + ".join(where)))
        check_listed_images(graph)
        return graph
    except (ConfigError, JobError) as error:
        raise PlanningError(str(error)) from None
    except OSError as error:
        raise PlanningError(f"{error.filename}: cannot be read ({error.strerror}).") from None


def told(graph: JobGraph, name: str) -> dict[str, str | Callable]:
    """The params of a rule: the parts of the job's command line.

    A changed digest makes Snakemake run a job again (`Job.ancestry_digest`). A named input becomes
    the option of that name. The job receives the path of the first output, and writes the other
    outputs to the same folder.

    Parameters
    ----------
    name : the id of the rule's job, with the rule's wildcards in braces.
    """

    def of(attribute: Callable[[Job], str]) -> Callable[[Wildcards], str]:
        return lambda wildcards: attribute(job_of(graph, name.format(**dict(wildcards.items()))))

    return {
        "stage": of(lambda job: job.stage.name),
        "config": f"results/{name}/config.json",
        "ancestry_digest": of(lambda job: job.ancestry_digest),
        "files": _files,
    }


def _files(wildcards: Wildcards, input: InputFiles, output: OutputFiles) -> str:
    """The named inputs of a rule, each as the option of its name, and the first output."""
    named = {name: [files] if isinstance(files, str) else files for name, files in input.items()}
    options = {name: files for name, files in named.items() if files} | {"out": output[:1]}
    return " ".join(f"--{name} {shlex.join(files)}" for name, files in options.items())


def make_again(graph: JobGraph) -> None:
    """Have Snakemake remake each requested result that was not made as it is now planned.

    Snakemake decides by its own records, which may be deleted, and by triggers, which a profile may
    change. Seals are kept with the results (graph/current.py). If Snakemake would see no
    difference, the job is forced as soon as Snakemake knows its jobs.
    """
    if not hasattr(DAG, "check_unfinished"):
        DAG.check_unfinished = DAG.check_incomplete

    async def check(dag: DAG) -> None:
        await dag.check_unfinished()
        if dag.workflow.is_main_process:
            _force(dag, graph)

    DAG.check_incomplete = check


def _force(dag: DAG, graph: JobGraph) -> None:
    """Add the jobs that Snakemake would not run again by itself, and log the reason."""
    files = {str(file).removeprefix("results/"): file for job in dag.jobs for file in job.output}
    rule_jobs = {file: job for job in dag.jobs for file in job.output}
    makers = {graph.made_by[f]: rule_jobs[o] for f, o in files.items() if f in graph.made_by}
    records = dag.workflow.persistence

    def recorded(file: str) -> list[str]:
        return records.params(files[file]) or []

    def seen(job: RuleJob) -> bool:
        """Whether Snakemake also sees a difference, and so displays it."""
        looks = RerunTrigger.PARAMS in dag.workflow.rerun_triggers
        known = records.has_metadata(job) and not records.has_outdated_metadata(job)
        return bool(looks and known and records.params_changed(job))

    found = current.compare(graph, makers, Path("results"), recorded, write=not dag.workflow.dryrun)
    unseen = {job: why for job, why in found.differing.items() if not seen(makers[job])}
    dag.forcefiles.update(f"results/{file}" for job in unseen for file in job.outputs.values())
    for job, why in list(unseen.items())[:SHOWN]:
        logger.info(f"results/{job.id}: {why}, so it is made again")
    if len(unseen) > SHOWN:
        logger.info(f"… and {len(unseen) - SHOWN} more results")
    # Snakemake's records of an earlier version, with other command lines, are ignored, because the
    # seals say what the results were made from.
    former = {f"results/{file}" for job in found.taken_over for file in job.outputs.values()}
    has_metadata = records.has_metadata
    records.has_metadata = lambda job: former.isdisjoint(job.output) and has_metadata(job)


def write_configurations(workflow: Workflow, graph: JobGraph) -> None:
    """Write the resolved configuration of each job that is about to run.

    A job reads its own results/<id>/config.json and no other configuration. The files of jobs that
    do not run stay unchanged, so that each describes how the results in its folder were made.
    """
    for job in workflow.dag.needrun_jobs():
        name = _id_of(job)
        if name is None:
            continue
        path = Path("results", name, "config.json")
        text = jobs.canonical(graph.resolved(name)) + "\n"
        if not path.is_file() or path.read_bytes() != text.encode():
            with jobs.atomic(path) as temporary:
                temporary.write_text(text, encoding="utf-8")


def announce(workflow: Workflow, graph: JobGraph) -> None:
    """Log how many jobs will run and how long they take, also for the progress display."""
    to_run = list(workflow.dag.needrun_jobs())
    cores = workflow.resource_settings.cores if workflow.local_exec else None
    try:
        costs = Costs(Cost.of(graph.resolved("pages/plan")), Path("results"))
        computing = [name for job in to_run if (name := _id_of(job)) in costs.jobs]
        durations = {name: costs.duration(name) + START_UP for name in computing}
        minutes = max(sum(durations.values()) / 60 / (cores or 1), 1)
        about = f"about {minutes:.0f} min on {f'{cores} core(s)' if cores else 'one device'}"
    except Exception as error:  # an estimate must not stop a run; the job will report the error
        durations, about = {}, f"duration unknown ({error})"
    extra = {"fixres_durations": durations, "fixres_cores": cores}
    logger.info(f"{len(to_run)} jobs, {about}", extra=extra)


def _id_of(job: RuleJob) -> str | None:
    """The id of a Snakemake job, or None for the rules `all` and `tables`."""
    config = getattr(job.params, "config", None)
    return str(Path(config).parent.relative_to("results")) if config else None


def targets(graph: JobGraph) -> list[str]:
    """All pages of the paper, or the answer about a custom network if one is configured."""
    return [f"results/{f}" for job in declare.all_pages(graph) for f in job.outputs.values()]


def all_is_there(graph: JobGraph) -> str:
    """The message when all `targets` are made."""
    for answer in graph.of_stage("answer"):
        return f"The answer is ready: open results/{answer.outputs['html']}"
    return "All tables, figures and claims are ready: open results/report.html"


def tables(graph: JobGraph) -> list[str]:
    """The files of all tables of the paper, and of their summary."""
    return _pages(graph, *graph.tables, "summary")


def report_inputs(graph: JobGraph) -> list[str]:
    """The pages that the report shows: the text or the drawing of each."""
    files = _pages(graph, *graph.pages, "claims", "text")
    return [file for file in files if file.endswith(("md", "svg"))]


def _pages(graph: JobGraph, *names: str) -> list[str]:
    """The files of some pages."""
    pages = [graph.job(f"pages/{name}") for name in names]
    return [f"results/{file}" for page in pages for file in page.outputs.values()]


# --- inputs of the rules -------------------------------------------------------------------------


def job_of(graph: JobGraph, name: str) -> Job:
    """The job with an id. Raises PlanningError with the nearest id if there is none."""
    try:
        return graph.job(name)
    except ConfigError as error:
        raise PlanningError(str(error)) from None


def inputs_of(graph: JobGraph) -> tuple[Callable, ...]:
    """Functions of a rule's wildcards: the files below results/ that the job reads.

    These are the list of its images, the weights of the run that it adapts or measures, the weights
    that a training starts from (or none), and the local file with published weights (or none). The
    date of that file is ignored, because the job's configuration contains its digest.
    """

    def manifest(wildcards: Wildcards) -> str:
        return f"results/{job_of(graph, wildcards.job).images.outputs['manifest']}"

    def run_weights(wildcards: Wildcards) -> str:
        return f"results/{job_of(graph, wildcards.job).run.weights}"

    def start_weights(wildcards: Wildcards) -> list[str]:
        start = job_of(graph, wildcards.job).start
        return [f"results/{start.weights}"] if start else []

    def local_weights(wildcards: Wildcards) -> list[str]:
        source = job_of(graph, wildcards.job).config["source"]
        file = source.get("file") or source.get("custom")
        return [ancient(file)] if file and file not in ("pretrained", "none") else []

    return manifest, run_weights, start_weights, local_weights


def measurements_of(graph: JobGraph) -> Callable[[str], list[str]]:
    """A function: id of a page's job -> the files with the numbers that it shows.

    It raises PlanningError if weights or images that the page needs are not configured.
    """

    def measurements(name: str) -> list[str]:
        try:
            return declare.measurements(graph, name)
        except ConfigError as error:
            raise PlanningError(str(error)) from None

    return measurements


def all_measurements(graph: JobGraph) -> list[str]:
    """The files with the numbers of all tables and figures, each once."""
    read = measurements_of(graph)
    return list(dict.fromkeys(file for page in graph.pages for file in read(f"pages/{page}")))


def records(graph: JobGraph) -> Callable[[Wildcards], list[str]]:
    """A function of a crate's wildcards: the files with numbers that it contains."""
    return lambda wildcards: declare.records(graph)


def weights(graph: JobGraph, name: str) -> list[str]:
    """The weights of all parents of a job."""
    parents = job_of(graph, name).parents
    return [f"results/{job.weights}" for job in parents if "weights" in job.outputs]


def images(graph: JobGraph, dataset: str) -> str:
    """The folder of a dataset.

    The date of a user's folder is ignored, because it changes for many reasons. The date of a
    rendered folder changes only when it is rendered.
    """
    datasets = graph.config.datasets
    if dataset not in datasets:
        known = f"expected one of {', '.join(datasets)}"
        raise PlanningError(
            f"results/data/{dataset}: not an entry of datasets (got '{dataset}', {known})."
        )
    folder = images_of(graph, dataset)
    return folder if datasets[dataset].rendered else ancient(folder)


def labels_of(graph: JobGraph) -> Callable[[Wildcards], dict[str, str]]:
    """A function of a page's wildcards: the labels of the page in Snakemake's report."""

    def labels(wildcards: Wildcards) -> dict[str, str]:
        config = graph.resolved(f"pages/{wildcards.page}")
        title, caption = OVER_ALL.get(wildcards.page, (wildcards.page, ""))
        return {"page": config.get("title", title), "shows": config.get("caption", caption)}

    return labels


def finished() -> str:
    """A digest of the jobs that have a measured time: a new time updates the cost estimates."""
    return jobs.digest(*sorted(map(str, Path("results").glob("runs/**/*benchmark.tsv"))))


# --- resources -----------------------------------------------------------------------------------


def command(options: str = "") -> str:
    """The shell command of a rule, with the params from `told`.

    Parameters
    ----------
    options : options that only this stage has.
    """
    return (
        "exec python -m fixres {params.stage} --config {params.config:q}"
        f" --ancestry-digest {{params.ancestry_digest}} {{params.files}} {options} 2> {{log[0]:q}}"
    )


def network_command(options: str = "", threads: str = "{threads}") -> str:
    """The shell command of a stage that runs a network."""
    return command(f"{options} --threads {threads} --gpus {{resources.gpu}} {{resources.options}}")


def training_command(options: str = "") -> str:
    """The shell command of a stage that trains."""
    kept = ("checkpoint_seconds", "tensorboard", "cuda_graphs", "decoded_mb")
    hardware = (f"--{key.replace('_', '-')} {{resources.{key}}}" for key in kept)
    return network_command(" ".join([*hardware, options]))


def limits(graph: JobGraph, name: str) -> dict[str, int | str]:
    """The resources of a stage's job, from `hardware` in the configuration. None triggers a rerun.

    runtime (minutes), mem_mb, gpu, nodes, mpi and tasks are for Snakemake's executors; a profile
    may override them. The others are for the job's command line; `options` are the same for all
    stages that may share a group job.
    """
    h, stage = graph.config.hardware, STAGES[name]
    kept = {key: getattr(h, key) for key in stage.keeps}
    memory = getattr(h.memory_gb, stage.limits) + max(kept.values(), default=0)
    resources: dict[str, int | str] = {
        "runtime": math.ceil(60 * getattr(h.hours, stage.limits)),
        "mem_mb": math.ceil(1000 * memory),
    }
    if not stage.uses_device:
        return resources
    if kept:
        for key in ("checkpoint_seconds", "tensorboard", "cuda_graphs"):
            resources[key] = int(getattr(h, key))
        resources |= {f"{key.removesuffix('_gb')}_mb": int(1000 * gb) for key, gb in kept.items()}
    options = ["--loader", h.loader, "--precision", h.precision, "--device", h.device]
    options += ["--workers", h.workers] if h.workers else []
    options += ["--compile"] if h.compile else []
    processes = 1 if stage.limits == "time" else h.processes
    options += ["--processes", processes] if processes else []
    resources["gpu"] = h.gpus
    if name == "train" and h.nodes > 1:  # the job calls srun itself; to Snakemake, that is MPI
        # Without tasks_per_gpu, the SLURM executor (2.8) would use `tasks` for it.
        gpus, tasks = h.gpus * h.nodes, h.nodes
        resources |= {"gpu": gpus, "nodes": h.nodes, "mpi": "srun", "tasks": tasks}
        resources["tasks_per_gpu"] = 0
        options += ["--nodes", h.nodes]
    return resources | {"options": " ".join(map(str, options))}


def priority_of(job: Job) -> int:
    """The priority of a fine-tuning: larger crops take longer, so they start first.

    For a custom network, the fine-tunings of the last normalisation come first, because they leave
    the outputs of the trunk for the others (stages/ahead.py).
    """
    leads = "entry" in job.config and "batch-norm" in job.config["layers"]
    return job.k + LEADING * leads


def all_cores(workflow: Workflow) -> int | None:
    """The value of --cores, for a job that should run alone; None if a scheduler runs the jobs."""
    return workflow.resource_settings.cores if workflow.is_main_process else None


# --- how Snakemake itself behaves ----------------------------------------------------------------


def freeze_configuration(workflow: Workflow, merged: dict) -> None:
    """Pass the configuration as it is now, whole and checked, to the jobs of a cluster.

    These jobs read the Snakefile again when they start. They compute only from their resolved
    files, but without this snapshot, an edit while they are queued could keep them from starting.
    The edit applies to the next invocation.
    """
    text = yaml.safe_dump(json.loads(json.dumps(merged)))
    snapshot = Path(".snakemake", "fixres", f"config-{jobs.digest(text)}.yaml").absolute()
    with jobs.atomic(snapshot) as temporary:
        temporary.write_text(text, encoding="utf-8")
    workflow.config_settings.configfiles = [snapshot]


def without_rate_limit(workflow: Workflow) -> None:
    """Let jobs on this machine start as soon as cores are free.

    Snakemake 9.27 limits job starts to 100 per second. While jobs are ready, the limit is checked
    every second, by one more timer for each finished job. With hundreds of ready jobs, Snakemake
    took 27% of a core for 40 minutes.
    """
    workflow.scheduler.job_rate_limiter = None


def end_without_waiting() -> None:
    """Let Snakemake end after a SIGTERM, whenever the signal comes.

    Snakemake's handler takes locks. It interrupts the main thread, which may hold them, and then
    waits forever (Snakemake 9.27; seen at one of a few closed terminals). Here the handler runs in
    a separate thread.
    """
    if not hasattr(JobScheduler, "wait_and_exit"):
        JobScheduler.wait_and_exit = JobScheduler.exit_gracefully
        JobScheduler.exit_gracefully = lambda scheduler, *_: _thread.start_new_thread(
            scheduler.wait_and_exit, ()
        )


def use_this_python(source: Path) -> None:
    """Make `python -m fixres` in a job run this package.

    The interpreter is the one that runs Snakemake, or the one in a rule's conda environment.
    """
    os.environ["PYTHONPATH"] = str(source)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ[stopping.SNAKEMAKE] = str(os.getpid())
    # A scheduler sends SIGUSR1 to all processes in an allocation. It is meant for the job, not for
    # the Snakemake that waits for the job there.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    end_without_waiting()
    # A closed terminal is treated like SIGTERM: running jobs can end, and no lock is left behind.
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
