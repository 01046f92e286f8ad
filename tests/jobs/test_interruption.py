"""A job that is asked to end keeps what it has; one whose inputs change under it publishes nothing; a diverging one says where."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from bench import EVALUATE, FINETUNE, TRAIN, Bench, same
from fixres import jobs
from fixres.jobs import stopping
from fixres.jobs.device import Device
from fixres.models import weights
from fixres.models.checkpoints import Checkpoints
from fixres.stages import sgd
from shared import ENVIRONMENT, alive, children

LONGER = TRAIN | {"recipe": TRAIN["recipe"] | {"epochs": 12, "micro_batch": 6}}
TWO = ("--processes", 2, "--threads", 2)


def start(bench: Bench, config: dict, *options: object, **how: object) -> subprocess.Popen:  # noqa: F811
    command = [sys.executable, "-m", "fixres", *map(str, bench.command(config, *options))]
    return subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT | {"TMPDIR": str(bench.folder)},
        **how,
    )


def wait_for(condition, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kept(bench: Bench) -> set[int]:  # noqa: F811
    """The steps that checkpoints were written after."""
    return {
        int(file.stem.removeprefix("step-"))
        for file in (bench.folder / "checkpoints").glob("step-*")
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tiny) -> dict:
    made = Bench(tmp_path_factory.mktemp("undisturbed"), tiny)
    made.run(LONGER)
    return made.read()


@pytest.mark.parametrize("number", stopping.SIGNALS, ids=lambda s: s.name)
def test_a_training_that_is_asked_to_end_keeps_its_last_step(bench, undisturbed, number):  # noqa: F811
    """The same command goes on there, and ends with the same bits."""
    process = start(bench, LONGER, "--checkpoint-seconds", 0)
    wait_for(lambda: kept(bench), process)
    process.terminate() if number == signal.SIGTERM else process.send_signal(number)
    log = process.communicate(timeout=60)[1]
    assert process.returncode == stopping.AGAIN == os.EX_TEMPFAIL
    assert f"train stopped by {number.name}; the same command goes on where it was" in log
    assert "Traceback" not in log
    step = max(kept(bench))
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
    assert (
        subprocess.run([sys.executable, "-c", ""], env=env, check=False).returncode
        == -signal.SIGTERM
    )  # it does come
    assert (
        subprocess.run(
            [sys.executable, "-m", "fixres", "schema"],
            env=env,
            stdout=subprocess.DEVNULL,
            check=False,
        ).returncode
        == 0
    )


def test_the_signal_makes_a_checkpoint_of_the_step_that_it_came_in(tmp_path, monkeypatch):
    """With none due for an hour: the signal comes while the fifth batch is loaded, and stands after its step."""
    handlers = {number: signal.getsignal(number) for number in stopping.SIGNALS}
    monkeypatch.setattr(stopping, "_asked", None)

    def stream(first: int):
        for step in range(first, 60):
            if step == 4:
                os.kill(os.getpid(), signal.SIGUSR1)
            yield (torch.ones(4, 2),), torch.zeros(4, dtype=torch.long)

    recipe = TRAIN["recipe"] | {"epochs": 2, "batch_size": 4}
    network, checkpoints = Diverging(-1), Checkpoints(tmp_path / "checkpoints", "key")
    try:
        stopping.listen()
        with pytest.raises(stopping.Stopped, match="SIGUSR1"):
            sgd.fit(
                network,
                network,
                stream,
                recipe,
                30,
                checkpoints,
                3600,
                Device(torch.device("cpu"), "fp32"),
                sgd.Batch(4, 1, 1),
            )
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert [file.name for file in (tmp_path / "checkpoints").iterdir()] == [
        "step-000000005.safetensors"
    ]


@pytest.mark.parametrize("who", ["the one that watches", "the second process"])
def test_several_processes_end_together(bench, who):  # noqa: F811
    process = start(bench, LONGER, *TWO, "--checkpoint-seconds", 0)
    wait_for(lambda: kept(bench), process)
    os.kill(
        process.pid if who == "the one that watches" else children(process.pid)[1], signal.SIGUSR1
    )
    log = process.communicate(timeout=60)[1]
    assert process.returncode == stopping.AGAIN, log
    assert "train stopped by " in log
    assert "Traceback" not in log
    assert f"resuming after step {max(kept(bench))} " in bench.run(LONGER).stderr


def test_an_evaluation_that_is_asked_to_end_ends(bench, trained):  # noqa: F811
    config = EVALUATE | {"k_test": [8 * k for k in range(3, 40)]}
    process = start(bench, config, "--weights", trained.folder / "weights.safetensors")
    first = process.stderr.readline() + process.stderr.readline()  # it listens before it logs
    assert "device" in first
    process.send_signal(signal.SIGUSR1)
    assert "evaluate stopped by SIGUSR1" in process.communicate(timeout=60)[1]
    assert process.returncode == stopping.AGAIN
    assert not (bench.folder / "weights.safetensors").exists()


def test_a_signal_that_nohup_ignores_is_ignored(bench):  # noqa: F811
    process = start(
        bench,
        TRAIN,
        "--checkpoint-seconds",
        0,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    wait_for(lambda: kept(bench), process)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_job_ends_with_the_snakemake_that_started_it(bench):  # noqa: F811
    """The process that started it, and says so, is killed: the job is told, keeps its last step and ends."""
    command = [
        sys.executable,
        "-m",
        "fixres",
        *map(str, bench.command(LONGER, "--checkpoint-seconds", 0)),
    ]
    code = (
        "import os, subprocess, sys; os.environ['FIXRES_SNAKEMAKE'] = str(os.getpid()); "
        "job = subprocess.Popen(sys.argv[1:]); print(job.pid, flush=True); job.wait()"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code, *command], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    number = int(starter.stdout.readline())
    wait_for(lambda: kept(bench), starter)
    starter.kill()
    starter.wait()
    deadline = time.monotonic() + 30
    while alive(number) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(number)
    assert not (bench.folder / "weights.safetensors").exists()
    assert "resuming after step" in bench.run(LONGER).stderr


# --- inputs that change ------------------------------------------------------------------------------------------------------


def replaced(file, content: bytes) -> None:
    with jobs.atomic(file) as temporary:
        temporary.write_bytes(content)


@pytest.mark.parametrize("which", ["config.json", "manifest.npz", "base.safetensors"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_nothing_is_published_when_an_input_changes(bench, trained, which, how):  # noqa: F811
    """A fine-tuning under way while its configuration, its images or its starting point change."""
    (bench.folder / "base.safetensors").write_bytes(
        (trained.folder / "weights.safetensors").read_bytes()
    )
    config = FINETUNE | {"recipe": FINETUNE["recipe"] | {"epochs": 400}}
    process = start(
        bench, config, "--weights", bench.folder / "base.safetensors", "--checkpoint-seconds", 0
    )
    wait_for(lambda: kept(bench), process)
    if how == "gone":
        (bench.folder / which).unlink()
    else:
        replaced(bench.folder / which, (bench.folder / which).read_bytes() + b"\n")
    log = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert (
        f"{bench.folder / which}: {how} while this job ran; nothing was written. Give the same command again"
        in log
    )
    assert not (bench.folder / "weights.safetensors").exists()


def test_the_same_content_again_is_no_change(bench, trained):  # noqa: F811
    """As when a rule has run again and written what was there."""
    process = start(bench, TRAIN, "--checkpoint-seconds", 0)
    wait_for(lambda: kept(bench), process)
    replaced(bench.folder / "config.json", (bench.folder / "config.json").read_bytes())
    assert process.wait(60) == 0, process.stderr.read()


def test_a_configuration_that_is_not_the_planned_one_is_refused(bench):  # noqa: F811
    """What Snakemake planned comes as a digest; a changed rate in the file is seen."""
    planned = f"{jobs.digest(jobs.canonical(TRAIN))}.{jobs.digest()}"
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "fixres",
            *map(str, bench.command(TRAIN | {"seed": 1}, "--ancestry-digest", planned)),
        ],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert result.returncode == 1
    assert f"{bench.folder / 'config.json'}: not what Snakemake planned" in result.stderr
    bench.run(TRAIN, "--ancestry-digest", planned)


@pytest.mark.parametrize(
    "content", [{"top1": 77.1, "k_test": {"56": {"top1": 1 / 3}}, "notes": ["é"]}, {}]
)
def test_results_carry_a_digest(tmp_path, content):
    file = tmp_path / "metrics.json"
    jobs.write_json(file, content)
    assert jobs.read_json(file) == json.loads(json.dumps(content))
    whole = file.read_bytes()
    for position in range(len(whole)):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        try:
            assert jobs.read_json(file) == json.loads(json.dumps(content))  # white space
        except ValueError:
            continue
        file.write_bytes(whole[:position])
        with pytest.raises(ValueError):  # noqa: PT011 (JSON's or the digest's)
            jobs.read_json(file)


# --- divergence --------------------------------------------------------------------------------------------------------------


class Diverging(torch.nn.Module):
    """Its loss is no number at one step."""

    def __init__(self, at: int):
        super().__init__()
        self.weight, self.at, self.step = torch.nn.Parameter(torch.ones(3, 2)), at, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.step += 1
        return x @ self.weight.T * (float("nan") if self.step - 1 == self.at else 1.0)


@pytest.mark.parametrize("at", [0, 7, 19, 20, 33])
@pytest.mark.parametrize("seconds", [0.0, 3600.0])
def test_a_loss_that_is_no_number_is_told_with_step_rate_and_last_good_checkpoint(
    tmp_path, at, seconds
):
    recipe = TRAIN["recipe"] | {
        "epochs": 2,
        "batch_size": 4,
        "schedule": "triangle",
        "warmup": 0.0,
        "lr": 0.5,
    }
    network, checkpoints = Diverging(at), Checkpoints(tmp_path / "checkpoints", "key")
    stream = lambda first: iter([((torch.ones(4, 2),), torch.zeros(4, dtype=torch.long))] * 60)  # noqa: E731
    with pytest.raises(jobs.JobError) as raised:
        sgd.fit(
            network,
            network,
            stream,
            recipe,
            30,
            checkpoints,
            seconds,
            Device(torch.device("cpu"), "fp32"),
            sgd.Batch(4, 1, 1),
        )
    rate = sgd.learning_rate(recipe, at, 30)
    assert f"the loss is nan at step {at} (lr {rate:.4g})" in str(raised.value)
    files = sorted((tmp_path / "checkpoints").glob("*"))
    if seconds or at == 0:
        assert "no checkpoint was written before" in str(raised.value)
        assert files == []
    else:
        assert files[-1].name == f"step-{at:09d}.safetensors"  # the state before the step
        assert f"the last good checkpoint is {files[-1]}" in str(raised.value)
        assert all(t.isfinite().all() for t in weights.load(files[-1])[0].values())


def test_weights_that_are_no_numbers_are_never_kept(tmp_path):
    """The loss is finite, its gradient is not: the next loss would tell, but the checkpoint comes first."""
    network = Diverging(-1)
    network.weight.register_hook(lambda gradient: gradient * float("inf"))
    checkpoints = Checkpoints(tmp_path / "checkpoints", "key")
    stream = lambda first: iter([((torch.ones(4, 2),), torch.zeros(4, dtype=torch.long))] * 3)  # noqa: E731
    recipe = TRAIN["recipe"] | {"epochs": 1, "batch_size": 4}
    with pytest.raises(jobs.JobError, match="some weights are no finite numbers at step 0"):
        sgd.fit(
            network,
            network,
            stream,
            recipe,
            3,
            checkpoints,
            0.0,
            Device(torch.device("cpu"), "fp32"),
            sgd.Batch(4, 1, 1),
        )
    assert checkpoints.newest() is None
