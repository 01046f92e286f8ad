"""The report in a real browser: what it shows, what a click does, whether it can be read."""

import contextlib
import csv
import json
import re

import pytest
from small_report import PLAN, TABLES

import browser
from browser import Browser


@pytest.fixture(scope="module")
def shown(results, tmp_path_factory):
    """The report in a browser."""
    program = browser.find()
    if not program:
        pytest.skip(f"no browser here: none of {', '.join(browser.NAMES)}")
    with contextlib.closing(Browser(program, tmp_path_factory.mktemp("profile"))) as running:
        yield running


@pytest.fixture
def fresh(shown, results) -> Browser:
    """The report, loaded anew on a large light screen."""
    shown.size(1280, 900)
    shown.media()
    shown.open(results / "report.html")
    return shown


def visible(fresh: Browser, table: str) -> list[str]:
    """What the cells of a table show, in the order in which they stand."""
    return fresh.run(
        f"[...document.querySelectorAll('#{table} [data-cell]')].map(c => c.innerText)"
    )


def lines_of(results, table: str) -> list[dict]:
    """The cells of a CSV, as texts."""
    with open(results / f"{table}.csv", newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def number_in(text: str) -> float | None:
    """The first number of a cell, in the unit of the CSV: hours, millions, per cent, ms."""
    found = re.match(r"[-+−]?[\d.]+", text.replace("−", "-"))
    return float(found[0]) / (3600 if text.endswith(" s") else 1) if found else None


def test_nothing_goes_wrong_and_nothing_is_fetched(fresh, results):
    for click in ("#show-paper", "#table5 .sort", "#table5 .cell", "#cell button", "summary"):
        fresh.run(f"document.querySelector('{click}').click()")
    assert fresh.errors == []
    assert fresh.requests == [(results / "report.html").resolve().as_uri()]
    lost = "[...document.links].filter(a => !document.getElementById(a.hash.slice(1))).length"
    assert fresh.run("document.links.length") > 40
    assert fresh.run(lost) == 0


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_a_page_is_never_wider_than_its_screen(fresh, width):
    fresh.size(width, 844)
    fresh.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
    widths = "['scrollWidth', 'clientWidth'].map(w => document.documentElement[w])"
    whole, seen = fresh.run(widths)
    assert whole == seen
    assert width - 20 < seen <= width  # a large screen shows a scroll bar beside it
    cut = "[...document.querySelectorAll('main table')].filter(t => !t.closest('.box')).length"
    assert fresh.run(cut) == 0


@pytest.mark.parametrize("table", [table.__name__ for table in TABLES if "_" not in table.__name__])
def test_the_numbers_are_those_of_the_csv(fresh, results, table):
    """In each of the three views, to the digits that are shown."""
    lines = lines_of(results, table)
    views = {}
    for view in ("paper", "less", "ours"):
        fresh.run(f"document.getElementById('show-{view}').click()")
        views[view] = visible(fresh, table)
        assert len(views[view]) == len(lines)
    for i, line in enumerate(lines):
        ours, paper = (float(line[key]) if line[key] else None for key in ("ours", "paper"))
        less = None if None in (ours, paper) else ours - paper
        printed = paper if line["source"] == "reported" else ours
        for view, value in (("ours", printed), ("paper", paper), ("less", less)):
            shown = number_in(views[view][i])
            # 4.90M and 25.6M, 577M: three digits; all else has one after the point.
            digits = 0.51 if abs(value or 0) > 100 else 0.0501
            assert shown == (value if value is None else pytest.approx(value, abs=digits))
        if line["low"]:
            half = (float(line["high"]) - float(line["low"])) / 2
            shown = float(views["ours"][i].split("± ")[1].split()[0])
            assert shown == pytest.approx(half, abs=0.0501)
        if line["source"] == "missing":
            assert views["ours"][i].startswith("missing [")


def test_a_click_on_a_head_sorts_by_what_is_shown(fresh, results):
    """Up, down, as printed; by the difference where that is shown. Empty cells come last."""
    column = "[...document.querySelectorAll('#table2 tbody tr')].map(r => r.lastChild.innerText)"
    head = "document.querySelector('#table2 th:last-child')"
    printed = fresh.run(column)
    fresh.run(f"{head}.querySelector('button').click()")
    up = list(map(number_in, fresh.run(column)))
    assert fresh.run(f"{head}.getAttribute('aria-sort')") == "ascending"
    measured = sum(line["source"] == "measured" for line in lines_of(results, "table2")) // 3
    assert 10 < measured < len(up)
    assert up[:measured] == sorted(up[:measured])
    fresh.run("document.getElementById('show-less').click()")
    fresh.run(f"{head}.querySelector('button').click()")
    down = list(map(number_in, fresh.run(column)))
    assert down[:measured] == sorted(down[:measured], reverse=True)
    assert set(down[measured:]) == {None}
    fresh.run(f"{head}.querySelector('button').click()")
    fresh.run("document.getElementById('show-ours').click()")
    assert fresh.run(column) == printed
    assert fresh.run(f"{head}.hasAttribute('aria-sort')") is False


def test_a_click_on_a_number_shows_where_it_comes_from(fresh, results):
    """Also after sorting: run, seed, k_test, digests, the command. Of a quoted one: that it is."""
    right = "document.querySelectorAll('#table5 table')[1]"
    fresh.run(f"{right}.querySelectorAll('.sort')[1].click()")
    row = f"[...{right}.tBodies[0].rows].find(r => r.innerText.startsWith('56'))"
    fresh.run(f"{row}.cells[2].firstChild.click()")
    cell = PLAN.tables["table5"].blocks[1].cells[2][1]
    said = fresh.run("document.getElementById('cell').innerText")
    assert fresh.run("document.getElementById('cell').open") is True
    assert "Table 5, row 56 (224), column 32 adapted (128 adapted)" in said
    [run] = [found.run for found in cell.runs]
    metrics = json.loads((results / run / "evaluation/metrics.json").read_text())
    wanted = ["seed 0", f"k_test {cell.k_test} px", metrics["digest"], metrics["hits"], run]
    wanted += [f"snakemake results/{run}/evaluation/metrics.json", "The paper: 77.1", "commit"]
    wanted += [str(metrics["k_test"]["56"]["top1"]).removesuffix(".0")]
    assert [words for words in wanted if words not in said] == []
    fresh.run("document.querySelector('#cell button').click()")
    assert fresh.run("document.getElementById('cell').open") is False
    fresh.run("document.querySelector('#table2 .reported').click()")
    assert "did not measure it" in fresh.run("document.getElementById('cell').innerText")


# The least contrast of any text with what is behind it (WCAG 2), drawings left out.
CONTRAST = """(() => {
  const rgb = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = (c) => { const [r, g, b] = rgb(c).map((x) => (x /= 255) <= 0.04045 ? x / 12.92
    : ((x + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e)
    .backgroundColor; if ((rgb(c)[3] ?? 1) > 0) return c; } return "rgb(255, 255, 255)"; };
  let least = 99;
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || e.closest("svg, script") || !e.checkVisibility()) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
    least = Math.min(least, (a + 0.05) / (b + 0.05));
  }
  return [least, light(behind(document.body))];
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(fresh, scheme):
    fresh.media(scheme=scheme)
    fresh.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
    least, page = fresh.run(CONTRAST)
    assert least >= 4.5
    assert page < 0.05 if scheme == "dark" else page > 0.9


def test_on_paper_the_papers_numbers_stand_beside_ours(fresh):
    """As the switch cannot be used there; also from a dark screen it is printed on white."""
    assert "(" not in visible(fresh, "table5")[0]
    fresh.size(1030, 700)  # A4 across, less its margins
    fresh.media("print", "dark")
    assert fresh.run("document.documentElement.scrollWidth") <= 1030
    line = PLAN.tables["table5"].blocks[0].cells[0][0]
    assert fresh.run("getComputedStyle(document.querySelector('.bar')).display") == "none"
    assert f"{line.paper:.1f}" in visible(fresh, "table5")[0]
    least, page = fresh.run(CONTRAST)
    assert least >= 4.5
    assert page > 0.9


def test_without_scripts_all_of_ours_can_be_read_and_the_switch_works(fresh, results):
    before = visible(fresh, "table5")
    fresh.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        fresh.open(results / "report.html")
        assert visible(fresh, "table5") == before
        assert fresh.run("document.querySelector('.off').checkVisibility()") is True
        fresh.run("document.getElementById('show-paper').checked = true")
        assert visible(fresh, "table5")[0] == "63.2"
    finally:
        fresh.call("Emulation.setScriptExecutionDisabled", value=False)
