"""A result counts as current only if it was made from what is planned, whatever Snakemake knows.

Nothing here is about dates or about `.snakemake`: both may be wrong, or gone.
"""

import base64
import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest
from small import ADAPTED, BASES, PAGE_JOBS, SMALL, evaluates, finetunes, merged

from fixres import config, paper
from fixres.artifacts import manifest
from fixres.graph import current
from fixres.jobs import sealing, seals
from shared import PAGES, Workflow

TRAINS = {("train", f"{base}/weights.safetensors") for base in BASES}
AFTER_AN_EDIT = TRAINS | finetunes(ADAPTED) | evaluates([*BASES, *ADAPTED]) | PAGE_JOBS
EDITED = merged(base_training={"epochs": 3})
OF_DATES = ("--rerun-triggers", "mtime")


def unseal(workflow: Workflow) -> None:
    """Make the results those of a version of the suite that wrote no seals."""
    for file in (workflow.folder / "results").rglob(seals.NAME):
        file.unlink()


def forget(workflow: Workflow) -> None:
    """What people do when Snakemake complains of its records."""
    shutil.rmtree(workflow.folder / ".snakemake")


def put(file: Path, place: Path) -> None:
    """Copy a file over another one, whose date it gets."""
    date = place.stat().st_mtime_ns
    place.write_bytes(file.read_bytes())
    os.utime(place, ns=(date, date))


@pytest.mark.parametrize("how", ["records deleted", "triggers of dates alone", "copied"])
def test_an_edit_is_seen(done, tmp_path, how):
    more = OF_DATES if how == "triggers of dates alone" else ()
    if how == "records deleted":
        forget(done)
    elif how == "copied":
        other = Workflow(tmp_path / "other")
        shutil.copytree(done.folder / "results", other.folder / "results")
        done = other
        done.write(SMALL)
    assert done.planned(*PAGES, *more) == set()
    done.write(EDITED)
    assert done.planned(*PAGES, *more) == AFTER_AN_EDIT


def test_an_edit_is_seen_where_half_of_the_records_are_lost(done):
    """Snakemake compares nothing unless it has a record of every output of a job."""
    for base in BASES:
        file = f"results/{base}/log.csv".encode()
        (done.folder / ".snakemake/metadata" / base64.urlsafe_b64encode(file).decode()).unlink()
    done.write(EDITED)
    assert done.planned() == AFTER_AN_EDIT


def test_an_edit_that_was_interrupted_is_seen_without_records(done):
    """The resolved configurations of the first jobs are those of the edit, their results are not.

    Then the bases are trained, and Snakemake's records are lost once more.
    """
    done.write(EDITED)
    for base in BASES:
        (done.folder / f"results/{base}/config.json").write_text(done.resolved(base))
    forget(done)
    result = done.run(*(f"results/{base}/weights.safetensors" for base in BASES))
    assert (
        f"results/{BASES[0]}: made from another configuration, so it is made again" in result.stdout
    )
    forget(done)
    assert done.planned() == AFTER_AN_EDIT - TRAINS


def test_results_of_an_earlier_version_are_taken_over_where_all_agrees(done):
    unseal(done)
    assert done.planned() == set()
    assert not list((done.folder / "results").rglob(seals.NAME)), "a dry run writes nothing"
    done.run(*PAGES)
    forget(done)
    assert done.planned() == set()


def test_they_are_taken_over_though_the_rules_had_other_commands(done):
    unseal(done)
    for record in (done.folder / ".snakemake/metadata").rglob("*"):
        if record.is_file():
            content = json.loads(record.read_text())
            params = [param for param in content["params"] if "runs/" not in param]
            record.write_text(json.dumps(content | {"code": "another command", "params": params}))
    assert done.planned() == set()
    done.run(*PAGES)
    assert done.planned() == set()
    done.write(EDITED)
    assert done.planned() == AFTER_AN_EDIT


def test_touching_results_vouches_for_nothing(done):
    unseal(done)
    done.write(EDITED)
    done.run(*PAGES, "--touch")
    assert done.planned() == AFTER_AN_EDIT


def test_results_that_nothing_vouches_for_are_made_again(done):
    """A configuration beside a result may have been written for a run that was interrupted."""
    unseal(done)
    forget(done)
    data = {("render", "data/set/rendered"), ("manifest", "data/set/manifest.npz")}
    assert done.planned() == data | AFTER_AN_EDIT


def test_a_result_that_was_made_by_hand_is_made_again(done):
    folder = f"results/{BASES[0]}/evaluation"
    words = ["evaluate", "--config", f"{folder}/config.json", "--out", f"{folder}/metrics.json"]
    words += ["--weights", f"results/{BASES[1]}/weights.safetensors", "--threads", "1"]
    words += ["--manifest", "results/data/set/manifest.npz"]
    done.by_hand(*words)
    assert seals.read(done.folder / folder).made_from == ""
    assert done.planned(*PAGES, *OF_DATES) == evaluates([BASES[0]]) | PAGE_JOBS


def test_other_images_are_seen_whatever_their_date(done):
    """As after `relist`, and then a copy that gives all files new dates."""
    results = done.folder / "results"
    graph = paper.plan_of(config.load(done.folder / "config.yaml"))
    asked = [graph.job(name) for name in (BASES[0], f"{BASES[0]}/evaluation", "pages/table5")]

    def differing() -> dict:
        return current.compare(graph, asked, results, {}.get, write=False).differing

    assert differing() == {}
    file = results / "data/set/manifest.npz"
    listed = manifest.read(file)
    dataclasses.replace(listed, folder=Path("moved")).save(file)
    sealing.renew(file, same=True)
    assert differing() == {}
    dataclasses.replace(listed, label=listed.label[::-1]).save(file)
    sealing.renew(file, same=False)
    why = "made from another results/data/set/manifest.npz"
    assert differing() == dict.fromkeys(asked[:2], why)


# --- valid files of other jobs --------------------------------------------------------------------


@pytest.mark.parametrize("names", [("metrics.json", "hits.npz"), ("hits.npz",)])
def test_measurements_of_another_run_are_refused(done, names):
    """Their date tells Snakemake nothing; then a page is made again."""
    ours, other = (done.folder / "results" / base / "evaluation" for base in BASES)
    for name in names:
        put(other / name, ours / name)
    result = done.run(*PAGES, "--forcerun", "table", check=False)
    assert result.returncode == 1
    log = (done.folder / "results/pages/table5/log.txt").read_text()
    assert f"results/{BASES[0]}/evaluation/{names[0]}: damaged, edited, or copied from" in log
    assert "Delete it and let Snakemake make it again" in log


def test_measurements_of_another_run_are_refused_without_seals(done):
    unseal(done)
    ours, other = (done.folder / "results" / base / "evaluation" for base in BASES)
    for name in ("metrics.json", "hits.npz"):
        put(other / name, ours / name)
    done.run(*PAGES, "--forcerun", "table", check=False)
    log = (done.folder / "results/pages/table5/log.txt").read_text()
    assert f"(it belongs to the job {BASES[1]}/evaluation)" in log


def test_weights_of_another_configuration_are_refused(done):
    """The same run, trained with another seed of another folder: its name alone tells nothing."""
    weights = done.folder / "results" / BASES[0] / "weights.safetensors"
    put(done.folder / "results" / ADAPTED[0] / "weights.safetensors", weights)
    metrics = f"results/{BASES[0]}/evaluation/metrics.json"
    result = done.run(metrics, "--forcerun", metrics, check=False)
    assert result.returncode == 1
    log = (done.folder / f"results/{BASES[0]}/evaluation/log.txt").read_text()
    assert f"results/{BASES[0]}/weights.safetensors: damaged, edited, or copied from" in log
    weights.unlink()
    done.run(metrics, "--forcerun", metrics)
