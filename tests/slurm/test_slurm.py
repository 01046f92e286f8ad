"""profiles/slurm on a real SLURM, which these tests start (cluster.sh): what becomes of jobs that wait, share GPUs, and are ended early."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from fixres import config as settings
from shared import ENVIRONMENT, ROOT

SCRIPT = Path(__file__).with_name("cluster.sh")
BASE = "runs/set/resnet10q-k{}"
ADAPTED = f"{BASE.format(40)}/ft-k40-cls+bn-testda"
# Trainings of some seconds with a checkpoint after each step, so that each can be met in the middle.
CONFIG = {
    "scale": "test",
    "dataset": "set",
    "datasets": {
        "set": {"rendered": {"train_images": 96, "val_images": 48, "shorter_side": [40, 60]}}
    },
    "table5": {"k_train": [16, 24, 32, 40], "k_train_adapted": [40], "k_test": [40]},
    "base_training": {
        "epochs": 20,
        "samples_per_epoch": 96,
        "batch_size": 24,
        "micro_batch": 12,
        "lr_per_256": 1.0,
    },
    "fine_tuning": {"epochs": 100, "batch_size": 24, "lr": 0.05},
    "hardware": {"checkpoint_seconds": 0.0, "device": "cpu"},
}
WEIGHTS = [
    f"results/{run}/weights.safetensors"
    for run in (*(BASE.format(k) for k in (16, 24, 32, 40)), ADAPTED)
]
TARGETS = [*WEIGHTS, f"results/{ADAPTED}/evaluation/metrics.json"]


# --- the cluster -------------------------------------------------------------------------------------------------------------


class Cluster:
    """SLURM's commands, and its log of jobs that have ended."""

    def __init__(self, folder: Path):
        self.folder = folder
        # Also for the programs that SLURM's own look up: a job's environment is the one that it was submitted with.
        self.env = ENVIRONMENT | {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        }

    def __call__(self, *command: object) -> str:
        result = subprocess.run(
            [*map(str, command)],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, f"{command}: {result.stderr}"
        return result.stdout

    def script(self, *arguments: str) -> tuple[int, str]:
        env = os.environ | {"FIXRES_SLURM": str(self.folder)}
        with open(
            self.folder / "script.log", "w+"
        ) as output:  # no pipe, which the daemons would hold open
            code = subprocess.run(
                [SCRIPT, *arguments], env=env, stdout=output, stderr=subprocess.STDOUT, check=False
            ).returncode
            output.seek(0)
            return code, output.read()

    def ended(self, folder: Path) -> list[dict[str, str]]:
        """The jobs that a workflow in `folder` had submitted and that have ended, as SLURM wrote them down."""
        lines = (
            (self.folder / "jobs.txt").read_text().splitlines()
            if (self.folder / "jobs.txt").exists()
            else []
        )
        jobs = [dict(re.findall(r"(\w+)=(.*?) *(?=\w+=|$)", line)) for line in lines]
        return [job for job in jobs if job["WorkDir"] == str(folder)]

    def waiting(self) -> int:
        return len(self("squeue", "-h", "-p", "gpu", "-t", "PENDING", "-o", "%i").split())


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="fixres-slurm-")))  # a short path, for a socket
    code, told = cluster.script("start")
    try:
        if code == 77:
            pytest.skip(told.strip())
        assert code == 0, told
        yield cluster
    finally:
        cluster.script("stop")
        shutil.rmtree(cluster.folder)


def command(folder: Path, profile: Path, *arguments: object, source: Path = ROOT) -> list[str]:
    base = [
        sys.executable,
        "-m",
        "snakemake",
        *arguments,
        "--snakefile",
        source / "Snakefile",
        "--directory",
        folder,
    ]
    return [str(part) for part in [*base, "--workflow-profile", profile]]


def on_slurm(folder: Path, profile: Path, *arguments: object, source: Path = ROOT) -> list[str]:
    """Snakemake's command, that looks after its jobs more often than is polite on a cluster that others use."""
    return command(
        folder, profile, *arguments, "--slurm-init-seconds-before-status-checks", 1, source=source
    )


@contextlib.contextmanager
def running(words: list[str], folder: Path, env: dict) -> Iterator[subprocess.Popen]:
    with open(folder / "snakemake.log", "w") as log:
        process = subprocess.Popen(
            words, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def said(folder: Path) -> str:
    return (folder / "snakemake.log").read_text()


def until(
    condition: Callable[[], object], process: subprocess.Popen, folder: Path, seconds: float = 120
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, said(folder)
        assert time.monotonic() < deadline, said(folder)
        time.sleep(0.05)


@pytest.fixture(scope="session")
def profile(tmp_path_factory) -> Path:
    """profiles/slurm, edited as its comments say."""
    text = (ROOT / "profiles/slurm/profile.yaml").read_text()
    for line in (
        "slurm_partition: gpu",
        "render: {slurm_partition: cpu}",
        "manifest: {slurm_partition: cpu}",
    ):
        assert f"  # {line}" in text
        text = text.replace(f"  # {line}", f"  {line}")
    folder = tmp_path_factory.mktemp("profile")
    (folder / "profile.yaml").write_text(text)
    return folder


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Path:
    """The same runs on this machine without SLURM: the bits to compare with."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    words = command(folder, ROOT / "profiles/default", *TARGETS, "--cores", 2)
    result = subprocess.run(
        words,
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return folder


def copied(undisturbed: Path, folder: Path, hardware: dict) -> Path:
    """A folder with the images of `undisturbed` and none of its runs."""
    shutil.copytree(undisturbed, folder)
    shutil.rmtree(folder / "results/runs")
    (folder / "config.yaml").write_text(
        yaml.safe_dump(settings.merge(CONFIG, {"hardware": hardware}))
    )
    return folder


# --- the jobs, seen from the node --------------------------------------------------------------------------------------------


class Job(NamedTuple):
    pid: int
    run: str  # its folder below results/
    slurm: str  # number of the allocation
    gpus: str  # what SLURM lets it see


def jobs_in(folder: Path) -> list[Job]:
    """The trainings and fine-tunings that are running in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            words = (process / "cmdline").read_bytes().decode().split("\0")
            if (
                words[1:3] != ["-m", "fixres"]
                or words[3] not in ("train", "finetune")
                or os.readlink(process / "cwd") != str(folder)
            ):
                continue
            env = dict(
                line.split("=", 1)
                for line in (process / "environ").read_bytes().decode().split("\0")
                if "=" in line
            )
            run = str(Path(words[words.index("--config") + 1]).parent.relative_to("results"))
            found.append(
                Job(int(process.name), run, env["SLURM_JOB_ID"], env["CUDA_VISIBLE_DEVICES"])
            )
    return found


def cancelled(cluster: Cluster, job: Job) -> None:
    cluster("scancel", job.slurm)


def out_of_time(cluster: Cluster, job: Job) -> None:
    """SLURM looks at time limits every half a minute, and counts them in minutes; this one ends now."""
    cluster("scontrol", "update", f"JobId={job.slurm}", "EndTime=now")


def warned(cluster: Cluster, job: Job) -> None:
    """What --signal=USR1@120 sends, to the same processes."""
    cluster("scancel", "--signal=USR1", job.slurm)
    os.kill(job.pid, signal.SIGCONT)


def crashed(cluster: Cluster, job: Job) -> None:
    """The node goes down with all that the job runs there, and comes back."""
    os.kill(int((cluster.folder / "n1.pid").read_text()), signal.SIGKILL)
    for process in list(Path("/proc").glob("[0-9]*")):
        with contextlib.suppress(OSError):
            of_the_job = f"SLURM_JOB_ID={job.slurm}".encode() in (
                process / "environ"
            ).read_bytes().split(b"\0")
            if of_the_job or (process / "cmdline").read_bytes().startswith(
                f"slurmstepd: [{job.slurm}.".encode()
            ):
                os.kill(int(process.name), signal.SIGKILL)
    code, told = cluster.script("start_node", "n1")
    assert code == 0, told


FAULTS = {
    ADAPTED: cancelled,
    BASE.format(32): out_of_time,
    BASE.format(24): warned,
    BASE.format(16): crashed,
}
LAST = BASE.format(16)  # the node goes down when nothing else is there to be disturbed


@pytest.fixture(scope="session")
def smoke(cluster, tmp_path_factory) -> Iterator[tuple[Path, subprocess.Popen]]:
    """All tables and figures at the smoke scale, in a folder of an awkward name, beside the other tests: these mostly wait."""
    folder = tmp_path_factory.mktemp("smoke") / "Größe & 'Raum' 测试; #1"
    for part in ("src", "rules", "envs", "report", "configs", "profiles"):
        shutil.copytree(ROOT / part, folder / part)
    for part in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / part, folder)
    words = [
        "all",
        "results/plan.md",
        "--configfile",
        "configs/smoke.yaml",
        "--group-components",
        "images=4",
        "adapt=20",
        "--jobs",
        4,
    ]
    with running(
        on_slurm(folder, folder / "profiles/slurm", *words, source=folder), folder, cluster.env
    ) as process:
        yield folder, process


class Disturbed(NamedTuple):
    folder: Path
    struck: dict[str, str]  # run -> number of the allocation that was hit
    samples: list[list[Job]]  # what was running, several times a second
    waiting: int  # jobs in the queue when config.yaml could not be read any more


@pytest.fixture(scope="session")
def disturbed(cluster, smoke, profile, undisturbed, tmp_path_factory) -> Disturbed:
    """Four trainings and a fine-tuning on two GPUs. All but one are ended early, and config.yaml changes while they wait."""
    folder = copied(undisturbed, tmp_path_factory.mktemp("slurm") / "Läufe im Verbund", {"gpus": 1})
    samples, struck, done = [], {}, threading.Event()

    def sample() -> None:
        while not done.wait(0.1):
            samples.append(jobs_in(folder))

    def strike() -> bool:
        """End early whatever is in the middle and still has to be; whether all have been."""
        for job in jobs_in(folder):
            if (
                job.run in FAULTS
                and job.run not in struck
                and list((folder / "results" / job.run / "checkpoints").glob("step-*"))
            ):
                os.kill(
                    job.pid, signal.SIGSTOP
                )  # it stays in the middle until it is told to end; SLURM wakes a job for that
                if job.run != LAST or len(struck) == len(FAULTS) - 1:
                    FAULTS[job.run](cluster, job)
                    struck[job.run] = job.slurm
        return len(struck) == len(FAULTS)

    cluster("scontrol", "update", "PartitionName=gpu", "State=DOWN")
    watch = threading.Thread(target=sample)
    with running(on_slurm(folder, profile, *TARGETS), folder, cluster.env) as process:
        watch.start()
        try:
            until(lambda: cluster.waiting() == 4, process, folder)
            edited = settings.merge(
                CONFIG, {"base_training": {"lr_per_256": 0.1, "epochs": 1}, "hardware": {"gpus": 0}}
            )
            (folder / "config.yaml").write_text(yaml.safe_dump(edited))
            cluster("scontrol", "update", "PartitionName=gpu", "State=UP")
            until(lambda: jobs_in(folder), process, folder)
            waiting = cluster.waiting()
            (folder / "config.yaml").write_text("table5: {k_train: [16")
            until(strike, process, folder, 300)
            assert process.wait(240) == 0, said(folder)
        finally:
            done.set()
            watch.join()
    return Disturbed(folder, struck, samples, waiting)


def log_of(folder: Path, run: str) -> str:
    return (
        folder / "results" / run / ("finetune.log" if "/ft-" in run else "train.log")
    ).read_text()


# --- what must be true -------------------------------------------------------------------------------------------------------


def test_gpu_jobs_never_exceed_the_gres(disturbed):
    together = [
        {(job.slurm, job.gpus) for job in jobs} for jobs in disturbed.samples
    ]  # once each, though a process may be forking
    assert max(map(len, together)) == 2
    for jobs in together:
        assert sorted(gpus for _, gpus in jobs) in ([], ["0"], ["1"], ["0", "1"]), jobs


ENDED_AS = {ADAPTED: "CANCELLED", BASE.format(32): "TIMEOUT", BASE.format(24): "FAILED"}


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
    assert disturbed.waiting >= 2  # and those that were submitted again, later
    for path in (*WEIGHTS, f"results/{ADAPTED}/evaluation/metrics.json"):
        assert (disturbed.folder / path).read_bytes() == (undisturbed / path).read_bytes(), path


def test_two_nodes_train_to_the_same_bits_as_one(cluster, profile, undisturbed, tmp_path):
    """One process on each, which meet by srun and torchrun."""
    folder = copied(undisturbed, tmp_path / "two nodes", {"nodes": 2, "gpus": 1})
    with running(
        on_slurm(folder, profile, WEIGHTS[0], "--set-resources", "train:slurm_partition=cpu"),
        folder,
        cluster.env,
    ) as process:
        assert process.wait(180) == 0, said(folder)
    (job,) = cluster.ended(folder)  # and not in a second try
    assert (job["NodeList"], job["NodeCnt"]) == ("n[1-2]", "2")
    log = log_of(folder, BASE.format(16))
    assert "srun --nodes=2" in log
    assert "2 processes of CPU" in log
    assert (folder / WEIGHTS[0]).read_bytes() == (undisturbed / WEIGHTS[0]).read_bytes()


def test_all_smoke_tables_go_through_sbatch(cluster, smoke):
    """Nothing but pages and resolved configurations is computed where Snakemake runs, and short jobs share submissions."""
    folder, process = smoke
    assert process.wait(900) == 0, said(folder)
    text = said(folder)
    counts = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE)}
    submitted = set(re.findall(r"has been submitted with SLURM jobid (\d+)", text))
    ended = cluster.ended(folder)
    assert {job["JobId"] for job in ended} == submitted
    assert {job["JobState"] for job in ended} == {"COMPLETED"}
    here = set(re.findall(r"^localrule (\w+):", text, re.MULTILINE))
    assert here == {"all", "resolve", "table", "figure", "summary", "cost"}
    jobs = {rule: n for rule, n in counts.items() if rule not in {*here, "total"}}
    assert set(jobs) == {"render", "manifest", "train", "match", "finetune", "evaluate", "time"}
    assert len(submitted) < 50 < 150 < sum(jobs.values())
    # What shares a submission runs there in turn, and so asks for no more than one of it; `render` and `time` want the whole node.
    assert {int(job["ProcCnt"]) for job in ended} == {1, 16}
    assert max(int(job["TimeLimit"]) for job in ended) >= 20 * 60
    for table in (*(f"table{n}" for n in range(1, 10)), "section3.3", "appendixA.1"):
        for kind in ("md", "csv", "html"):
            assert (folder / "results" / f"{table}.{kind}").stat().st_size, table
    assert "Top-1" in (folder / "results/table5.md").read_text()


def test_what_a_cluster_has_computed_is_nothing_to_do_on_one_machine(smoke):
    """Same targets, same configuration, the default profile."""
    folder, process = smoke
    assert process.wait(900) == 0, said(folder)
    words = ["all", "--configfile", "configs/smoke.yaml", "--cores", "all", "--dry-run"]
    words = command(folder, folder / "profiles/default", *words, source=folder)
    result = subprocess.run(
        words, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "Nothing to be done" in result.stdout + result.stderr
