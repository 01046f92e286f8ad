"""A job that is asked to end keeps what it has, and the same command goes on from there."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from bench import EVALUATE, TRAIN, TWO_PROCESSES, Bench, same, wait_for
from fixres.hardware.device import Device
from fixres.jobs import stopping
from fixres.models.checkpoints import Checkpoints
from fixres.stages import sgd
from shared import ENVIRONMENT, alive, children

LONGER = TRAIN | {"recipe": TRAIN["recipe"] | {"epochs": 12, "micro_batch": 6}}
EVERY_STEP = ("--checkpoint-seconds", 0)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tiny) -> dict:
    """The weights of a training that nothing interrupted."""
    bench = Bench(tmp_path_factory.mktemp("undisturbed"), tiny)
    bench.run(LONGER)
    return bench.read()


@pytest.mark.parametrize("number", stopping.SIGNALS, ids=lambda s: s.name)
def test_a_training_that_is_asked_to_end_keeps_its_last_step(bench, undisturbed, number):
    """The same command goes on there, and ends with the same bits."""
    # These tests may run under nohup, which has SIGHUP ignored.
    listening = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)}
    process = bench.start(LONGER, *EVERY_STEP, **listening)
    wait_for(bench.checkpoints, process)
    process.terminate() if number == signal.SIGTERM else process.send_signal(number)
    log = process.communicate(timeout=60)[1]
    assert process.returncode == stopping.AGAIN == os.EX_TEMPFAIL
    assert f"train: stopped by {number.name}. Run the same command again to resume." in log
    assert "Traceback" not in log
    step = max(bench.checkpoints())
    assert f"resuming after step {step} " in bench.run(LONGER).stderr
    assert same(bench.read(), undisturbed)


def test_a_signal_to_a_process_that_has_finished_does_not_change_how_it_ended(tmp_path):
    """It comes when Python has put its own handlers away: from an object that is deleted last."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "class Late:\n"
        f"    def __del__(self, kill=os.kill, pid=os.getpid(), number={signal.SIGTERM:d}):\n"
        "        kill(pid, number)\n"
        "sys.late = Late()\n"
    )
    env = ENVIRONMENT | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"}

    def exit_code(*arguments: str) -> int:
        command = [sys.executable, *arguments]
        return subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=False).returncode

    assert exit_code("-c", "") == -signal.SIGTERM  # the signal does come
    assert exit_code("-m", "fixres", "schema") == 0


def test_the_signal_makes_a_checkpoint_of_the_step_that_it_came_in(tmp_path, monkeypatch):
    """No checkpoint is due for an hour. The signal comes while the fifth batch is loaded."""
    handlers = {number: signal.getsignal(number) for number in stopping.SIGNALS}
    monkeypatch.setattr(stopping, "_asked", None)

    def stream(first: int):
        for step in range(first, 60):
            if step == 4:
                os.kill(os.getpid(), signal.SIGUSR1)
            yield (torch.ones(4, 2),), torch.zeros(4, dtype=torch.long)

    network, checkpoints = torch.nn.Linear(2, 3), Checkpoints(tmp_path / "checkpoints", "key")
    recipe = TRAIN["recipe"] | {"epochs": 2, "batch_size": 4}
    cpu = Device(torch.device("cpu"), "fp32")
    how = sgd.Optimisation(recipe, 30, sgd.Batch(4, 1, 1), cpu)
    try:
        stopping.listen()
        with pytest.raises(stopping.Stopped, match="SIGUSR1"):
            sgd.fit(network, network, stream, how, checkpoints, 3600)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    [file] = (tmp_path / "checkpoints").iterdir()
    assert file.name == "step-000000005.safetensors"


@pytest.mark.parametrize("who", ["the one that watches", "the second process"])
def test_several_processes_end_together(bench, who):
    process = bench.start(LONGER, *TWO_PROCESSES, *EVERY_STEP)
    wait_for(bench.checkpoints, process)
    watches = who == "the one that watches"
    os.kill(process.pid if watches else children(process.pid)[1], signal.SIGUSR1)
    log = process.communicate(timeout=60)[1]
    assert process.returncode == stopping.AGAIN, log
    assert "train: stopped by " in log
    assert "Traceback" not in log
    step = max(bench.checkpoints())
    assert f"resuming after step {step} " in bench.run(LONGER).stderr


def test_an_evaluation_that_is_asked_to_end_ends(bench, trained):
    config = EVALUATE | {"k_test": [8 * k for k in range(3, 40)]}
    process = bench.start(config, "--weights", trained.folder / "weights.safetensors")
    first = process.stderr.readline() + process.stderr.readline()  # it listens before it logs
    assert "device" in first
    process.send_signal(signal.SIGUSR1)
    assert "evaluate: stopped by SIGUSR1" in process.communicate(timeout=60)[1]
    assert process.returncode == stopping.AGAIN
    assert not (bench.folder / "weights.safetensors").exists()


def test_a_signal_that_nohup_ignores_is_ignored(bench):
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = bench.start(TRAIN, *EVERY_STEP, preexec_fn=ignore)
    wait_for(bench.checkpoints, process)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_job_ends_with_the_snakemake_that_started_it(bench):
    """The process that started the job, and says so, is killed. The job keeps its last step."""
    command = [sys.executable, "-m", "fixres", *map(str, bench.command(LONGER, *EVERY_STEP))]
    code = (
        "import os, subprocess, sys; os.environ['FIXRES_SNAKEMAKE'] = str(os.getpid()); "
        "job = subprocess.Popen(sys.argv[1:]); print(job.pid, flush=True); job.wait()"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code, *command], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    job = int(starter.stdout.readline())
    wait_for(bench.checkpoints, starter)
    starter.kill()
    starter.wait()
    deadline = time.monotonic() + 30
    while alive(job) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(job)
    assert not (bench.folder / "weights.safetensors").exists()
    assert "resuming after step" in bench.run(LONGER).stderr
