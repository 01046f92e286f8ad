"""What Snakemake runs after `python -m fixres relist` looked at the user's own images."""

import os
import shutil

import pytest
from small import evaluates, merged

from fixres.data.rendered import twins
from shared import SETTINGS, Workflow, fixres, textured

PAGE, RUN = "results/table5.md", "runs/set/resnet10q-k16"
LOOK = SETTINGS | {"silhouettes": ["bar"], "hues": ["red", "blue"]}
AGAIN = {("train", f"{RUN}/weights.safetensors"), ("table", "table5.md")} | evaluates([RUN])


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Workflow:
    """One network, trained and measured on images that the suite did not render."""
    workflow = Workflow(tmp_path_factory.mktemp("measured"))
    twins.write("imagefolder", workflow.folder / "mine", LOOK)
    (workflow.folder / "mine/objects.csv").unlink()
    content = merged(table5={"k_train": [16], "k_train_adapted": [], "k_test": [16]})
    content["datasets"] = {"set": {"root": "mine"}}
    workflow.write(content)
    workflow.run(PAGE)
    return workflow


@pytest.fixture
def own(measured, tmp_path) -> Workflow:
    shutil.copytree(measured.folder, tmp_path / "own", symlinks=True)
    return Workflow(tmp_path / "own")


def relist(workflow: Workflow, monkeypatch) -> str:
    monkeypatch.chdir(workflow.folder)
    result = fixres("relist", "--threads", 1)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_nothing_changed_and_nothing_runs(own, monkeypatch):
    assert own.planned(PAGE) == set()
    assert "set: nothing changed" in relist(own, monkeypatch)
    assert own.planned(PAGE) == set()
    for file in (own.folder / "mine").rglob("*.jpg"):  # the same images, copied again
        os.utime(file)
    assert "the same images as before" in relist(own, monkeypatch)
    assert own.planned(PAGE) == set()


def test_an_added_image_is_trained_on_after_the_command_alone(own, monkeypatch):
    textured(30, 40).save(own.folder / "mine/train/bar-red/new.png")
    assert own.planned(PAGE) == set()
    text = relist(own, monkeypatch)
    assert "1 added (train/bar-red/new.png)" in text
    assert f"1 files of numbers and 1 files of weights ({RUN}" in text
    assert own.planned(PAGE) == AGAIN
    own.run(PAGE)
    assert "- set: 97 training and 48 validation images, listed on 20" in (
        (own.folder / PAGE).read_text()
    )
    assert own.planned(PAGE) == set()


def test_a_removed_image(own, monkeypatch):
    min((own.folder / "mine/val/bar-red").iterdir()).unlink()
    assert "1 removed (val/bar-red/" in relist(own, monkeypatch)
    assert own.planned(PAGE) == AGAIN
