"""The report: what it consists of, that it needs nothing else, that its numbers are the CSVs'."""

import html
import html.parser
import json
import re
from collections import Counter

import pytest
import yaml
from markupsafe import escape
from small_report import EMBEDDED, FIGURES, PLAN, REPLICAS, TABLES

from fixres import jobs, paper
from fixres.config import load, merge, parse, read_yaml
from fixres.graph.pages import Block, Cell, Page, Report
from fixres.jobs import JobError
from fixres.pages import intervals, report
from fixres.pages.numbers import Number
from fixres.pages.report import figures, origins, tables
from fixres.paper.figure5 import figure5
from shared import ROOT, configs, digests


def plan_with(*own, **changes: dict):
    """The same plan with further tables, and with `changes` laid over its configuration."""
    config = parse(merge(read_yaml(ROOT / "config.yaml"), changes))
    return paper.plan_of(config, (*TABLES, *own), FIGURES)


@pytest.fixture(autouse=True)
def fewer_replicas(monkeypatch):
    """As many as the report of these tests was made with."""
    monkeypatch.setattr(intervals, "REPLICAS", REPLICAS)


class Elements(html.parser.HTMLParser):
    """The ids, the links and the addresses of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.ids, self.links, self.addresses, self.names = Counter(), [], [], Counter()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.names[tag] += 1
        for name, value in attrs:
            if name == "id":
                self.ids[value] += 1
            elif name in ("href", "xlink:href") and value.startswith("#"):
                self.links.append(value[1:])
            elif name in ("href", "xlink:href", "src", "srcset", "action", "data"):
                self.addresses.append(value)


# --- what it consists of --------------------------------------------------------------------------


@pytest.mark.parametrize("over", [[], ["configs/imagenet.yaml"]])
def test_every_table_and_figure_has_its_place_in_the_paper(over):
    """A page that stands in no section would come last, under "Further pages"."""
    plan = paper.plan_of(load(ROOT / "config.yaml", *(ROOT / file for file in over)))
    placed = Counter(name for section in paper.SECTIONS for name in section.pages)
    assert {name for name in (*plan.tables, *plan.figures) if placed[name] != 1} == set()
    assert all(n == 1 for n in placed.values())
    known = {*plan.tables, "modern", *(f"figure{i}" for i in range(1, 9))}
    assert set(placed) - known - set(plan.figures) == set()


def test_a_table_of_ones_own_comes_last():
    def own(plan):
        return Page("own", "Own", "A caption", ("a", "b"), [Block("", [], [], [], [])])

    sections = plan_with(own).resolved("pages/report")["sections"]
    assert sections[-1]["title"] == "Further pages"
    assert sections[-1]["pages"] == ["own"]
    assert sum(len(section["pages"]) for section in sections) == len(TABLES) + 2 + 1


def test_the_figure_of_the_method_stands_first():
    def figure1(plan):
        return figure5(plan).model_copy(update={"name": "figure1", "title": "Figure 1"})

    assert PLAN.resolved("pages/report")["first"] == "figure5"
    plan = paper.plan_of(EMBEDDED, TABLES, (figure5, figure1))
    assert plan.resolved("pages/report")["first"] == "figure1"


def test_an_edit_renders_the_report_again_only_where_it_shows():
    """A caption: its page and what shows it. Hardware: nothing."""
    before = digests(PLAN)

    def changed(**changes: dict) -> set[str]:
        plan = plan_with(**changes)
        return {job for job, digest in digests(plan).items() if digest != before.get(job)}

    caption = changed(pages={"captions": {"figure5": "Another"}})
    assert caption == {"pages/figure5", "pages/report", "pages/ro-crate"}
    caption = changed(pages={"captions": {"table5": "Another"}})
    assert caption == {"pages/table5", "pages/summary", "pages/report", "pages/ro-crate"}
    assert changed(hardware={"workers": 3}) == set()


def test_the_configuration_on_the_page_makes_the_same_jobs(page):
    written = re.search(r"<summary>The configuration</summary><pre>(.*?)</pre>", page, re.DOTALL)[1]
    config = parse(yaml.safe_load(html.unescape(written)))
    assert configs(paper.plan_of(config, TABLES, FIGURES)) == configs(PLAN)


# --- the file -------------------------------------------------------------------------------------


def test_it_needs_nothing_else(page):
    """No address but those of its own parts; the one other text with http says what to download."""
    found = Elements(page)
    assert found.addresses == []
    assert "@import" not in page
    assert not re.findall(r"url\((?!#)", page)
    assert found.names["link"] == found.names["iframe"] == found.names["img"] == 0
    assert len(page.encode()) < 1_000_000
    assert found.names["svg"] == 2


def test_every_link_leads_somewhere_and_every_id_stands_once(page):
    found = Elements(page)
    assert [name for name, n in found.ids.items() if n > 1] == []
    assert len(found.links) > 40
    assert [link for link in found.links if link not in found.ids] == []
    for name in re.findall(r"url\(#([^)]+)\)", page):
        assert name in found.ids


def ours(text: str) -> list[str]:
    """What the cells of some tables show of ours."""
    text = re.sub(r'<span class="(paper|less)">.*?</span>', "", text, flags=re.DOTALL)
    cells = re.findall(r"<td[^>]*>(.*?)</td>", text, re.DOTALL)
    return [" ".join(html.unescape(re.sub("<[^>]*>", "", cell)).split()) for cell in cells]


@pytest.mark.parametrize("name", PLAN.tables)
def test_it_shows_the_digits_of_the_tables_own_pages(results, page, name):
    part = page[page.index(f'<article id="{name}">') :]
    shown = ours(part[: part.index("</article>")])
    assert shown == ours((results / f"{name}.html").read_text(encoding="utf-8"))
    assert sum("±" in cell or "missing" in cell for cell in shown) > 5


def test_it_follows_the_paper(page):
    order = [m[1] for m in re.finditer(r'<(?:section|article) id="([^"]+)"', page)]
    order = [name for name in order if not name.startswith("section-")]
    assert order[:3] == ["first-figure5", "claims", "text"]
    assert order[3:9] == ["section3.3", "figure5", "table2", "table5", "table7", "figure8"]
    assert order[-3:] == ["released", "missing", "origin"]
    assert set(PLAN.tables) | set(PLAN.figures) <= set(order)


def test_rendering_it_again_gives_the_same_bytes(results, page, tmp_path):
    assert report.page(planned(results), results) == page


def test_it_says_what_is_missing_and_how_to_give_it(page):
    part = page[page.index('<section id="missing"') : page.index('<section id="origin"')]
    notes = {c.note for t in PLAN.tables.values() for c in t.cells() if c.source == "missing"}
    assert len(notes) == 8
    for note in notes:
        assert part.count(escape(note)) == 1
    assert part.count("Released weights (3 cells)") == 8


def test_every_claim_stands_with_its_verdict(results, page):
    lines = (results / "claims.csv").read_text().count("\n") - 1
    assert page.count('<li id="claim-') == lines == len(paper.CLAIMS)
    each = (results / "claims.comparisons.csv").read_text()
    part = page[page.index('<section id="claims"') : page.index('<section id="text"')]
    for label in re.findall(r"^adapt-always,([^,]+),", each, re.MULTILINE):
        assert f"<td>{label}</td>" in part
    assert part.count('<a href="#table5">') >= 8


def test_it_says_what_the_jobs_took_and_which_left_no_time(results, tmp_path):
    config = planned(results)
    job = next(name for name, job in config.jobs.items() if job.stage == "render")
    file = results / job / "benchmark.tsv"
    kept = file.read_text()
    n = sum(job.stage == "render" for job in config.jobs.values())
    try:
        file.write_text(kept.replace(f"{len(job)}.5", "7200.0"))
        text = report.page(config, results)
        assert re.search(rf"<td>rendering images</td><td>{n}</td><td>2 h .. min</td>", text)
        file.unlink()
        text = report.page(config, results)
        assert "1 job without a recorded time" in text
        assert f"<td>rendering images</td><td>{n - 1}</td>" in text
    finally:
        file.write_text(kept)


def test_durations():
    shown = [origins.duration(s) for s in (0.4, 59.6, 61, 3599.7, 7500, 86400 * 3 + 7200)]
    assert shown == ["0 s", "1 min 00 s", "1 min 01 s", "1 h 00 min", "2 h 05 min", "3 days 2 h"]


def test_a_difference_is_in_the_unit_of_its_cell():
    def shown(metric: str, ours: float | None, paper: float | None) -> str:
        return tables.difference(Cell("", "", "", "", metric), Number(ours, paper), 1)

    assert shown("top1", 50.25, 60.0) == "−9.8"
    assert shown("top1", 60.0, 50.25) == "+9.8"
    assert shown("parameters", 4.9, 25.6) == "−20.7M"
    assert shown("hours", 0.02, 111.9) == "−111.9"
    assert shown("forward_ms", 7.0, 29.4) == "-22.4"
    assert shown("top1", None, 50.0) == shown("top1", 50.0, None) == "–"


def planned(results) -> Report:
    """The report as its job reads it."""
    return Report.of(json.loads((results / "pages/report/config.json").read_text()))


# --- what is wrong is said ------------------------------------------------------------------------


def spoiled(results, name: str, text: str) -> str:
    """The error of a report one of whose files has another content."""
    kept = (results / name).read_bytes()
    (results / name).write_text(text)
    try:
        with pytest.raises(JobError) as error:
            report.page(planned(results), results)
    finally:
        (results / name).write_bytes(kept)
    return str(error.value)


def test_pages_that_are_not_of_this_plan_are_named(results):
    other = plan_with(pages={"decimals": 3}).resolved("pages/table9")
    said = spoiled(results, "pages/table9/config.json", jobs.canonical(other))
    assert "pages/table9/config.json: not what Snakemake planned" in said
    assert "Delete " in said
    assert "table9.md" in said
    [found] = PLAN.tables["table9"].blocks[0].cells[0][0].runs
    metrics = jobs.read_json(results / found.metrics)
    said = spoiled(results, found.metrics, json.dumps(metrics | {"k_test": {}}))
    assert re.search(r"row \d+, column \d+: .*metrics\.json: damaged .*\. [Dd]elete it", said)
    said = spoiled(results, found.per_image, "PK")
    assert re.search(r"row \d+, column \d+: .*hits\.npz: damaged .*\. [Dd]elete it", said)
    said = spoiled(results, "figure8.svg", "<svg>")
    assert "figure8.svg: cannot be read as SVG" in said


def test_words_are_shown_and_do_nothing(results):
    config = planned(results).content()
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    config["sections"][0]["about"] = config["sections"][0]["title"] = evil
    config["scale"] = config["configuration"]["scale"] = evil
    text = report.page(Report.of(config), results)
    before = Elements((results / "report.html").read_text(encoding="utf-8")).names
    after = Elements(text).names
    assert after["script"] == before["script"]
    assert after["img"] == 0


# --- drawings -------------------------------------------------------------------------------------

SVG = """<?xml version="1.0"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"
     width="70.5pt" height="28pt" onload="alert(1)">
 <metadata><a href="http://example.org"/></metadata>
 <defs><style>*{stroke: red} .a, .b {fill: blue}</style><clipPath id="p"><rect/></clipPath></defs>
 <script>alert(1)</script>
 <g id="g" clip-path="url(#p)" style="fill: url(#p)"><use xlink:href="#g"/>
 <image xlink:href="data:image/png;base64,AAAA"/><image href="http://example.org/a.png"/></g>
</svg>"""


def test_a_drawing_in_the_page_is_of_the_page_alone(tmp_path):
    file = tmp_path / "a.svg"
    file.write_text(SVG)
    drawn = figures.drawing(file, "figure9", "A <title>")
    found = Elements(drawn)
    assert set(found.ids) == {"figure9-svg", "figure9-p", "figure9-g"}
    assert found.links == ["figure9-g"]
    assert found.addresses == ["data:image/png;base64,AAAA"]
    assert drawn.count("url(#figure9-p)") == 2
    assert "http" not in drawn
    assert "alert" not in drawn
    rules = re.sub(r"\s+", " ", drawn)
    assert "#figure9-svg *{stroke: red}#figure9-svg .a,#figure9-svg .b {fill: blue}" in rules
    assert 'viewBox="0 0 70.5 28"' in drawn
    assert 'style="--own: 70.5pt"' in drawn
    assert found.names["clippath"] == found.names["use"] == 1
    file.write_text("<html/>")
    with pytest.raises(JobError, match=r"wrong element \(got html, expected svg\)"):
        figures.drawing(file, "figure9", "")
