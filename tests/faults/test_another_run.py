"""Something else works on the same files: a second Snakemake, a training that replaces weights."""

import json
import os
import subprocess
from pathlib import Path

from bench import EVALUATE, TRAIN
from faults.helpers import (
    PATIENCE,
    different_results,
    job_command,
    jobs_in,
    said_by,
    start,
    unfinished_copy,
    wait_until,
)
from fixres.artifacts import weights
from fixres.models import construct, matching
from shared import ENVIRONMENT, PAGES


def test_two_snakemakes_in_one_folder(undisturbed, tmp_path, happened):
    """The second one refuses to start, and the first one does not notice."""
    workflow = unfinished_copy(undisturbed, tmp_path / "copy")
    first = start(workflow, *PAGES)
    wait_until(lambda: "train" in jobs_in(first.pid).values(), "the training", first)
    second = workflow.run(*PAGES, check=False)
    assert second.returncode != 0
    assert "lock" in second.stdout
    assert first.wait(PATIENCE) == 0, said_by(workflow)
    assert different_results(workflow, undisturbed) == []
    happened(
        "other runs",
        "two Snakemakes in one folder",
        1,
        "the second one stops and says why; the first one ends with the same bytes",
    )


def other_weights(bench) -> Path:
    """Weights of another network that fit."""
    file = bench.folder / "other.safetensors"
    weights.save(file, construct.build("resnet10q", 24, 9).state_dict())
    return file


def test_a_model_that_is_retrained_while_it_is_evaluated(bench, happened):
    """The weights are replaced after the evaluation has read them.

    There are no metrics then, neither of the old weights nor of a mixture.
    """
    bench.run(TRAIN)
    given = bench.folder / "weights.safetensors"
    config = EVALUATE | {"k_test": [24, 32, 48], "ten_crops": [24, 32, 48]}
    words = job_command(*bench.command(config, "--weights", given, out="metrics.json"))
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
    """The narrow moment: after the weights are read, before their digest names the predictions."""
    bench.run(TRAIN)
    given, other = bench.folder / "weights.safetensors", other_weights(bench)
    read = matching.load

    def load(*arguments):
        network = read(*arguments)
        os.replace(other, given)
        return network

    monkeypatch.setattr(matching, "load", load)
    options = ["--weights", given, "--loader", "pillow"]
    assert run_in_fork(*bench.command(EVALUATE, *options, out="metrics.json")) == 1
    assert not (bench.folder / "metrics.json").exists()
    assert not list(bench.folder.glob("predictions/*"))


def run_in_fork(*words: object) -> int:
    """Run a job in a fork of this process, where monkeypatches hold. Returns its exit code."""
    from fixres.__main__ import main

    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = main(list(map(str, words)))
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
