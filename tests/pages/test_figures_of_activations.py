"""Figures 3, 4 and 6: the curves are those of the counts, with intervals and fits."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import genextreme

from fixres import jobs, paper
from fixres.artifacts.per_image import PerImage
from fixres.config import load
from fixres.graph.pages import Figure
from fixres.models import pooled
from fixres.pages.figures import frechet, pooled_activations
from fixres.pages.view import Measured, View
from shared import ROOT

PLAN = paper.plan_of(load(ROOT / "config.yaml"))


def read_back(name: str) -> Figure:
    """A figure as its job reads it."""
    return Figure.of(json.loads(jobs.canonical(PLAN.resolved(f"pages/{name}"))))


def view_of(page: Figure, measured: Measured) -> View:
    """A figure whose runs have left this."""
    view = View(page, ROOT)
    view.measured = measured
    return view


BASE = "runs/pinhole/resnet10q-k56/activations"
IMAGES, CHANNELS = 60, 50


def drawn_for(k: int) -> np.ndarray:
    """(IMAGES, CHANNELS) activations of a k_test: the larger it is, the fewer zeros."""
    rng = np.random.default_rng(k)
    x = rng.gamma(2.0, 8 / k, size=(IMAGES, CHANNELS)).astype(np.float32)
    x[rng.random(x.shape) < 4 / k] = 0
    return x


@pytest.fixture(scope="module")
def measured() -> Measured:
    """Every job of Figures 3, 4 and 6, with numbers that are easy to check."""
    metrics: dict = {}
    samples: dict = {}
    for name in ("figure3", "figure4", "figure6"):
        for cell in PLAN.figures[name].cells():
            [run], k = [found.run for found in cell.runs], cell.k_test
            counts = pooled.count(torch.from_numpy(drawn_for(k))).numpy().astype(np.uint16)
            found = {"pooled": counts.mean(0).tolist(), "half": counts.mean(0).tolist()}
            found |= {"zeros": 1.0, "above": 2.0, "map": k // 8, "negative": 50.0}
            found |= {"channel_mean": 0.1, "channel_variance": 0.2}
            found |= {"mu": 0.1, "sigma": 0.2, "gap": k / 10}
            found |= {"free_mu": 0.1, "free_sigma": 0.2, "free_xi": 0.5, "free_gap": k / 20}
            one = {"bound": 2.6, "edges": pooled.EDGES.tolist(), "k_test": {}}
            metrics.setdefault(run, one)["k_test"][str(k)] = found
            samples.setdefault(run, {})[f"pooled {k}"] = counts
    images = np.array([f"{i}.jpg".encode() for i in range(IMAGES)])
    return Measured(metrics, {run: PerImage(images, v) for run, v in samples.items()})


def lines(axis, style: str) -> list:
    return [line for line in axis.lines if line.get_linestyle() == style and len(line.get_xdata())]


def test_figure_3_draws_the_cdf_of_each_resolution(measured):
    page = read_back("figure3")
    figure, numbers = pooled_activations.draw(view_of(page, measured))
    [axis] = figure.axes
    assert len(lines(axis, "-")) == 4
    for k, curve in numbers.groupby("k_test"):
        x = drawn_for(int(k))
        expected = [100 * (x < edge).mean() for edge in np.float32(curve["activation"])]
        np.testing.assert_allclose(curve["ours"], expected, atol=1e-9)
        assert curve["ours"].iloc[0] == pytest.approx(100 * (x == 0).mean())  # its dot at 0
        assert (curve["low"] <= curve["ours"] + 1e-6).all()
        assert (curve["high"] >= curve["ours"] - 1e-6).all()
        assert (curve["high"] - curve["low"]).max() > 1
    # What the paper prints: zeros at 64 and 224; above 2 at both, drawn at our bound.
    diamonds = {
        (line.get_xdata()[0], line.get_ydata()[0])
        for line in axis.lines
        if line.get_marker() == "D"
    }
    assert diamonds == {(0.0, 29.8), (0.0, 0.5), (2.6, 98.8), (2.6, 88.1)}
    assert numbers["paper_k_test"].unique().tolist() == ["64", "128", "224", "448"]


def test_the_diamonds_of_figure_3_are_inside_where_few_values_are_large(measured):
    """The axis ends where 97% of the widest distribution do; the paper's bound may be beyond."""
    page, bound = read_back("figure3"), 30.0
    metrics = {run: found | {"bound": bound} for run, found in measured.metrics.items()}
    figure, _ = pooled_activations.draw(view_of(page, measured._replace(metrics=metrics)))
    [axis] = figure.axes
    diamonds = [line.get_xdata()[0] for line in axis.lines if line.get_marker() == "D"]
    low, high = axis.get_xlim()
    assert max(diamonds) == bound
    assert all(low <= x < high for x in diamonds)


def test_figure_4_sets_after_beside_before(measured):
    page = read_back("figure4")
    figure, numbers = pooled_activations.draw(view_of(page, measured))
    assert [len(lines(axis, "-")) for axis in figure.axes] == [4, 4]
    assert [axis.get_title() for axis in figure.axes] == ["before fine-tuning", "after fine-tuning"]
    [reference] = lines(figure.axes[1], "--")  # before, at k_train
    native = numbers[(numbers["panel"] == "before") & (numbers["k_test"] == "56")]
    assert reference.get_ydata().tolist() == native["ours"].tolist()


def test_a_failed_run_leaves_its_curve_out(measured):
    page = read_back("figure4")
    lost = {"runs": (), "source": "missing"}
    page = page.with_cells(lambda c: c.model_copy(update=lost) if c.column == "after" else c)
    figure, numbers = pooled_activations.draw(view_of(page, measured))
    assert set(numbers["panel"]) == {"before"}
    assert len(lines(figure.axes[1], "-")) == 0


def test_figure_6_draws_scipys_law_beside_the_measured_cdf_without_zeros(measured):
    page = read_back("figure6")
    figure, numbers = frechet.draw(view_of(page, measured))
    left, right = figure.axes
    assert len(lines(left, "-")) == len(lines(left, "--")) == 4
    for k, curve in numbers.groupby("k_test"):
        x = drawn_for(int(k))
        x = x[x > 0]
        expected = [100 * (x < edge).mean() for edge in np.float32(curve["activation"])]
        np.testing.assert_allclose(curve["ours"], expected, atol=1e-9)
        law = 100 * genextreme.cdf(curve["activation"], -0.3, 0.1, 0.2)
        np.testing.assert_allclose(curve["fit"], law, atol=1e-6)
        free = 100 * genextreme.cdf(curve["activation"], -0.5, 0.1, 0.2)
        np.testing.assert_allclose(curve["free_fit"], free, atol=1e-6)
        assert set(curve["gap"]) == {int(k) / 10}
        assert set(curve["free_xi"]) == {0.5}
    said = [text.get_text() for text in right.get_legend().get_texts()]
    assert said[0] == "16 (64): 1.6 (ξ free: 0.8)"
