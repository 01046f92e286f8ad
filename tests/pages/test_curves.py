"""Learning curves: what is drawn is what the logs hold; failed and missing trainings."""

import numpy as np
import pytest

from fixres import paper
from fixres.config import ConfigError, load, parse
from fixres.graph.declare import measurements
from fixres.graph.pages import Figure
from fixres.jobs import JobError, failures
from fixres.pages.figures import curves
from fixres.pages.view import View
from shared import ROOT, needed

SEEDS = {"seeds": [0, 1], "pages": {"allow_failed": True}}
PLAN = paper.plan_of(load(ROOT / "config.yaml", extra=SEEDS))
PAGE = Figure.of(PLAN.resolved("pages/curves"))
RUNS = [f"runs/pinhole/resnet10q-k{k}{s}" for k in (16, 32, 40, 56, 96) for s in ("", "-s1")]


@pytest.fixture
def results(tmp_path):
    """Logs of two epochs in four rows each; their losses tell training and row."""
    for i, run in enumerate(RUNS):
        (tmp_path / run).mkdir(parents=True)
        rows = [f"{n},{n / 2},0.{n},{i + n / 10},{7 * n}.0" for n in (1, 2, 3, 4)]
        log = "\n".join(["step,epoch,rate,loss,images_per_s", *rows]) + "\n"
        (tmp_path / run / "log.csv").write_text(log)
    return tmp_path


def draw(results):
    return curves.draw(View(PAGE, results))


def test_every_training_is_drawn_and_the_thick_line_is_the_mean_over_seeds(results):
    figure, numbers = draw(results)
    assert list(PAGE.files) == RUNS
    assert list(numbers.columns) == curves.COLUMNS  # no speed: it differs from run to run
    assert list(numbers["run"].unique()) == RUNS
    loss, rate = figure.axes
    thin = [line for line in loss.lines if line.get_linewidth() < 1]
    thick = [line for line in loss.lines if line.get_linewidth() > 1]
    assert {tuple(line.get_ydata()) for line in thin} == {
        tuple(i + np.array([1, 2, 3, 4]) / 10) for i in range(10)
    }
    for i, line in enumerate(thick):
        assert line.get_ydata() == pytest.approx(2 * i + 0.5 + np.array([1, 2, 3, 4]) / 10)
        assert list(line.get_xdata()) == [0.5, 1, 1.5, 2]
    assert [line.get_label() for line in thick] == [
        "16 (64)", "32 (128)", "40 (160)", "56 (224)", "96 (384)"
    ]  # fmt: skip
    assert len({line.get_color() for line in thick}) == 5
    assert all(list(line.get_ydata()) == [0.1, 0.2, 0.3, 0.4] for line in rate.lines)


def test_a_mean_is_over_half_an_epoch():
    logs = curves.pd.DataFrame({"epoch": [0.2, 0.5, 0.6, 1.0], "loss": [4.0, 2.0, 1.0, 0.0]})
    assert curves.smooth(logs).to_numpy().tolist() == [[0.35, 3.0], [0.8, 0.5]]


def test_a_failed_training_is_left_out(results):
    (results / RUNS[3] / failures.NAME).write_text("x")
    assert set(RUNS) - set(draw(results)[1]["run"]) == {RUNS[3]}


@pytest.mark.parametrize("text", ["", "step,loss\n1,2\n", None])
def test_a_damaged_log_is_named(results, text):
    file = results / RUNS[2] / "log.csv"
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(JobError, match=f"{RUNS[2]}/log.csv"):
        draw(results)


def test_the_workflow_waits_for_the_logs_alone():
    assert measurements(PLAN, "pages/curves") == [f"results/{run}/log.csv" for run in RUNS]
    assert needed(PLAN, "curves") == {*RUNS, "data/pinhole/manifest", "data/pinhole/render"}


def test_images_that_are_not_there_are_told():
    config = {"dataset": "own", "datasets": {"own": {"root": "/nowhere"}}}
    plan = paper.plan_of(parse(config | {"pages": {"allow_missing": True}}))
    with pytest.raises(ConfigError, match=r"datasets\.own\.root: not a folder \(got /nowhere"):
        measurements(plan, "pages/curves")
