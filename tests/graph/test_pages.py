"""A plan of some pages (pages.only), and what the resolutions of Table 5 stand for."""

import pytest

from fixres import paper
from fixres.config import ConfigError, load, merge, parse
from fixres.graph.claims import ClaimsPage
from fixres.graph.graph import JobGraph
from fixres.graph.pages import failed
from fixres.jobs import failures
from fixres.pages import decided
from shared import ROOT, needed


def with_only(*names: str) -> JobGraph:
    config = load(ROOT / "config.yaml").model_dump()
    return paper.plan_of(parse(merge(config, {"pages": {"only": list(names)}})))


def test_a_plan_of_some_pages_has_no_other_jobs():
    some, whole = with_only("table5", "figure5"), paper.plan_of(load(ROOT / "config.yaml"))
    assert [*some.tables, *some.figures] == ["table5", "figure5"]
    runs = {job for job in some.jobs if job.startswith("runs/")}
    assert runs < set(whole.jobs)
    assert {job for job in runs if "evaluation" in job} == {
        job for job in needed(whole, "table5") if "evaluation" in job
    }
    notes = some.resolved("pages/claims")["notes"]
    assert not notes["recover"]
    assert notes["transfer-all"] == "the page table3, which this plan does not have"


def test_a_page_takes_as_many_seeds_as_it_is_given():
    """The others take all, and a claim takes those that all its cells have."""
    over = {"seeds": [3, 4, 5], "pages": {"seeds": {"table4": 1, "table6": 2}}}
    plan = paper.plan_of(parse(merge(load(ROOT / "config.yaml").model_dump(), over)))
    seeds = {
        name: {len(cell.runs) for cell in page.cells() if cell.source == "measured"}
        for name, page in plan.tables.items()
    }
    assert (seeds["table4"], seeds["table6"], seeds["table5"]) == ({1}, {2}, {3})
    of_table4 = {run.run for cell in plan.tables["table4"].cells() for run in cell.runs}
    assert of_table4
    assert all("-s3" in run for run in of_table4)
    page = ClaimsPage.of(plan.resolved("pages/claims"))
    found = {claim.name: decided.seeds_of(claim, page) for claim in paper.CLAIMS}
    assert (found["recover"], found["parametric"], found["bn-better"]) == (3, 2, 1)
    with pytest.raises(ConfigError, match=r"pages\.seeds\.tabel5: no such page .*one of table1"):
        paper.plan_of(parse(merge(over, {"pages": {"seeds": {"tabel5": 1}}})))
    paper.plan_of(parse(merge(over, {"pages": {"only": ["table5"]}})))  # table4's are of no account


def test_pages_that_cannot_be_alone_are_refused():
    with pytest.raises(ConfigError, match=r"pages\.only: unknown page .*'tabel5', .*table1"):
        with_only("tabel5")
    with pytest.raises(ConfigError, match=r"figure5 draws the cells of table5, .* Add table5\."):
        with_only("figure5")


def test_every_page_can_be_named(tmp_path, monkeypatch):
    """The page of newer weights is there at full size alone: its networks have no twins."""
    monkeypatch.setenv("IMAGENET", str(tmp_path))
    names = [paper.name_of(declare) for declare in (*paper.PAGES, *paper.FIGURES)]
    full = paper.plan_of(load(ROOT / "config.yaml", ROOT / "configs/imagenet.yaml"))
    assert names == [*full.tables, *full.figures]
    small = paper.plan_of(load(ROOT / "config.yaml"))
    assert [name for name in names if name != "modern"] == [*small.tables, *small.figures]


@pytest.mark.parametrize(
    ("over", "labels"),
    [
        ([], {"16": "64", "32": "128", "56": "224", "72": "288", "120": "480"}),
        (["configs/fashion.yaml"], {"16": "128", "24": "192", "32": "224", "48": "384"}),
        (["configs/imagenet.yaml"], {"64": "64", "224": "224", "480": "480"}),
    ],
)
def test_what_a_resolution_of_table_5_stands_for(over, labels, tmp_path, monkeypatch):
    """At an eighth, 32 stands for the paper's 224, as in all other tables, and not for 256."""
    for name in ("IMAGENET", "FASHION_MNIST", "CARS", "CUB", "FLOWERS", "PETS", "BIRDSNAP"):
        monkeypatch.setenv(name, str(tmp_path))
    plan = paper.plan_of(load(ROOT / "config.yaml", *(ROOT / file for file in over)))
    shown = {cell.row: cell.paper_row for cell in plan.tables["table5"].cells()}
    assert labels.items() <= shown.items()


@pytest.mark.parametrize(
    ("page", "stage"),
    [("memory", "memory"), ("figure3", "activations"), ("figure2", "sizes"), ("figure1", "crops")],
)
def test_a_failed_measurement_is_found_by_its_mark(page, stage, tmp_path):
    """With pages.allow_failed a page names the log of each job that may have failed."""
    plan = paper.plan_of(load(ROOT / "config.yaml", extra={"pages": {"allow_failed": True}}))
    of_runs = plan.resolved(f"pages/{page}")["may_have_failed"].values()
    logs = {job: log for of_run in of_runs for job, log in of_run.items()}
    job = next(job for job in plan.of_stage(stage) if job.id in logs)
    assert failed(logs, tmp_path) is None
    (tmp_path / job.id).mkdir(parents=True)
    (tmp_path / job.id / failures.NAME).touch()
    assert failed(logs, tmp_path) == tmp_path / job.log
