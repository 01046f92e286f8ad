"""What goes wrong around a run: other runs, clocks, terminals, folders that cannot be written to, numbers that are none."""

import fcntl
import json
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
from test_processes import TRAINING, TWO

from bench import EVALUATE, TRAIN, same
from faults.helpers import (
    ADAPTED,
    DATA,
    LARGE_BASE,
    PAGES,
    PATIENCE,
    copied,
    differing,
    final,
    fixres_command,
    jobs,
    members,
    mounted,
    prepared,
    smoke,
    started,
    state,
    unfinished,
    until,
)
from fixres import workflow as workflows
from fixres.jobs import JobError
from fixres.jobs.pool import spread
from fixres.models import weights, zoo
from fixres.stages import evaluate
from shared import ENVIRONMENT, fixres

ELSEWHERE = 'with blanks, "quotes", it\'s $HOME; ünïcödé 量'  # a folder's name


# --- other runs --------------------------------------------------------------------------------------------------------------


def test_two_snakemakes_in_one_folder(undisturbed, tmp_path, happened):
    """The second one refuses to start, and the first one does not notice."""
    workflow = unfinished(undisturbed, tmp_path / "copy")
    first = started(workflow, *PAGES)
    until(lambda: "train" in jobs(first.pid).values(), "the training", first)
    second = workflow.run(*PAGES, check=False)
    assert second.returncode != 0
    assert "lock" in second.stdout
    assert first.wait(PATIENCE) == 0, (workflow.folder / "said").read_text()
    assert differing(final(workflow.folder), final(undisturbed.folder)) == []
    happened(
        "other runs",
        "two Snakemakes in one folder",
        1,
        "the second one stops and says why; the first one ends with the same bytes",
    )


def other_weights(bench) -> Path:
    """Weights that fit, of another network."""
    file = bench.folder / "other.safetensors"
    weights.save(file, zoo.build("resnet10q", 24, 9).state_dict())
    return file


def test_a_model_that_is_retrained_while_it_is_evaluated(bench, happened):
    """Its weights are replaced once the evaluation has read them: no metrics, neither of the old ones nor of a mixture."""
    bench.run(TRAIN)
    given, config = (
        bench.folder / "weights.safetensors",
        EVALUATE | {"k_test": [24, 32, 48], "ten_crops": [24, 32, 48]},
    )
    words = fixres_command(*bench.command(config, "--weights", given, out="metrics.json"))
    other = other_weights(bench)
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        said = ""
        while "on 48 images" not in said:
            said += process.stderr.readline()
            assert process.poll() is None, said
        os.replace(other, given)
        said += process.stderr.read()
    assert process.returncode == 1
    assert f"{given}: changed while this job ran" in said
    assert not (bench.folder / "metrics.json").exists()
    bench.run(config, "--weights", given, out="metrics.json")
    retrained = json.loads((bench.folder / "metrics.json").read_text())
    assert (bench.folder / "predictions" / "k24.npz").exists()
    fresh = bench.folder / "fresh"
    fresh.mkdir()
    bench.run(config, "--weights", given, out="fresh/metrics.json")
    assert json.loads((fresh / "metrics.json").read_text()) == retrained
    happened(
        "other runs",
        "a model retrained while it is evaluated",
        1,
        "the evaluation ends with an error and no metrics",
    )


def test_weights_replaced_between_two_looks_at_them(bench, monkeypatch):
    """The narrow moment: read, then replaced, before their digest names the predictions."""
    bench.run(TRAIN)
    given, other, read = (
        bench.folder / "weights.safetensors",
        other_weights(bench),
        evaluate.matching.load,
    )

    def load(*arguments):
        network = read(*arguments)
        os.replace(other, given)
        return network

    monkeypatch.setattr(evaluate.matching, "load", load)
    assert (
        in_process(
            *bench.command(EVALUATE, "--weights", given, "--loader", "pillow", out="metrics.json")
        )
        == 1
    )
    assert not (bench.folder / "metrics.json").exists()
    assert not list(bench.folder.glob("predictions/*"))


def in_process(*words: object) -> int:
    """A job in a fork of this process, where what a test has patched holds; returns its exit code."""
    from fixres.__main__ import main

    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = main(list(map(str, words)))
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# --- clocks ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def edited(undisturbed, tmp_path_factory) -> dict[str, bytes]:
    """What comes out after an edit where every clock is right."""
    workflow = copied(undisturbed, tmp_path_factory.mktemp("edited") / "copy")
    workflow.write(smoke(fine_tuning={"lr": 0.3}))
    workflow.run(*PAGES)
    assert differing(final(workflow.folder), final(undisturbed.folder))
    return final(workflow.folder)


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_jumps(undisturbed, edited, tmp_path, happened, days):
    """All results are from another time; then an edit, of which a first run only gets to write the resolved configurations."""
    workflow = copied(undisturbed, tmp_path / "copy")
    results = workflow.folder / "results"
    for path in [results, *results.rglob("*")]:
        os.utime(path, ns=(path.stat().st_mtime_ns + days * 86400 * 10**9,) * 2)
    workflow.write(smoke(fine_tuning={"lr": 0.3}))
    resolved = [f"{run}/config.json" for run in (ADAPTED, ADAPTED.replace("k32", "k16"))]
    workflow.run(*resolved)
    assert "0.3" in (workflow.folder / resolved[0]).read_text()
    told = "an edit, interrupted after its first step"
    if days > 0:  # Snakemake never takes a result that is older than what it is made of
        result = workflow.run(*PAGES, check=False)
        assert result.returncode != 0
        assert "clock skew" in result.stdout
        subprocess.run(
            ["find", "results", "-newermt", "now", "-exec", "touch", "{}", "+"],
            cwd=workflow.folder,
            check=True,
        )
        told += ": an error that says so; dated now, the same command"
    workflow.run(*PAGES)
    assert differing(final(workflow.folder), edited) == []
    happened(
        "a clock that jumped",
        "results " + ("from the future" if days > 0 else "of long ago"),
        1,
        f"{told}: the page is the edit's",
    )


# --- folders -----------------------------------------------------------------------------------------------------------------


def test_a_results_folder_that_cannot_be_written_to(undisturbed, tmp_path, happened):
    workflow = unfinished(undisturbed, tmp_path / "copy")
    results = workflow.folder / "results"
    mounted("--bind", results, results)
    try:
        mounted("-o", "remount,bind,ro", results)
        before = state(results)
        result = workflow.run(*PAGES, check=False)
        assert result.returncode != 0
        assert re.search(
            r"results/.*Read-only file system|Read-only file system.*results/", result.stdout
        ), result.stdout
        assert state(results) == before
    finally:
        subprocess.run(["umount", str(results)], check=True)
    workflow.run(*PAGES)
    assert differing(final(workflow.folder), final(undisturbed.folder)) == []
    happened(
        "folders",
        "read-only results",
        1,
        "stops, names it and changes nothing; writable again, the same command: the same bytes",
    )


def test_a_home_that_cannot_be_written_to(undisturbed, tmp_path, disk, happened):
    workflow = unfinished(undisturbed, tmp_path / "copy")
    home = disk("home", 100_000)
    home.change("ro")
    workflow.env = {
        name: value for name, value in workflow.env.items() if not name.startswith("XDG_")
    } | {"HOME": str(home.folder)}
    workflow.run(*PAGES)
    assert differing(final(workflow.folder), final(undisturbed.folder)) == []
    happened("folders", "a home without write access", 1, "the undisturbed bytes")


def test_no_room_in_dev_shm(undisturbed, bench, tmp_path, happened):
    """Two processes a job, in a mount namespace whose /dev/shm is full."""
    full = (
        "mount -t tmpfs -o size=4k tmpfs /dev/shm && head -c 4096 /dev/zero > /dev/shm/filler && "
    )
    if subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{full} true"], capture_output=True, check=False
    ).returncode:
        pytest.skip("a mount namespace needs root")

    def cramped(*words: object) -> str:
        command = ["unshare", "-m", "sh", "-c", f'{full} exec "$@"', "sh", *fixres_command(*words)]
        result = subprocess.run(
            command, capture_output=True, text=True, env=ENVIRONMENT, check=False
        )
        assert result.returncode == 0, result.stderr
        return result.stderr

    bench.run(TRAINING, *TWO, out="roomy.safetensors")
    said = cramped(*bench.command(TRAINING, *TWO, out="cramped.safetensors"))
    assert "2 processes of CPU" in said
    assert same(bench.read("cramped.safetensors"), bench.read("roomy.safetensors"))
    images, rendered = undisturbed.folder / DATA / "rendered", tmp_path / "rendered"
    said = cramped(
        "render",
        "--config",
        undisturbed.folder / DATA / "render/config.json",
        "--threads",
        2,
        "--out",
        rendered,
    )
    assert "/dev/shm" in said
    assert [p.read_bytes() for p in sorted(images.rglob("*.jpg"))] == [
        p.read_bytes() for p in sorted(rendered.rglob("*.jpg"))
    ]
    config = undisturbed.folder / DATA / "manifest/config.json"
    assert "/dev/shm" in cramped(
        "manifest",
        "--config",
        config,
        "--root",
        images,
        "--threads",
        2,
        "--out",
        tmp_path / "m" / "manifest.npz",
    )
    happened(
        "folders",
        "no room in /dev/shm",
        3,
        "training: the same bits; images rendered and checked by one process",
    )


def test_a_worker_that_is_killed_is_told():
    with pytest.raises(JobError, match="one of 2 processes was killed"):
        list(spread(suicide, range(2), 2))


def suicide(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("name", [ELSEWHERE])
def test_a_folder_with_any_name(undisturbed, tmp_path, happened, name):
    workflow = prepared(tmp_path / name)
    workflow.run(*PAGES)
    assert differing(final(workflow.folder), final(undisturbed.folder)) == []
    happened("folders", f"one named `{name}`", 1, "the undisturbed bytes")


# --- terminals ---------------------------------------------------------------------------------------------------------------


def test_a_terminal_that_is_closed(undisturbed, tmp_path, happened):
    """Snakemake and its jobs are told, as a shell tells what runs in it; no lock is left, and the same command goes on."""
    workflow = unfinished(undisturbed, tmp_path / "copy")
    ours, theirs = os.openpty()

    def in_terminal() -> None:
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
        preexec_fn=in_terminal,
    )
    os.close(theirs)
    os.set_blocking(ours, False)

    def training() -> bool:
        drained(ours)
        return bool(list(workflow.folder.glob(f"{LARGE_BASE}/checkpoints/step-*")))

    until(training, "a checkpoint", process)
    os.close(ours)
    os.killpg(process.pid, signal.SIGHUP)
    assert process.wait(PATIENCE) != 0
    until(lambda: not members(process.pid), "the end of all that ran there")
    assert not (workflow.folder / LARGE_BASE / "weights.safetensors").exists()
    assert "train stopped by SIGHUP" in (workflow.folder / LARGE_BASE / "train.log").read_text()
    workflow.run(*PAGES)
    assert "resuming after step" in (workflow.folder / LARGE_BASE / "train.log").read_text()
    assert differing(final(workflow.folder), final(undisturbed.folder)) == []
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
        _lock=threading.Lock(), _open_jobs=threading.Semaphore(0), _user_kill=None, told=None
    )
    scheduler.told = lambda: JobScheduler.told(scheduler)
    with scheduler._lock:
        JobScheduler.exit_gracefully(scheduler, signal.SIGTERM, None)
    assert scheduler._open_jobs.acquire(timeout=60)
    assert scheduler._user_kill == "graceful"


def drained(terminal: int) -> None:
    """Read what stands in a terminal: it holds little, and then whoever writes to it waits."""
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:  # nothing at the moment, or nobody
        return


# --- numbers -----------------------------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number(bench, happened):
    """Weights that grow a hundredfold a step (learning rate times weight decay): fine for a while, then too large for a float."""
    recipe = TRAIN["recipe"] | {
        "lr": 0.05,
        "weight_decay": 2000.0,
        "schedule": "step",
        "warmup": 0.0,
        "momentum": 0.0,
        "nesterov": False,
    }
    result = fixres(
        *bench.command(TRAIN | {"recipe": recipe | {"epochs": 12}}, "--checkpoint-seconds", 0)
    )
    assert result.returncode == 1
    found = re.search(
        r"at step (\d+) \(lr 0\.05\).*last good checkpoint is (\S+)$",
        result.stderr,
        re.DOTALL | re.MULTILINE,
    )
    assert found, result.stderr
    tensors, meta = weights.load(Path(found[2]))
    assert all(t.isfinite().all() for t in tensors.values())
    assert meta["step"] > 1
    assert meta["step"] <= int(found[1]) + 1
    assert not (bench.folder / "weights.safetensors").exists()
    happened(
        "a loss that is no number",
        "training",
        1,
        "stops with the step, the rate and the last checkpoint, whose weights are finite",
    )
