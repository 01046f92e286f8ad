"""Pages: the paper's numbers, the layout, the formats, what is escaped."""

import csv
import io
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixres import paper
from fixres.config import load
from fixres.graph.pages import Cell, Page
from fixres.jobs import JobError
from fixres.jobs.quoting import plain
from fixres.pages import layout, summary, trends
from fixres.pages import numbers as page_numbers
from fixres.pages.figures import accuracy
from fixres.pages.table import markdown, webpage
from fixres.pages.view import Measured, View
from shared import ROOT

PAGE = Page.of(paper.plan_of(load(ROOT / "config.yaml")).resolved("pages/table5"))


def numbers_of(page: Page) -> dict:
    """Some distinct number for every cell."""
    return {
        c.place: page_numbers.Number(
            (ours := 40 + 0.713 * i), c.paper, ours - 1.2, ours + 1.4, 5, fold_std=0.123
        )
        for i, c in enumerate(page.cells())
    }


def view_of(page: Page, numbers: dict, notes: tuple[str, ...] = ()) -> View:
    """A page with these numbers, which no run has left."""
    view = View(page, ROOT)
    view.measured = Measured({"run": {"notes": notes}}, {})
    view.numbers, view.replicas = numbers, {}
    return view


def tidy(page: Page, numbers: dict) -> str:
    """The CSV of a page."""
    return page_numbers.csv(view_of(page, numbers).frame())


def test_the_papers_table_5():
    """63 numbers; those that the text repeats (§3.3, Table 4, Table 7) agree."""
    reference = paper.printed("table5")
    assert len(reference) == 7 * (5 + 4)
    value = {(int(r), c): v for (r, c, _), v in reference.items()}
    section_3_3 = {64: 29.4, 128: 65.4, 224: 77.0, 288: 78.4, 384: 77.7, 448: 76.6}
    assert {r: value[r, "224"] for r in section_3_3} == section_3_3
    table_4_last_row_but_one = {64: 41.7, 224: 77.1, 288: 78.6, 384: 79.0}
    assert {r: value[r, "224 adapted"] for r in table_4_last_row_but_one} == pytest.approx(
        table_4_last_row_but_one, abs=0.11
    )
    table_7 = {
        (128, 128): 73.3,
        (224, 224): 77.0,
        (384, 384): 78.2,
        (160, 224): 77.3,
        (224, 288): 78.4,
    }
    assert {key: value[key[1], str(key[0])] for key in table_7} == table_7
    assert value[224, "128 adapted"] == 77.1
    assert value[384, "224 adapted"] == 79.0
    sums = {
        c: round(sum(v for (_, column), v in value.items() if column == c), 1)
        for c in ("64", "128", "160", "224", "384")
    }
    assert sums == {"64": 275.6, "128": 470.4, "160": 480.7, "224": 480.4, "384": 442.0}


def test_the_default_page_is_the_papers():
    """Every cell of the embedded table stands for one that the paper printed, each once."""
    cells = PAGE.cells()
    stands_for = [(c.paper_row, c.paper_column, c.metric) for c in cells]
    assert sorted(stands_for) == sorted(paper.printed("table5"))
    assert all(int(c.row) * 4 == int(c.paper_row) for c in cells)


def test_the_csv_has_a_row_a_cell():
    numbers = numbers_of(PAGE)
    rows = list(csv.DictReader(io.StringIO(tidy(PAGE, numbers))))
    assert list(rows[0]) == page_numbers.COLUMNS
    assert len(rows) == 63
    for row in rows:
        number = numbers[tuple(row[key] for key in page_numbers.OF_CELL[:4])]
        assert float(row["ours"]) == pytest.approx(number.ours, abs=5e-5)
        assert float(row["paper"]) == number.paper
        assert float(row["high"]) - float(row["low"]) == pytest.approx(2.6, abs=1e-4)
        assert (row["seeds"], row["fold_std"], row["time_std"]) == ("5", "0.1230", "")
        assert (row["table"], row["metric"], row["source"]) == ("table5", "top1", "measured")


def test_the_markdown_shows_each_number_in_its_place():
    page = PAGE.model_copy(update={"notes": ()})
    text = markdown(view_of(page, numbers_of(page), ("A remark.",)))
    assert text.startswith("# Table 5\n")
    assert text.endswith("\n\n- A remark.\n")
    assert "Measured at the embedded scale (quarter-scale ResNet-10 on pinhole)" in text
    grids = [
        [line for line in part.splitlines() if line.startswith("|")]
        for part in text.split("**Right")
    ]
    for grid, block in zip(grids, PAGE.blocks, strict=True):
        head, _, *body = ([cell.strip() for cell in line.strip("|").split("|")] for line in grid)
        assert head == ["test \\ train", *(f"{ours} ({paper})" for ours, paper in block.columns)]
        assert [row[0] for row in body] == [
            f"{ours} ({paper})" for ours, paper in (row.key for row in block.rows)
        ]
        numbers, cells = numbers_of(PAGE), iter(cell for line in block.cells for cell in line)
        for row in body:
            for cell in row[1:]:
                declared = next(cells)
                number = numbers[declared.place]
                assert (
                    cell.replace("**", "").replace(f" {layout.TURNED}", "")
                    == f"{number.ours:.1f} ± 1.3 ({number.paper:.1f})"
                )
        assert [sum("**" in row[column] for row in body) for column in range(1, len(head))] == [
            1
        ] * len(block.columns)


@given(st.lists(st.sampled_from([50.0, 50.04, 50.06, 61.2, 7.0]), min_size=4, max_size=4))
def test_the_best_is_what_is_printed_as_best(values):
    cells = [Cell(str(i), "a", "", "", "top1") for i in range(4)]
    numbers = {(str(i), "a", "", ""): page_numbers.Number(v, None) for i, v in enumerate(values)}
    printed = [f"{v:.1f}" for v in values]
    highest = max(printed, key=float)
    assert page_numbers.best(cells, numbers, 1) == {
        (str(i), "a", "", "") for i, text in enumerate(printed) if text == highest
    }


def test_what_the_paper_did_not_print_stays_empty():
    config = load(ROOT / "config.yaml")
    wider = config.model_copy(
        update={
            "table5": config.table5.model_copy(
                update={"k_test": [64], "k_train": [56], "k_train_adapted": []}
            )
        }
    )
    page = Page.of(paper.plan_of(wider).resolved("pages/table5"))
    text = markdown(view_of(page, numbers_of(page)))
    assert "| **40.0** ± 1.3 |" in text.replace("  ", "")
    assert (
        tidy(page, numbers_of(page)).splitlines()[1]
        == "table5,64,56,256,224,top1,,40.0000,38.8000,41.4000,5,0.1230,,measured"
    )
    accuracy.accuracy_over_resolution(view_of(page, numbers_of(page)).frame(), page)


def test_markdown_is_escaped_where_it_would_be_read_as_such():
    assert plain("a|b *c* `d` <e> [f] _g_\n h") == r"a\|b \*c\* \`d\` \<e> \[f] \_g\_ h"
    assert plain("k_test https://a.b/c_d-e.pth") == "k_test https://a.b/c_d-e.pth"


def test_text_from_the_configuration_is_escaped():
    evil = {"caption": "<script>alert(1)</script> & more", "subject": ("a<b", "c")}
    text = webpage(view_of(PAGE.model_copy(update=evil), numbers_of(PAGE), ("<script>",)))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize(
    "content", [None, "{", '{"k_test": {}}', '{"k_test": {"16": {"top1": 1.0}}}']
)
def test_missing_or_damaged_metrics_name_the_cell_and_the_file(tmp_path, content):
    file = tmp_path / "runs/pinhole/resnet10q-k16/evaluation/metrics.json"
    for found in {found for cell in PAGE.cells() for found in cell.measurements()}:
        (tmp_path / found.run / "evaluation").mkdir(parents=True)
        if content is not None:
            (tmp_path / found.metrics).write_text(content)
    with pytest.raises(JobError) as caught:
        View(PAGE, tmp_path).numbers  # noqa: B018 (it reads the files)
    for part in ("Table 5, row 16, column 16", str(file)):
        assert part in str(caught.value)


def test_the_papers_other_tables():
    """Counts; rows that the paper prints twice agree."""
    one, two, three = (paper.printed(f"table{n}") for n in (1, 2, 3))
    assert (len(one), len(two), len(three)) == (3 * 6 + 1 + 3, 20 * 3, 5 * 3)
    assert (
        one["ResNeXt-101 32x48d cls+bn", "320", "top1"]
        == two["Our ResNeXt-101 32x48d", "Top-1 (%)", "top1"]
        == 86.4
    )
    assert (
        one["PNASNet-5-Large cls+bn+cells", "480", "top1"]
        == two["Our PNASNet-5", "Top-1 (%)", "top1"]
        == 83.7
    )
    assert (
        one["ResNeXt-101 32x48d cls+bn", "224", "top1"]
        == two["ResNeXt-101 32x48d", "Top-1 (%)", "top1"]
        == 85.4
    )
    assert sum(v for (_, _, m), v in two.items() if m == "top1") == pytest.approx(1637.6)
    assert all(
        three[name, "+our method", "top1"] > three[name, "Baseline", "top1"] for name, _, _ in three
    )


def test_the_appendix_tables():
    """Counts; numbers that the paper prints in several places."""
    names = ["table4", "table6", "table7", "table8", "table9", "section3.3", "appendixA.1"]
    value = {
        name: {(r, c): v for (r, c, m), v in paper.printed(name).items() if m == "top1"}
        for name in [*names, "table5"]
    }
    assert [len(value[name]) for name in names] == [25, 60, 9, 8, 32, 8, 6]
    six, five = value["table6"], value["table5"]
    for k in ("64", "128", "224", "288", "384", "448"):
        assert six["224 none", k] == five[k, "224"]
        assert six["128 none", k] == five[k, "128"]
        assert six["224 cls+bn test DA", k] == five[k, "224 adapted"]
        assert six["128 cls+bn test DA", k] == five[k, "128 adapted"]
        assert value["section3.3"]["accuracy", k] == six["224 none", k]
    four = value["table4"]
    assert {k: four["none", k] for k in ("64", "224", "288", "384")} == {
        k: six["224 none", k] for k in ("64", "224", "288", "384")
    }
    assert [four["cls+bn", k] - six["224 cls+bn test DA", k] for k in ("64", "224", "384")] == [
        0,
        0,
        0,
    ]
    assert four["cls+bn", "288"] == pytest.approx(
        six["224 cls+bn test DA", "288"] - 0.1
    )  # the paper prints 78.5 and 78.6
    seven = value["table7"]
    assert seven["128 224 fine-tuned", "accuracy"] == five["224", "128 adapted"]
    assert seven["224 384 fine-tuned", "accuracy"] == five["384", "224 adapted"]
    assert all(seven[f"{k} {k}", "accuracy"] == five[str(k), str(k)] for k in (128, 224, 384))
    hours = {r: v for (r, _, m), v in paper.printed("table7").items() if m == "hours"}
    assert hours["128 224 fine-tuned"] / hours["128 128"] == pytest.approx(
        1.11, abs=0.005
    )  # §5.1: +11%
    assert hours["384 384"] / hours["224 384 fine-tuned"] == pytest.approx(
        2.3, abs=0.01
    )  # §5.1: 2.3× faster
    two = paper.printed("table2")
    assert value["table8"]["ResNet-50 320", "test DA2"] == two["Our ResNet-50", "Top-1 (%)", "top1"]
    assert (
        value["table8"]["ResNet-50 CutMix 384", "test DA2"]
        == two["Our ResNet-50 CutMix", "Top-1 (%)", "top1"]
    )
    assert (
        value["table8"]["ResNext-101 32x48d 320", "test DA2"]
        == two["Our ResNeXt-101 32x48d", "Top-1 (%)", "top1"]
    )
    nine = value["table9"]
    assert [
        max(v for (r, c), v in nine.items() if c == k) for k in ("64", "128", "224", "384")
    ] == [61.6, 72.4, 75.2, 77.0]


ALL = [
    "table1",
    "table2",
    "table3",
    "table4",
    "table6",
    "table7",
    "table8",
    "table9",
    "section3.3",
    "appendixA.1",
    "released",
]


@pytest.mark.parametrize("name", ALL)
def test_every_cell_of_a_page_is_measured_reported_or_missing(name):
    """Each stands for one printed number, once; CSV, Markdown and HTML show all of them.

    The paper prints no sizes of images.
    """
    page = Page.of(paper.plan_of(load(ROOT / "config.yaml")).resolved(f"pages/{name}"))
    shown = page.cells()
    if name != "released":
        printed = {key for key in paper.printed(name) if key[2] != "ms_std"}
        assert sorted(
            (
                c.paper_row,
                c.paper_column,
                c.metric.split("_")[-1] if "_ms" in c.metric else c.metric,
            )
            for c in shown
            if c.metric != "image_size"
        ) == sorted(printed)
    assert {c.source for c in shown} <= {"measured", "reported", "missing"}
    numbers = {
        c.place: page_numbers.Number(
            17.3 if c.source == "measured" else None,
            c.paper,
            time_std=0.1 if c.runs else None,
            paper_std=c.paper_std,
        )
        for c in shown
    }
    view = view_of(page, numbers)
    text, web = markdown(view), webpage(view)
    for text_ in (text, web):
        assert text_.count("17.3") == sum(c.source == "measured" for c in shown)
        assert text_.count("missing [") == sum(c.source == "missing" for c in shown)
    assert (
        len(re.findall(r"(?<!\*)\*[\d.]+M?\*(?!\*)", text))
        == web.count('class="reported"')
        == sum(c.source == "reported" for c in shown)
    )
    rows = list(csv.DictReader(io.StringIO(tidy(page, numbers))))
    assert [row["source"] for row in rows] == [c.source for c in shown]
    assert all((row["ours"] == "") == (row["source"] != "measured") for row in rows)
    for reason in view.reasons:
        assert plain(reason) in text


def trends_of(
    ours: list[float], paper: list[float], noise: float = 0.1
) -> tuple[list[trends.Pair], set]:
    """The trends of one row: numbers that vary alone, normally, with deviation `noise`."""
    row = [Cell("r", str(i), "R", str(i), "top1", p) for i, p in enumerate(paper)]
    at = [cell.place for cell in row]
    numbers = {a: page_numbers.Number(o, p) for a, o, p in zip(at, ours, paper, strict=True)}
    rng = np.random.default_rng(0)
    replicas = {a: o + noise * rng.normal(size=4000) for a, o in zip(at, ours, strict=True)}
    pairs = trends.pairs(row, numbers, replicas)
    return pairs, {int(cell[1]) for cell in trends.turned_cells(pairs)}


def test_trends():
    """By hand: pairs that the paper tells apart, decided by the interval of our difference."""
    verdicts = [p.verdict for p in trends_of([1, 2, 3], [50.0, 60.0, 70.0])[0]]
    assert verdicts == [trends.SAME] * 3
    pairs, cells = trends_of([10, 30, 20], [50.0, 60.0, 70.0])
    assert [(p.a[1], p.b[1]) for p in pairs if p.verdict == trends.OTHER] == [("1", "2")]
    assert cells == set()  # one of two is not most of them
    pairs, cells = trends_of([30, 10, 20, 25], [50.0, 60.0, 70.0, 80.0])
    assert cells == {0}
    (pair,) = trends_of([10.0, 9.8], [50.0, 60.0])[0]
    assert pair.verdict == trends.UNDECIDED  # 0.2 is less than 1.96 · 0.14
    assert pair.low < pair.ours < pair.high
    assert trends_of([10.0, 9.5], [50.0, 60.0])[0][0].verdict == trends.OTHER
    assert trends_of([10.0, 5.0], [50.0, 50.4])[0] == []  # the paper does not tell them apart
    line = trends.frame([pair]).iloc[0]
    assert (line["line"], line["from"], line["to"]) == ("row R", "0", "1")


def test_a_cell_that_is_undecided_is_not_marked():
    """One decided trend of three marks a cell; undecided ones count for nothing."""
    pairs, cells = trends_of([50, 50.01, 50.02, 20], [50.0, 60.0, 70.0, 80.0])
    assert sum(p.verdict == trends.UNDECIDED for p in pairs) == 3
    assert cells == {0, 1, 2, 3}


def summarised(folder, names: list[str]) -> str:
    """The summary of some pages whose CSVs are in a folder."""
    config = folder / "config.json"
    config.write_text(json.dumps({"stage": "summary", "scale": "embedded", "tables": names}))
    out = folder / "summary.md"
    summary.main(["--config", str(config), "--results", str(folder), "--out", str(out)])
    return out.read_text()


def test_the_summary_counts_every_cell(tmp_path):
    """From CSVs of two pages: cells by source and trends by verdict; those that differ in order.

    A damaged CSV is named.
    """
    names = ["table5", "released"]
    rng = np.random.default_rng(0)
    for name in names:
        page = Page.of(paper.plan_of(load(ROOT / "config.yaml")).resolved(f"pages/{name}"))
        at = {c.place: c for c in page.cells()}
        ours = {a: 90 - c.paper for a, c in at.items() if c.source == "measured"}
        numbers = {a: page_numbers.Number(ours.get(a), c.paper) for a, c in at.items()}
        replicas = {a: value + rng.normal(size=4000) for a, value in ours.items()}
        found = trends.frame(trends.pairs(page.cells(), numbers, replicas))
        (tmp_path / f"{name}.csv").write_text(tidy(page, numbers))
        (tmp_path / f"{name}.trends.csv").write_text(page_numbers.csv(found))
        if name == "table5":
            count = found["verdict"].value_counts()
    text = summarised(tmp_path, names)
    counted = rf"0 \| +{count[trends.OTHER]} \| +{count[trends.UNDECIDED]} \|"
    assert re.search(rf"\[table5\]\(table5.md\) +\| +63 \| +63 \| +0 \| +0 \| +{counted}", text)
    assert re.search(
        r"\[released\]\(released.md\) +\| +24 \| +0 \| +0 \| +24 \| +0 \| +0 \| +0 \|", text
    )
    assert re.search(rf"all pages +\| +87 \| +63 \| +0 \| +24 \| +{counted}", text)
    shown = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.split("**The 12 largest")[1].splitlines()[4:]
    ]
    assert len(shown) == 12
    assert shown[0][1:5] == ["row 480", "64 → 384 adapted", "+69.3", "-69.3"]  # 9.7 and 79.0
    assert all(float(line[3]) * float(line[4]) < 0 for line in shown)
    (tmp_path / "table5.csv").write_text("a,b\n1,2\n")
    with pytest.raises(JobError, match=r"table5.csv: wrong columns \(got a, b"):
        summarised(tmp_path, names)
