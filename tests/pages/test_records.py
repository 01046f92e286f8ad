"""Pages are written to a resolved configuration and read back by the same class."""

import json

import pytest

from fixres import jobs, paper
from fixres.config import load
from fixres.graph.pages import Cell, Figure, Measurement, Page, Report, Summary
from fixres.jobs import JobError
from shared import ROOT

PLAN = paper.plan_of(load(ROOT / "config.yaml", extra={"pages": {"allow_failed": True}}))
RECORDS = {"table": Page, "figure": Figure, "summary": Summary, "report": Report}
WRITTEN = [job for job, one in PLAN.jobs.items() if one.stage.name in RECORDS]


@pytest.mark.parametrize("job", WRITTEN)
def test_a_page_is_read_back_as_it_was_planned(job, tmp_path):
    content, file = PLAN.resolved(job), tmp_path / "config.json"
    file.write_text(jobs.canonical(content))
    record = RECORDS[content["stage"]].read(file, content["stage"], PLAN.jobs[job].ancestry_digest)
    about = {key: content[key] for key in ("stage", "version", "run")}
    assert jobs.canonical(record.content() | about) == jobs.canonical(content)
    name = job.removeprefix("pages/")
    for declared in [(PLAN.tables | PLAN.figures)[name]] if isinstance(record, Page) else []:
        assert record.cells() == declared.cells()
        for cell in record.cells():
            assert {found.run for found in cell.measurements()} <= set(record.may_have_failed)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("decimals", "many", "decimals"), ("colour", "red", "colour"), ("blocks", [{}], "blocks.0")],
)
def test_another_configuration_is_refused_by_its_key(key, value, said, tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(PLAN.resolved("pages/table5") | {key: value}))
    with pytest.raises(JobError, match=rf"config\.json: {said}.*\. Delete it"):
        Page.read(file, "table")


def test_each_measurement_of_a_cell_is_read_once():
    """Published weights have no seed: they stand in a cell once for each."""
    a, b = Measurement("a", "a/metrics.json"), Measurement("b", "b/metrics.json", "b/hits.npz")
    cell = Cell("r", "c", "R", "C", "hours", runs=(a, a), plus=b)
    assert cell.measurements() == [a, b]
    assert cell.place == ("r", "c", "R", "C")
