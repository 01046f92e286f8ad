"""Figures 1, 2 and 7 in a small workflow: what they need, and what an edit reruns of them."""

import shutil

import pytest
from small import merged

from shared import Workflow

FIGURES = ["results/figure1.svg", "results/figure2.svg"]
SWEPT, BASE = "results/figure7.svg", "runs/set/resnet10q-k56"
TABLE5 = {"k_train": [56], "k_train_adapted": [], "k_test": [16]}
SMALL_SWEEP = {"base_training": {"epochs": 1}, "figure7": {"k_test": [16, 17]}}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Workflow:
    """The figures, and Table 5's evaluation of the network that Figure 7 sweeps."""
    workflow = Workflow(tmp_path_factory.mktemp("drawn"))
    workflow.write(merged(**SMALL_SWEEP, table5=TABLE5))
    rules = {rule for rule, _ in workflow.planned(*FIGURES)}
    assert rules == {"render", "manifest", "sizes", "crops", "figure"}  # no training
    workflow.run(*FIGURES, SWEPT, "results/table5.csv")
    return workflow


@pytest.fixture
def edited(drawn, tmp_path) -> Workflow:
    shutil.copytree(drawn.folder, tmp_path / "edited", symlinks=True)
    return Workflow(tmp_path / "edited")


def test_a_further_resolution_of_the_sweep_is_one_evaluation(edited):
    edited.write(merged(**SMALL_SWEEP | {"figure7": {"k_test": [16, 17, 24]}}, table5=TABLE5))
    targets = (*FIGURES, SWEPT, "results/table5.csv")
    sweep = ("sweep", f"{BASE}/sweep/metrics.json")
    assert edited.planned(*targets) == {sweep, ("figure", "figure7.svg")}
    edited.run(*targets)
    log = (edited.folder / f"results/{BASE}/sweep/log.txt").read_text()
    assert "predictions kept: k_test 16, 17" in log
    assert "k_test 24 on 48 images" in log
    lines = (edited.folder / "results/figure7.csv").read_text().splitlines()
    assert len(lines) == 1 + 3


def test_the_batch_size_of_trainings_changes_what_an_epoch_shows(edited):
    """The sizes are measured again: an epoch shows as many images as fill its batches."""
    edited.write(
        merged(**SMALL_SWEEP | {"base_training": {"epochs": 1, "batch_size": 20}}, table5=TABLE5)
    )
    rules = {rule for rule, _ in edited.planned(*FIGURES)}
    assert rules == {"sizes", "figure"}


def test_drawn_again_they_have_the_same_bytes(edited):
    names = ["figure1.svg", "figure1.png", "figure2.svg", "figure7.svg"]
    before = {name: (edited.folder / "results" / name).read_bytes() for name in names}
    crops = edited.folder / "results/sizes/set/crops-k56/crops.npz"
    kept = crops.read_bytes()
    edited.run(*FIGURES, SWEPT, "--forcerun", "figure", "crops", "sizes")
    assert before == {name: (edited.folder / "results" / name).read_bytes() for name in names}
    assert kept == crops.read_bytes()
