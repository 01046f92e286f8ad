"""Bad configurations, failed jobs and interruptions of a whole workflow."""

import os
import re
import signal
import subprocess
import time

import pytest
from small import ADAPTED, BASES, SMALL, finetunes, merged

from fixres.artifacts import weights
from shared import PAGES, Workflow


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_an_interrupted_workflow_ends_with_the_same_bytes(finished, tmp_path, how):
    """Snakemake and its jobs are stopped in the middle of a training; then comes the same command.

    Where Snakemake was killed, --unlock stands between the two.
    """
    workflow = Workflow(tmp_path)
    workflow.write(SMALL)
    process = subprocess.Popen(
        workflow.command(*PAGES),
        cwd=tmp_path,
        env=workflow.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # a shell's background jobs ignore it, and so would Snakemake
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("results/runs/set/*/checkpoints/step-*")):
        assert process.poll() is None, "finished before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, how)
    assert process.wait(60) != 0
    if how == signal.SIGKILL:
        workflow.run("--unlock")
    workflow.run(*PAGES)
    for path in ["table5.csv", *(f"{run}/weights.safetensors" for run in [*BASES, *ADAPTED])]:
        assert (tmp_path / "results" / path).read_bytes() == (
            finished.folder / "results" / path
        ).read_bytes(), path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("base_training: {epoch: 3}", "Did you mean 'epochs'?"),
        ("fine_tuning: {lr: 1e-3}", "without quotes"),
        ("table5: {k_test: [30]}", "Use 24 or 32"),
        ("seed: 1\nseed: 2", "first set on line 1"),
    ],
)
def test_a_bad_config_stops_snakemake_with_one_message(tmp_path, content, expected):
    workflow = Workflow(tmp_path)
    workflow.write({}, text=content)
    result = workflow.run("-n", check=False)
    assert result.returncode != 0
    assert expected in result.stdout
    assert "Traceback" not in result.stdout


def test_values_of_the_command_line_are_read_like_those_of_a_file(tmp_path):
    """One dry run takes them all; one with a wrong key has the message that a file would get."""
    workflow = Workflow(tmp_path)
    workflow.write(merged(base_training={"samples_per_epoch": 24}))
    given = ["base_training={samples_per_epoch: null, epochs: 2}", "twins=true"]
    lists = "table5={k_train: [16], k_train_adapted: [], k_test: [16]}"
    text = workflow.dry_run(*PAGES, "--config", *given, lists)
    counts = dict(re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE))
    assert (counts["train"], counts["evaluate"]) == ("1", "1")
    assert "finetune" not in counts
    wrong = workflow.run(*PAGES, "-n", "--config", "base_training={epochs: 1.5}", check=False)
    assert wrong.returncode != 0
    assert "config.yaml + --config" in wrong.stdout
    assert "base_training.epochs: invalid value (got 1.5 of type float" in wrong.stdout
    assert "Traceback" not in wrong.stdout


def test_a_failed_job_keeps_what_is_finished(done):
    """A fine-tuning cannot start: the error names the key, and the base trainings stay.

    Mending the key runs the rest alone.
    """
    done.write(merged(fine_tuning={"batch_size": 4000}))
    result = done.run(*PAGES, "--keep-going", check=False)
    assert result.returncode != 0
    assert "fine_tuning.batch_size" in result.stdout
    assert (done.folder / f"results/{BASES[0]}/weights.safetensors").exists()
    done.write(merged(fine_tuning={"batch_size": 12}))
    assert {rule for rule, _ in done.planned()} == {"finetune", "evaluate", "table", "figure"}


def test_a_damaged_manifest_is_told_by_the_job_that_reads_it(done):
    """The estimate of the time reads it, too: it says that it knows nothing, and stops no run."""
    (done.folder / "results/data/set/manifest.npz").write_bytes(b"damaged")
    result = done.run(*PAGES, check=False)
    assert result.returncode != 0
    assert "duration unknown" in result.stdout
    assert "error in train: results/data/set/manifest.npz: damaged" in result.stdout
    assert "Traceback" not in result.stdout


def test_failed_cells_are_shown_only_when_asked_for(done):
    """With pages.allow_failed the page shows what is there, and run and log of what failed.

    Without it, the run is tried again.
    """
    done.write(merged(fine_tuning={"batch_size": 4000}))
    assert done.run(*PAGES, "--keep-going", check=False).returncode != 0
    done.write(merged(fine_tuning={"batch_size": 4000}, pages={"allow_failed": True}))
    assert done.planned("results/table5.md") == {("table", "table5.md")}
    done.run("results/table5.md")
    page = (done.folder / "results/table5.md").read_text()
    assert page.count("missing [") == 2  # k_train 16, adapted at 16 and 32
    for k in (16, 32):
        run = f"runs/set/resnet10q-k16/ft-k{k}-cls+bn-testda"
        assert f"{run} failed; see results/{run}/finetune.log" in page
    done.write(merged(fine_tuning={"batch_size": 12}))
    assert ("table", "table5.md") in done.planned("results/table5.md")
    assert finetunes(ADAPTED) <= done.planned("results/table5.md")


def test_every_job_leaves_a_log_and_a_benchmark(finished):
    for run, name in [(BASES[0], "train"), (ADAPTED[0], "finetune")]:
        folder = finished.folder / "results" / run
        assert "images/s" in (folder / f"{name}.log").read_text()
        assert (folder / f"{name}.benchmark.tsv").read_text().startswith("s\t")
    assert (
        weights.load(finished.folder / "results" / BASES[0] / "weights.safetensors")[1]["run"]
        == BASES[0]
    )
