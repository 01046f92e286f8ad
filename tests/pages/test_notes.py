"""What pages say of their numbers: of the paper's arithmetic, and of the images."""

import numpy as np

from fixres import paper
from fixres.artifacts import metrics
from fixres.config import load
from fixres.graph.claims import ClaimsPage
from fixres.graph.pages import Cell, Measurement
from fixres.pages import decided
from fixres.stages import evaluate
from shared import ROOT

PLAN = paper.plan_of(load(ROOT / "config.yaml"))
IMAGES = 1_281_167  # ImageNet's training images


def notes(table: str) -> str:
    return " ".join(PLAN.resolved(f"pages/{table}")["notes"])


def test_two_tables_print_two_numbers_for_one_run():
    four = paper.printed("table4")["cls+bn", "288", "top1"]
    six = paper.printed("table6")["224 cls+bn test DA", "288", "top1"]
    assert four != six
    assert f"{four} here, {six} in its Table 6" in notes("table4")
    assert f"{six} here, {four} in its Table 4" in notes("table6")


def test_the_images_of_an_epoch_are_counted():
    seen = 5005 * 512 / 3
    assert f"{seen / 1000:.0f} thousand" in notes("table5")
    assert f"an epoch sees {seen / IMAGES:.0%}" in notes("table5")


def test_the_deviation_over_ten_folds_is_computed_as_the_paper_says():
    """By the very code of our evaluation, for an accuracy of 77% on 50,000 images."""
    rng, labels = np.random.default_rng(0), np.zeros(50_000, np.int64)
    tops = ((rng.random((50_000, 1)) >= 0.77).astype(int) for _ in range(30))
    mean = np.mean([evaluate.accuracy(top, labels, 10)["top1_std"] for top in tops])
    assert f"{mean:.2f}% on average" in notes("table5")


def test_pages_over_all_tables_say_what_the_images_behind_them_lack(tmp_path):
    """Each note once; of a run that failed, nothing."""
    runs = [Measurement(f"runs/{i}", f"runs/{i}/metrics.json") for i in range(4)]
    for i, notes in enumerate((["3 left out"], ["3 left out", "listed on …"], [])):
        metrics.write(tmp_path / runs[i].metrics, {"run": f"runs/{i}", "notes": notes})
    (tmp_path / "runs/3").mkdir()
    (tmp_path / "runs/3/failed").touch()
    named = {"paper_row": "a", "paper_column": "b", "metric": "top1", "k_test": 56}
    cells = {
        str(i): Cell(str(i), "x", **named, runs=(run,)) for i, run in enumerate((*runs, *runs[:1]))
    }
    page = ClaimsPage.of(PLAN.resolved("pages/claims")).model_copy(
        update={"cells": cells, "may_have_failed": {"runs/3": {"runs/3": "runs/3/log.txt"}}}
    )
    assert decided.notes(page, tmp_path) == ["3 left out", "listed on …"]
