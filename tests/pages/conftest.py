"""A small report, made once from made-up measurements."""

import pytest
from small_report import PLAN, REPLICAS

from fixres.pages import intervals, report
from made_up import make, render


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """Pages of the embedded scale, from made-up measurements."""
    folder = tmp_path_factory.mktemp("report") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "REPLICAS", REPLICAS)
        make(PLAN, folder)
        render(PLAN, folder, report, "report", ".html")
    return folder


@pytest.fixture(scope="session")
def page(results) -> str:
    return (results / "report.html").read_text(encoding="utf-8")
