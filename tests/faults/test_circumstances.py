"""What goes wrong around a run: clocks, folders, terminals, and a training that diverges."""

import fcntl
import os
import re
import signal
import subprocess
import termios
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import snakemake.api  # noqa: F401 (before fixres.workflow: they import each other)
from snakemake.scheduling.job_scheduler import JobScheduler

from bench import TRAIN, same
from faults.helpers import (
    ADAPTED,
    DATA,
    LARGE_BASE,
    PATIENCE,
    copy_of,
    dates_and_sizes,
    different_results,
    fresh_workflow,
    job_command,
    mount,
    processes_in,
    smoke_config,
    smoke_plan,
    unfinished_copy,
    wait_until,
)
from fixres import workflow as workflows
from fixres.artifacts import weights
from fixres.hardware.pool import spread
from fixres.jobs import JobError, canonical
from shared import ENVIRONMENT, PAGES, Workflow, fixres

# A training of four micro-batches a step, and the options that share them between two processes.
FOUR_MICRO_BATCHES = {"micro_batch": 3, "cutmix": 0.5, "epochs": 6}
TRAINING = TRAIN | {"recipe": TRAIN["recipe"] | FOUR_MICRO_BATCHES}
TWO = ("--processes", 2, "--threads", 2)

ANY_NAME = 'with blanks, "quotes", it\'s $HOME; ünïcödé 量'  # of a folder


# --- clocks ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def edited(undisturbed, tmp_path_factory) -> Workflow:
    """A run that was edited while every clock was right."""
    workflow = copy_of(undisturbed, tmp_path_factory.mktemp("edited") / "copy")
    workflow.write(smoke_config(fine_tuning={"lr": 0.3}))
    workflow.run(*PAGES)
    assert different_results(workflow, undisturbed)
    return workflow


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_jumps(undisturbed, edited, tmp_path, happened, days):
    """All results are from another time when the configuration is edited.

    The first run after the edit is interrupted: it has only written resolved configurations.
    """
    workflow = copy_of(undisturbed, tmp_path / "copy")
    results = workflow.folder / "results"
    for path in [results, *results.rglob("*")]:
        os.utime(path, ns=(path.stat().st_mtime_ns + days * 86400 * 10**9,) * 2)
    workflow.write(smoke_config(fine_tuning={"lr": 0.3}))
    plan = smoke_plan(fine_tuning={"lr": 0.3})
    for run in (ADAPTED, ADAPTED.replace("k32", "k16")):
        text = canonical(plan.resolved(run.removeprefix("results/")))
        assert "0.3" in text
        (workflow.folder / run / "config.json").write_text(text + "\n")
    what = "an edit, interrupted after its first step"
    if days > 0:  # Snakemake never takes a result that is older than what it is made of
        result = workflow.run(*PAGES, check=False)
        assert result.returncode != 0
        assert "clock skew" in result.stdout
        date_as_now = ["find", "results", "-newermt", "now", "-exec", "touch", "{}", "+"]
        subprocess.run(date_as_now, cwd=workflow.folder, check=True)
        what += ": an error that says so; dated now, the same command"
    workflow.run(*PAGES)
    assert different_results(workflow, edited) == []
    happened(
        "a clock that jumped",
        "results " + ("from the future" if days > 0 else "of long ago"),
        1,
        f"{what}: the page is the edit's",
    )


# --- folders --------------------------------------------------------------------------------------


def test_a_results_folder_that_cannot_be_written_to(undisturbed, tmp_path, happened):
    workflow = unfinished_copy(undisturbed, tmp_path / "copy")
    results = workflow.folder / "results"
    mount("--bind", results, results)
    try:
        mount("-o", "remount,bind,ro", results)
        before = dates_and_sizes(results)
        result = workflow.run(*PAGES, check=False)
        assert result.returncode != 0
        told = r"results/.*Read-only file system|Read-only file system.*results/"
        assert re.search(told, result.stdout), result.stdout
        assert dates_and_sizes(results) == before
    finally:
        subprocess.run(["umount", str(results)], check=True)
    workflow.run(*PAGES)
    assert different_results(workflow, undisturbed) == []
    happened(
        "folders",
        "read-only results",
        1,
        "stops, names it and changes nothing; writable again, the same command: the same bytes",
    )


def test_a_home_that_cannot_be_written_to(undisturbed, tmp_path, disk, happened):
    workflow = unfinished_copy(undisturbed, tmp_path / "copy")
    home = disk("home", 100_000)
    home.change("ro")
    env = {name: value for name, value in workflow.env.items() if not name.startswith("XDG_")}
    workflow.env = env | {"HOME": str(home.folder)}
    workflow.run(*PAGES)
    assert different_results(workflow, undisturbed) == []
    happened("folders", "a home without write access", 1, "the undisturbed bytes")


FILL_SHM = "mount -t tmpfs -o size=4k tmpfs /dev/shm && head -c 4096 /dev/zero > /dev/shm/filler"


def run_without_shm(*words: object) -> str:
    """Run a job in a mount namespace whose /dev/shm is full. Returns its log."""
    command = ["unshare", "-m", "sh", "-c", f'{FILL_SHM} && exec "$@"', "sh", *job_command(*words)]
    result = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert result.returncode == 0, result.stderr
    return result.stderr


def test_no_room_in_dev_shm(undisturbed, bench, tmp_path, happened):
    """A training of two processes, and the stages that start processes for images."""
    attempt = ["unshare", "-m", "sh", "-c", f"{FILL_SHM} && true"]
    if subprocess.run(attempt, capture_output=True, check=False).returncode:
        pytest.skip("a mount namespace needs root")

    bench.run(TRAINING, *TWO, out="roomy.safetensors")
    said = run_without_shm(*bench.command(TRAINING, *TWO, out="cramped.safetensors"))
    assert "2 processes of CPU" in said
    assert same(bench.read("cramped.safetensors"), bench.read("roomy.safetensors"))

    data, rendered = undisturbed.folder / DATA, tmp_path / "rendered"
    render = ["render", "--config", data / "render/config.json", "--threads", 2]
    assert "/dev/shm" in run_without_shm(*render, "--out", rendered)
    there, here = (sorted(images.rglob("*.jpg")) for images in (data / "rendered", rendered))
    assert [p.read_bytes() for p in there] == [p.read_bytes() for p in here]

    build = ["manifest", "--config", data / "manifest/config.json", "--threads", 2]
    out = tmp_path / "m" / "manifest.npz"
    assert "/dev/shm" in run_without_shm(*build, "--root", data / "rendered", "--out", out)
    happened(
        "folders",
        "no room in /dev/shm",
        3,
        "training: the same bits; images rendered and checked by one process",
    )


def test_a_worker_that_is_killed_is_told():
    with pytest.raises(JobError, match="2 processes: one was killed"):
        list(spread(kill_itself, range(2), 2))


def kill_itself(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("name", [ANY_NAME])
def test_a_folder_with_any_name(undisturbed, tmp_path, happened, name):
    workflow = fresh_workflow(tmp_path / name)
    workflow.run(*PAGES)
    assert different_results(workflow, undisturbed) == []
    happened("folders", f"one named `{name}`", 1, "the undisturbed bytes")


# --- terminals ------------------------------------------------------------------------------------


def start_in_terminal(workflow: Workflow) -> tuple[subprocess.Popen, int]:
    """Start Snakemake in a terminal of its own. Returns also our end of the terminal."""
    ours, theirs = os.openpty()

    def take_terminal() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may run under nohup
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        workflow.command(*PAGES),
        cwd=workflow.folder,
        env=workflow.env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    return process, ours


def drain(terminal: int) -> None:
    """Read what stands in a terminal. It holds little: when it is full, its writers wait."""
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:  # nothing at the moment, or nobody writes any more
        return


def test_a_terminal_that_is_closed(undisturbed, tmp_path, happened):
    """Snakemake and its jobs get SIGHUP, as from a shell.

    No lock is left, and the same command goes on.
    """
    workflow = unfinished_copy(undisturbed, tmp_path / "copy")
    process, terminal = start_in_terminal(workflow)

    def training() -> bool:
        drain(terminal)
        return bool(list(workflow.folder.glob(f"{LARGE_BASE}/checkpoints/step-*")))

    wait_until(training, "a checkpoint", process)
    os.close(terminal)
    os.killpg(process.pid, signal.SIGHUP)
    assert process.wait(PATIENCE) != 0
    wait_until(lambda: not processes_in(process.pid), "the end of all that ran there")
    run = workflow.folder / LARGE_BASE
    assert not (run / "weights.safetensors").exists()
    assert "train: stopped by SIGHUP" in (run / "train.log").read_text()
    workflow.run(*PAGES)
    assert "resuming after step" in (run / "train.log").read_text()
    assert different_results(workflow, undisturbed) == []
    happened(
        "a closed terminal",
        "SIGHUP",
        1,
        "the training keeps its last step, no lock is left; the same command: the same bytes",
    )


def test_a_signal_does_not_wait_for_what_it_interrupts():
    """Snakemake is told to end while its main thread holds the locks that its handler takes."""
    workflows.end_without_waiting()
    scheduler = SimpleNamespace(
        _lock=threading.Lock(), _open_jobs=threading.Semaphore(0), _user_kill=None
    )
    scheduler.wait_and_exit = lambda: JobScheduler.wait_and_exit(scheduler)
    with scheduler._lock:
        JobScheduler.exit_gracefully(scheduler, signal.SIGTERM, None)
    assert scheduler._open_jobs.acquire(timeout=60)
    assert scheduler._user_kill == "graceful"


# --- numbers --------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number(bench, happened):
    """A training that diverges stops with its step and the last good checkpoint.

    The weights grow a hundredfold at each step (learning rate times weight decay). That goes well
    for a while; then they are too large for a float.
    """
    growing = {
        "epochs": 12,
        "lr": 0.05,
        "weight_decay": 2000.0,
        "schedule": "step",
        "warmup": 0.0,
        "momentum": 0.0,
        "nesterov": False,
    }
    config = TRAIN | {"recipe": TRAIN["recipe"] | growing}
    result = fixres(*bench.command(config, "--checkpoint-seconds", 0))
    assert result.returncode == 1
    told = r"at step (\d+) \(lr 0\.05\).*last good checkpoint is (\S+)$"
    found = re.search(told, result.stderr, re.DOTALL | re.MULTILINE)
    assert found, result.stderr
    tensors, meta = weights.load(Path(found[2]))
    assert all(t.isfinite().all() for t in tensors.values())
    assert meta["step"] > 1
    assert meta["step"] <= int(found[1]) + 1
    assert not (bench.folder / "weights.safetensors").exists()
    happened(
        "a loss that is not a number",
        "training",
        1,
        "stops with the step, the rate and the last checkpoint, whose weights are finite",
    )
