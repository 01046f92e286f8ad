"""Figures: what is drawn is what was measured; the same numbers give the same bytes."""

import numpy as np
import pytest

from fixres import paper
from fixres.config import load
from fixres.data.per_image import PerImage
from fixres.pages.figures import accuracy, style
from fixres.pages.numbers import Measured, cells
from shared import ROOT

PLAN = paper.plan_of(load(ROOT / "config.yaml"))


def measured(page: dict) -> Measured:
    """Some hits for every cell of a page of accuracies: cell i is right about i images more."""
    metrics: dict = {}
    hits: dict = {}
    for i, cell in enumerate(cells(page)):
        right = np.arange(200) < 60 + i
        for run in cell["runs"]:
            k_tests = metrics.setdefault(run, {"file": "", "k_test": {}})["k_test"]
            k_tests[str(cell["k_test"])] = {"top1": 100 * right.mean(), "top1_std": 0.1}
            hits.setdefault(run, {})[f"top1 {cell['k_test']}"] = right
    images = np.array([f"{i}.jpg".encode() for i in range(200)])
    return Measured(metrics, {run: PerImage(images, values) for run, values in hits.items()})


@pytest.mark.parametrize(("name", "lines"), [("figure5", [5, 4]), ("figure8", [4])])
def test_every_cell_of_its_table_is_drawn(name, lines, tmp_path):
    page = PLAN.resolved(f"pages/{name}")
    figure, numbers = accuracy.draw(page, measured(page), tmp_path)
    solid = [[line for line in axis.lines if line.get_linestyle() == "-"] for axis in figure.axes]
    assert [len(found) for found in solid] == lines
    drawn = {float(y) for found in solid for line in found for y in line.get_ydata()}
    assert drawn == set(numbers["ours"])
    assert len(numbers) == len(list(PLAN.figures[name].cells()))


def test_colours_keep_the_order_in_grey():
    """Luminance (Rec. 709) rises with the resolution, by enough to be seen."""
    found = style.colours([96, 16, 56, 40, 32])
    grey = [np.dot(found[k][:3], (0.2126, 0.7152, 0.0722)) for k in sorted(found)]
    assert (np.diff(grey) > 0.08).all()
