"""Where the paper contradicts itself or its own arithmetic, the page says so."""

import numpy as np

from fixres import paper
from fixres.config import load
from fixres.stages import evaluate
from shared import ROOT

IMAGES = 1_281_167  # ImageNet's training images


def notes(table: str) -> str:
    plan = paper.plan_of(load(ROOT / "config.yaml"))
    return " ".join(plan.resolved(f"pages/{table}")["notes"])


def test_two_tables_print_two_numbers_for_one_run():
    four = paper.printed("table4")["cls+bn", "288", "top1"]
    six = paper.printed("table6")["224 cls+bn test DA", "288", "top1"]
    assert four != six
    assert f"{four} here, {six} in its Table 6" in notes("table4")
    assert f"{six} here, {four} in its Table 4" in notes("table6")


def test_the_images_of_an_epoch_are_counted():
    seen = 5005 * 512 / 3
    assert f"{seen / 1000:.0f} thousand" in notes("table5")
    assert f"it sees {seen / IMAGES:.0%}" in notes("table5")


def test_the_deviation_over_ten_folds_is_computed_as_the_paper_says():
    """By the very code of our evaluation, for an accuracy of 77% on 50,000 images."""
    rng, labels = np.random.default_rng(0), np.zeros(50_000, np.int64)
    tops = ((rng.random((50_000, 1)) >= 0.77).astype(int) for _ in range(30))
    mean = np.mean([evaluate.accuracy(top, labels, 10)["top1_std"] for top in tops])
    assert f"{mean:.2f}% on average" in notes("table5")
