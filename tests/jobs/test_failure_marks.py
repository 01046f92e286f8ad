"""A job that fails leaves a mark beside its result. Nothing else does."""

import signal
import subprocess
import sys

import pytest

from bench import FINETUNE, TRAIN, wait_for
from fixres import __main__
from fixres.graph.pages import failed
from fixres.graph.stages import STAGES
from fixres.jobs import JobError, failures, stopping
from shared import ENVIRONMENT, fixres

LONGER = TRAIN | {"recipe": TRAIN["recipe"] | {"epochs": 100}}
# More images in a batch than there are: the stage refuses it.
IMPOSSIBLE = FINETUNE | {"recipe": FINETUNE["recipe"] | {"batch_size": 4000}}


@pytest.fixture
def is_failed(bench):
    """Whether the plan takes the job in the bench's folder for a failed one; its log is there."""

    def log_of(stage: str):
        (bench.folder / f"{stage}.log").touch()
        name = bench.folder.name
        return failed({name: f"{name}/{stage}.log"}, bench.folder.parent)

    return log_of


def test_a_failed_run_leaves_its_mark_until_it_starts_again(bench, trained, is_failed):
    options = ["--weights", trained.folder / "weights.safetensors"]
    assert fixres(*bench.command(IMPOSSIBLE, *options)).returncode == 1
    assert "batch_size" in (bench.folder / failures.NAME).read_text()
    assert is_failed("finetune") == bench.folder / "finetune.log"
    bench.run(FINETUNE, *options)
    assert not (bench.folder / failures.NAME).exists()
    assert is_failed("finetune") is None


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGUSR1, signal.SIGKILL])
def test_an_interrupted_run_is_not_failed(bench, is_failed, how):
    """The mark of an earlier start has gone, too."""
    (bench.folder / failures.NAME).touch()
    process = bench.start(
        LONGER,
        "--checkpoint-seconds",
        0,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    wait_for(bench.checkpoints, process)
    process.send_signal(how)
    process.communicate(timeout=60)
    expected = {signal.SIGINT: 130, signal.SIGUSR1: stopping.AGAIN, signal.SIGKILL: -how}
    assert process.returncode == expected[how]
    assert not (bench.folder / "weights.safetensors").exists()
    assert is_failed("train") is None


def test_a_deleted_result_is_not_failed(bench, is_failed):
    bench.run(TRAIN)
    (bench.folder / "weights.safetensors").unlink()
    assert is_failed("train") is None


@pytest.mark.parametrize("form", [["--out", "{}"], ["--out={}"], ["--out", "no/x", "--out", "{}"]])
def test_a_bug_leaves_the_mark_and_stays_a_bug(tmp_path, monkeypatch, form):
    def broken(options: list[str]) -> None:
        raise ZeroDivisionError("broken")

    monkeypatch.setattr(__main__, "_import_stage", lambda stage: broken)
    monkeypatch.setattr(stopping, "listen", lambda: None)
    words = [word.format(tmp_path / "weights.safetensors") for word in form]
    with pytest.raises(ZeroDivisionError):
        __main__.main(["train", *words])
    assert (tmp_path / "failed").read_text() == "ZeroDivisionError: broken\n"


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_that_may_fail_alone_leaves_a_mark(tmp_path, monkeypatch, stage):
    """Also memory, activations, sizes, crops, speed and statistics."""

    def broken(options: list[str]) -> None:
        raise JobError("broken")

    monkeypatch.setattr(__main__, "_import_stage", lambda stage: broken)
    monkeypatch.setattr(stopping, "listen", lambda: None)
    assert __main__.main([stage, "--out", str(tmp_path / "metrics.json")]) == 1
    assert (tmp_path / failures.NAME).exists() == STAGES[stage].fails_alone


@pytest.mark.parametrize("stage", ["table", "manifest"])
def test_a_job_without_a_folder_of_its_own_leaves_none(tmp_path, stage):
    mark = failures.Mark(["--out", str(tmp_path / "table5.md")], STAGES[stage].fails_alone)
    mark.write(JobError("message"))
    mark.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_late_process_does_not_remove_the_mark_of_another(tmp_path, monkeypatch):
    mark = failures.Mark(["--out", str(tmp_path / "weights.safetensors")], alone=True)
    mark.write(JobError("message"))
    monkeypatch.setenv("RANK", "1")
    mark.remove()
    assert mark.file.exists()
    monkeypatch.setenv("RANK", "0")
    mark.remove()
    assert not mark.file.exists()


def test_a_mark_that_cannot_be_written_hides_no_error(tmp_path):
    """The message is the job's own, where the folder of the result is not there."""
    command = [sys.executable, "-m", "fixres", "pretrained", "--config", "no.json", "--out"]
    command.append(str(tmp_path / "no folder" / "weights.safetensors"))
    result = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert result.returncode == 1
    assert "no.json: cannot be read" in result.stderr
