"""profiles/slurm on a real SLURM: jobs that wait, that share GPUs, and that are ended early."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from fixres import config as settings
from shared import ENVIRONMENT
from slurm.helpers import (
    ADAPTED,
    ADAPTED_TOGETHER,
    BASE,
    CONFIG,
    SMOKE_CONFIGS,
    SMOKE_FIGURES,
    SMOKE_TABLES,
    TARGETS,
    WEIGHTS,
    Cluster,
    Job,
    command,
    jobs_in,
    on_slurm,
    running,
    said,
    wait_until,
)

# --- faults ---------------------------------------------------------------------------------------


def cancelled(cluster: Cluster, job: Job) -> None:
    cluster("scancel", job.slurm)


def out_of_time(cluster: Cluster, job: Job) -> None:
    """Let the job's time end now.

    A time limit would be too slow: SLURM counts it in minutes and checks it every half a minute.
    """
    cluster("scontrol", "update", f"JobId={job.slurm}", "EndTime=now")


def warned(cluster: Cluster, job: Job) -> None:
    """Send what --signal=USR1@120 sends, to the same processes."""
    cluster("scancel", "--signal=USR1", job.slurm)
    os.kill(job.pid, signal.SIGCONT)


def crashed(cluster: Cluster, job: Job) -> None:
    """The node goes down with all that the job runs there, and comes back."""
    os.kill(int((cluster.folder / "n1.pid").read_text()), signal.SIGKILL)
    variable, step = f"SLURM_JOB_ID={job.slurm}".encode(), f"slurmstepd: [{job.slurm}.".encode()
    for process in list(Path("/proc").glob("[0-9]*")):
        with contextlib.suppress(OSError):
            of_the_job = variable in (process / "environ").read_bytes().split(b"\0")
            if of_the_job or (process / "cmdline").read_bytes().startswith(step):
                os.kill(int(process.name), signal.SIGKILL)
    code, output = cluster.script("start_node", "n1")
    assert code == 0, output


FAULTS = {
    ADAPTED: cancelled,
    BASE.format(32): out_of_time,
    BASE.format(24): warned,
    BASE.format(16): crashed,
}
LAST = BASE.format(16)  # the node goes down when no other job is left to be hit
ENDED_AS = {ADAPTED: "CANCELLED", BASE.format(32): "TIMEOUT", BASE.format(24): "FAILED"}


class Disturbed(NamedTuple):
    """A run whose jobs were ended early."""

    folder: Path
    struck: dict[str, str]  # run -> number of the allocation that was hit
    samples: list[list[Job]]  # the jobs that were running, several times a second
    waiting: int  # jobs in the queue when config.yaml became unreadable


def copy_without_runs(undisturbed: Path, folder: Path, hardware: dict) -> Path:
    """A folder with the images of `undisturbed` and none of its runs."""
    shutil.copytree(undisturbed, folder)
    shutil.rmtree(folder / "results/runs")
    content = settings.merge(CONFIG, {"hardware": hardware})
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    return folder


def strike(cluster: Cluster, folder: Path, struck: dict[str, str]) -> bool:
    """End early each job that is in the middle and was not hit yet; note it in `struck`.

    Returns whether all have been hit.
    """
    for job in jobs_in(folder):
        if job.run not in FAULTS or job.run in struck:
            continue
        if not list((folder / "results" / job.run / "checkpoints").glob("step-*")):
            continue
        # It stays in the middle until it is told to end: SLURM wakes a job for that.
        os.kill(job.pid, signal.SIGSTOP)
        if job.run != LAST or len(struck) == len(FAULTS) - 1:
            FAULTS[job.run](cluster, job)
            struck[job.run] = job.slurm
    return len(struck) == len(FAULTS)


@pytest.fixture(scope="session")
def disturbed(cluster, smoke, profile, undisturbed, tmp_path_factory) -> Disturbed:
    """Four trainings and a fine-tuning on two GPUs.

    All but one are ended early. config.yaml changes while they wait.
    """
    folder = tmp_path_factory.mktemp("slurm") / "Läufe im Verbund"
    copy_without_runs(undisturbed, folder, {"gpus": 1})
    edit = {"base_training": {"lr_per_256": 0.1, "epochs": 1}, "hardware": {"gpus": 0}}
    edited = settings.merge(CONFIG, edit)
    samples, struck, done = [], {}, threading.Event()

    def sample() -> None:
        while not done.wait(0.1):
            samples.append(jobs_in(folder))

    cluster("scontrol", "update", "PartitionName=gpu", "State=DOWN")
    watch = threading.Thread(target=sample)
    with running(on_slurm(folder, profile, *TARGETS), folder, cluster.env) as process:
        watch.start()
        try:
            wait_until(lambda: cluster.waiting() == 4, process, folder)
            (folder / "config.yaml").write_text(yaml.safe_dump(edited))
            cluster("scontrol", "update", "PartitionName=gpu", "State=UP")
            wait_until(lambda: jobs_in(folder), process, folder)
            waiting = cluster.waiting()
            (folder / "config.yaml").write_text("table5: {k_train: [16")
            wait_until(lambda: strike(cluster, folder, struck), process, folder, 600)
            assert process.wait(480) == 0, said(folder)
        finally:
            done.set()
            watch.join()
    return Disturbed(folder, struck, samples, waiting)


def log_of(folder: Path, run: str) -> str:
    name = "finetune.log" if "/ft-" in run else "train.log"
    return (folder / "results" / run / name).read_text()


# --- jobs that are ended early --------------------------------------------------------------------


def test_gpu_jobs_never_exceed_the_gres(disturbed):
    # Once each: a process that is forking is seen twice.
    together = [{(job.slurm, job.gpus) for job in jobs} for jobs in disturbed.samples]
    assert max(map(len, together)) == 2
    for jobs in together:
        assert sorted(gpus for _, gpus in jobs) in ([], ["0"], ["1"], ["0", "1"]), jobs


@pytest.mark.parametrize("run", FAULTS, ids=[fault.__name__ for fault in FAULTS.values()])
def test_what_is_ended_early_is_submitted_again_and_goes_on_to_the_same_bits(
    cluster, disturbed, undisturbed, run
):
    states = {job["JobId"]: job["JobState"] for job in cluster.ended(disturbed.folder)}
    number = disturbed.struck[run]
    if run == LAST:  # SLURM itself starts it again, under the same number
        assert states[number] == "COMPLETED"
    else:
        assert states[number] == ENDED_AS[run]
        assert said(disturbed.folder).count("Trying to restart") == len(ENDED_AS)
    assert "resuming after step" in log_of(disturbed.folder, run)
    weights = Path("results", run, "weights.safetensors")
    assert (disturbed.folder / weights).read_bytes() == (undisturbed / weights).read_bytes()


def test_editing_and_breaking_the_configuration_changes_nothing_in_jobs_that_wait(
    disturbed, undisturbed
):
    assert disturbed.waiting >= 2  # later also the jobs that were submitted again
    for path in TARGETS:
        assert (disturbed.folder / path).read_bytes() == (undisturbed / path).read_bytes(), path


# --- several nodes --------------------------------------------------------------------------------


def test_two_nodes_train_to_the_same_bits_as_one(cluster, profile, undisturbed, tmp_path):
    """One process on each node. They meet by srun and torchrun."""
    folder = copy_without_runs(undisturbed, tmp_path / "two nodes", {"nodes": 2, "gpus": 1})
    words = [WEIGHTS[0], "--set-resources", "train:slurm_partition=cpu"]
    with running(on_slurm(folder, profile, *words), folder, cluster.env) as process:
        assert process.wait(360) == 0, said(folder)
    (job,) = cluster.ended(folder)  # one job: there was no second try
    assert (job["NodeList"], job["NodeCnt"]) == ("n[1-2]", "2")
    log = log_of(folder, BASE.format(16))
    assert "srun --nodes=2" in log
    assert "2 processes of CPU" in log
    assert (folder / WEIGHTS[0]).read_bytes() == (undisturbed / WEIGHTS[0]).read_bytes()


# --- pages of every kind --------------------------------------------------------------------------


def test_pages_of_every_kind_go_through_sbatch(cluster, smoke):
    """Only pages are computed where Snakemake runs, and short jobs share submissions."""
    folder, process = smoke
    assert process.wait(1800) == 0, said(folder)
    text = said(folder)
    counts = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE)}
    submitted = set(re.findall(r"has been submitted with SLURM jobid (\d+)", text))
    ended = cluster.ended(folder)
    assert {job["JobId"] for job in ended} == submitted
    assert {job["JobState"] for job in ended} == {"COMPLETED"}
    # What shares a submission is indented; what has a submission of its own says so.
    alone = dict(re.findall(r"^Job (\d+): (.*)$", text, re.MULTILINE))
    here = alone.keys() - set(re.findall(r"^Job (\d+) has been submitted", text, re.MULTILINE))
    pages = {"all", "table", "figure", "summary", "claims", "text", "cost", "report"}
    pages |= {"sizes", "crops"}
    assert len(here) == sum(counts[rule] for rule in pages)
    page = re.compile(
        r"(Rendering|Drawing|Estimating the costs:) results/\S+$|"
        r"All tables, figures and claims are ready|"
        r"(Measuring apparent sizes|Cutting the crops of one image): sizes/\S+$"
    )
    assert [alone[job] for job in here if not page.match(alone[job])] == []
    jobs = {rule: n for rule, n in counts.items() if rule not in {*pages, "total"}}
    measured = {"evaluate", "sweep", "activations", "time", "memory"}
    assert set(jobs) == {"render", "manifest", "train", "match", "finetune", *measured}
    assert len(submitted) <= 18 < 40 <= sum(jobs.values())
    # Jobs that share a submission run there in turn, so it asks for no more processors than one of
    # them. `render` and `time` want the whole node.
    assert {int(job["ProcCnt"]) for job in ended} == {1, 16}
    assert max(int(job["TimeLimit"]) for job in ended) >= ADAPTED_TOGETHER * 60
    files = [f"{table}.{kind}" for table in SMOKE_TABLES for kind in ("md", "csv", "html")]
    files += [f"{figure}.svg" for figure in SMOKE_FIGURES]
    files += ["claims.md", "text.md", "summary.md", "report.html", "plan.md"]
    for file in files:
        assert (folder / "results" / file).stat().st_size, file
    assert "Top-1" in (folder / "results/table5.md").read_text()


def test_what_a_cluster_has_computed_is_nothing_to_do_on_one_machine(smoke):
    """Same targets, same configuration, the default profile."""
    folder, process = smoke
    assert process.wait(1800) == 0, said(folder)
    words = ["all", *SMOKE_CONFIGS, "--cores", "all", "--dry-run"]
    words = command(folder, folder / "profiles/default", *words, source=folder)
    result = subprocess.run(
        words, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "Nothing to be done" in result.stdout + result.stderr
