"""A full disk, in every stage that writes.

The error names the file, nothing half written is left, and with room the same command gives the
same bytes.
"""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from safetensors.torch import load_file

from bench import TRAIN, same
from faults.helpers import (
    ADAPTED,
    DATA,
    LARGE_BASE,
    SMALL_BASE,
    Disk,
    differing,
    fresh_workflow,
    job_command,
    smoke_plan,
)
from fixres import paper
from fixres.artifacts import weights
from fixres.graph.claims import code_of
from fixres.jobs import failures
from fixres.models import construct, export
from fixres.models.catalogue import zoo
from fixres.models.custom import find
from shared import ENVIRONMENT, Workflow, fixres, without_speed

NO_SPACE = "No space left on device"
IMAGES = ("--manifest", f"{DATA}/manifest.npz", "--threads", 1)
SMALL, LARGE = (("--weights", f"{base}/weights.safetensors") for base in (SMALL_BASE, LARGE_BASE))
RESULTS = ("--results", "results/")


class Stage(NamedTuple):
    """A job that is run by hand and reads the files of the undisturbed run."""

    config: str | dict  # a file of that run, or its content where the run has no such file
    options: tuple  # a word with a slash is a file of that run
    out: str
    last: str = ""  # the file that the stage writes last, where this is not `out`


MATCH = {
    "version": 1,
    "seed": 0,
    "network": "resnet10q",
    "k_train": 16,
    "k_test": 32,
    "model": "gaussian",
    "images": 120,
}
SUMMARY = {"version": 1, "scale": "smoke", "tables": ["table5"]}
REPORT = {"version": 1, "scale": "smoke", "first": "figure5", "jobs": {}, "work": []}
REPORT |= {"configuration": {"twins": True}}
REPORT |= {"pages": {"table5": ["table", ""], "figure5": ["figure", ""]}}
REPORT |= {"sections": [{"title": "5.1", "about": "A", "pages": ["figure5", "table5"]}]}
NO_CELLS = {"version": 1, "scale": "smoke", "decimals": 1, "cells": {}, "may_have_failed": {}}
NO_CELLS |= {"names": {}}
CLAIMS = {"notes": {"recover": "weights"}, "code": code_of(paper.CLAIMS[1:2])}
NUMBERS = {"notes": {"ra": "weights"}, "code": code_of(paper.QUOTED[1:2])}
PRETRAINED = {"version": 1, "network": "resnet10q", "classes": 24}
STAGES = {
    "render": Stage(
        f"{DATA}/render/config.json", ("--threads", 2), "rendered", "rendered/objects.csv"
    ),
    "manifest": Stage(
        f"{DATA}/manifest/config.json",
        ("--root", f"{DATA}/rendered", "--threads", 1),
        "manifest.npz",
    ),
    "pretrained": Stage(PRETRAINED, (), "weights.safetensors"),
    "train": Stage(f"{SMALL_BASE}/config.json", IMAGES, "weights.safetensors", "log.csv"),
    "match": Stage(MATCH, (*IMAGES, *SMALL), "weights.safetensors"),
    "finetune": Stage(
        f"{ADAPTED}/config.json", (*IMAGES, *SMALL), "weights.safetensors", "log.csv"
    ),
    "evaluate": Stage(f"{LARGE_BASE}/evaluation/config.json", (*IMAGES, *LARGE), "metrics.json"),
    "activations": Stage({}, (*IMAGES, *LARGE), "metrics.json"),
    "time": Stage({}, IMAGES, "metrics.json"),
    "memory": Stage({}, IMAGES, "metrics.json"),
    "sizes": Stage({}, IMAGES[:2], "metrics.json"),
    "crops": Stage({}, IMAGES[:2], "crops.npz"),
    "table": Stage("results/pages/table5/config.json", RESULTS, "table5.md", "table5.trends.csv"),
    "summary": Stage(SUMMARY, RESULTS, "summary.md", "summary.html"),
    "claims": Stage(NO_CELLS | CLAIMS, RESULTS, "claims.md", "claims.comparisons.csv"),
    "text": Stage(NO_CELLS | NUMBERS, RESULTS, "text.md", "text.html"),
    "cost": Stage({}, RESULTS, "plan.md"),
    "report": Stage(REPORT, RESULTS, "report.html"),
    "figure": Stage("results/pages/figure5/config.json", RESULTS, "figure5.svg", "figure5.png"),
}


class Outcome(NamedTuple):
    """What a stage did on a disk with room for half of its files, and then with room for all."""

    folder: Path
    full: subprocess.CompletedProcess
    left: dict[str, bytes]  # files after the failure
    again: subprocess.CompletedProcess
    made: dict[str, bytes]  # files in the end
    expected: dict[str, bytes]


def command(stage: str, run: Workflow, work: Path, out: Path) -> list:
    """The arguments of a stage. A configuration that the run lacks is written into `work`."""
    content, options, name, _ = STAGES[stage]
    if isinstance(content, str):
        file = run.folder / content
    else:
        file = work / f"{stage}.json"
        file.write_text(json.dumps({"stage": stage, "run": stage} | configured(stage, run)))
    words = (run.folder / word if "/" in str(word) else word for word in options)
    return [stage, "--config", file, *words, "--out", out / name]


def configured(stage: str, run: Workflow) -> dict:
    """The configuration of a stage that has no file in the run; an empty one is the plan's."""
    content = STAGES[stage].config
    if not content:
        content = smoke_plan().of_stage(stage)[0].config
    if stage == "pretrained":
        content = content | {"source": {"file": str(run.folder / SMALL[1])}}
    return content


def files(folder: Path) -> dict[str, bytes]:
    """Path -> content of all files in a folder, without the filler of a disk.

    The log of a training is without its speed.
    """
    return {
        str(p.relative_to(folder)): without_speed(p.read_bytes())
        if p.name == "log.csv"
        else p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != "filler"
    }


def run_on_full_disk(stage: str, run: Workflow, work: Path, disk: Disk) -> Outcome:
    """Run a stage in peace, then with room for half of its files, then with room for all."""
    out = work / "in peace" / disk.folder.name  # a manifest says in which folder it lies
    peaceful = fixres(*command(stage, run, work, out))
    assert peaceful.returncode == 0, peaceful.stderr
    expected = files(out)
    disk.fill(leave=sum(map(len, expected.values())) // 2)
    words = command(stage, run, work, disk.folder)
    full, left = fixres(*words), files(disk.folder)
    disk.make_room()
    return Outcome(disk.folder, full, left, fixres(*words), files(disk.folder), expected)


@pytest.fixture(scope="module")
def outcomes(undisturbed, tmp_path_factory) -> dict[str, Outcome]:
    """Stage -> outcome, two stages at a time."""
    work, disks = tmp_path_factory.mktemp("full"), {}

    def outcome(stage: str) -> Outcome:
        return run_on_full_disk(stage, undisturbed, work, disks[stage])

    try:
        for stage in STAGES:
            disks[stage] = Disk(work / f"disk of {stage}", 8_000_000)
        with ThreadPoolExecutor(2) as pool:
            return dict(zip(STAGES, pool.map(outcome, STAGES), strict=True))
    finally:
        for disk in disks.values():
            disk.close()


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk(outcomes, stage, happened):
    """One message with the file's name, and no file that a later step would take for whole.

    With room, the stage writes what an undisturbed one writes.
    """
    folder, full, left, again, made, expected = outcomes[stage]
    assert full.returncode == 1
    assert f"error in {stage}: {folder}/" in full.stderr
    assert NO_SPACE in full.stderr
    assert "Traceback" not in full.stderr
    assert (STAGES[stage].last or STAGES[stage].out) not in left
    if stage != "render":  # Snakemake deletes a folder whose job failed
        kept = [name for name in left if not name.startswith("checkpoints/")]
        kept = [name for name in kept if name != failures.NAME]  # the mark: it may be empty
        assert [name for name in kept if left[name] != expected.get(name)] == []
    assert again.returncode == 0, again.stderr
    if stage == "time":  # times differ from run to run
        assert made.keys() == expected.keys()
    else:
        assert differing(made, expected) == []
    what = "its result" if stage == "time" else "the undisturbed bytes"
    happened(
        "full disk",
        stage,
        1,
        f"an error that names the file, nothing half written; with room, the same command: {what}",
    )


def test_no_room_for_a_second_checkpoint(bench, disk, happened):
    """The first checkpoint stays whole.

    With room, the training goes on from it and ends with the undisturbed bits.
    """
    small = disk("small", 4_000_000)  # a checkpoint takes 2.4 MB
    out = small.folder / "weights.safetensors"
    bench.run(TRAIN)
    words = [*bench.command(TRAIN), "--out", out, "--checkpoint-seconds", 0]
    full = fixres(*words)
    assert full.returncode == 1
    assert f"error in train: {small.folder}/checkpoints/step-" in full.stderr
    assert NO_SPACE in full.stderr
    [kept] = (small.folder / "checkpoints").iterdir()
    assert weights.load(kept)[1]["step"] == 1
    assert not out.exists()
    small.make_room()
    again = fixres(*words)
    assert again.returncode == 0, again.stderr
    assert "resuming after step 1 " in again.stderr
    assert same(weights.load(out)[0], bench.read())
    happened(
        "full disk",
        "a second checkpoint",
        1,
        "an error that names it; with room, training goes on from the first",
    )


def test_snakemake_on_a_full_disk(undisturbed, disk, happened):
    """Results, logs and Snakemake's own records on one disk, which fills up during a training."""
    small, target = disk("whole", 3_300_000), f"{SMALL_BASE}/weights.safetensors"
    workflow = fresh_workflow(small.folder)
    result = workflow.run(target, check=False)
    assert result.returncode != 0
    assert NO_SPACE in result.stdout
    assert not (small.folder / target).exists()
    small.make_room()
    workflow.run(target)
    assert (small.folder / target).read_bytes() == (undisturbed.folder / target).read_bytes()
    happened(
        "full disk",
        "results, logs and Snakemake's records",
        1,
        "an error; with room, the same command: the undisturbed bytes",
    )


def test_an_error_that_finds_no_room_in_the_log_is_told_on_stdout(undisturbed, disk, tmp_path):
    small = disk("small", 100_000)
    small.fill(leave=0)
    words = job_command(*command("manifest", undisturbed, tmp_path, small.folder))
    with open(os.open(small.folder / "log", os.O_WRONLY | os.O_CREAT), "w") as log:
        done = subprocess.run(
            words, stdout=subprocess.PIPE, stderr=log, text=True, env=ENVIRONMENT, check=False
        )
    assert done.returncode != 0
    assert NO_SPACE in done.stdout


def test_an_export_on_a_full_disk(disk, happened):
    """Of a network for other programs (stages/export.py), which other libraries write."""
    found = find("timm:test_resnet", "none").model_dump()
    network = construct.build(zoo.entry_of({"network": "mine", "entry": found}), 4, 0)
    chosen = {"k_test": 96, "crop_pct": 1.0, "top1": 50.0, "method": "classifier", "run": "a"}
    small = disk("small", 8_000_000)
    out = small.folder / "fixed"
    rooms = [0, 2_000, 100_000]  # bytes, for: nothing, a part of config.json, a part of the weights
    for room in rooms:
        small.fill(leave=room)
        with pytest.raises(OSError, match=NO_SPACE) as error:
            export.export(out, network, found, tuple("abcd"), chosen)
        assert str(error.value.filename).startswith(str(small.folder))
        assert not (out / "model.safetensors").exists()
        assert list(small.folder.rglob(".*")) == []
        (small.folder / "filler").unlink()
    export.export(out, network, found, tuple("abcd"), chosen)
    assert same(load_file(out / "model.safetensors"), network.state_dict())
    happened(
        "full disk", "export", len(rooms), "an error that names the file; with room, the network"
    )
