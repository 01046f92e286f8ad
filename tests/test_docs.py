"""The examples of docs/ do what the text says, and its numbers are those of its CSVs."""

import re
import sys

import numpy as np
import pandas as pd
import pytest

from fixres import paper
from fixres.config import load
from fixres.graph.pages import Page
from fixres.pages.numbers import Number
from fixres.pages.table import markdown
from fixres.pages.view import Measured, View
from shared import ROOT

sys.path.append(str(ROOT / "docs"))
import build


def test_adding_a_table_is_one_declaration():
    """docs/tables.md: only the fine-tunings that are new, and a page that renders."""
    text = (ROOT / "docs/tables.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    namespace: dict = {}
    exec(example, namespace)
    config = load(ROOT / "config.yaml")
    before = paper.plan_of(config)
    after = paper.plan_of(config, [*paper.PAGES, namespace["table10"]])
    new = set(after.jobs) - set(before.jobs)
    base = "runs/pinhole/resnet10q-k40"
    adapted = {
        f"{base}/ft-k{k}-{layers}-testda" for k in (40, 56, 72) for layers in ("cls", "cls+bn")
    }
    assert {job for job in new if after.resolved(job)["stage"] == "train"} == set()
    # One of the six is Table 7's: 160 -> 224, classifier and batch-norm.
    assert {job for job in new if after.resolved(job)["stage"] == "finetune"} == adapted - {
        f"{base}/ft-k56-cls+bn-testda"
    }
    view = View(Page.of(after.resolved("pages/table10")), ROOT)
    view.measured, view.replicas = Measured({}, {}), {}
    view.numbers = {cell.place: Number(50.0, None) for cell in view.page.cells()}
    assert markdown(view).count("50.0") == 9


PLACES = [
    pytest.param(document, place, id=f"{document.name}-{place[1].strip()}")
    for document in build.DOCUMENTS
    for place in build.PLACE.finditer(build.read(document))
]


@pytest.mark.parametrize(("document", "place"), PLACES)
def test_a_number_in_a_document_is_that_of_its_csv(document, place):
    """Every cell, in order: our number, half of its interval, the paper's number."""
    text = place[0]
    if place["what"] == "papers":
        assert build.papers_claims() in text
        return
    if place["what"] == "claims":
        assert build.measured_claims(build.scale_of(place)) in text
        return
    if place["how"] == "trends":
        assert build.trends(build.scale_of(place), place["what"]) in text
        return
    shown = [
        tuple(number or "" for number in cell)
        for line in text.splitlines()
        if line.startswith("|") and "±" in line
        for cell in re.findall(r"\**([\d.]+)\** ± ([\d.]+)(?: ↕)?(?: \(([\d.]+)\))?", line)
    ]
    scale = build.scale_of(place)
    rows = pd.read_csv(build.kept(scale, f"{place['what']}.csv"))
    rows = rows[rows["low"].notna()]  # a number of objects has no interval
    if place["how"] == "short":
        rows = rows[rows["row"].ge(56) & rows["column"].isin(["56", "56 adapted"])]
        rows = rows.sort_values(["row", "column"])
    assert rows["seeds"].min() >= build.seeds_of(scale, place["what"])
    printed = np.array([[float(number or "nan") for number in cell] for cell in shown])
    numbers = rows.assign(half=(rows["high"] - rows["low"]) / 2)[["ours", "half", "paper"]]
    # Rounded to a decimal; 13.95 is so either way.
    np.testing.assert_allclose(printed, numbers, rtol=0, atol=0.0501)


def test_a_figure_in_a_document_is_drawn_from_its_numbers(tmp_path):
    build.draw(tmp_path)
    for name in build.FIGURES:
        assert (tmp_path / f"{name}.svg").read_bytes() == (ROOT / f"docs/{name}.svg").read_bytes()
        shown = (f"{name}.svg)" in build.read(document) for document in build.DOCUMENTS)
        assert any(shown), name


def test_the_documents_show_table_5():
    """In the README five rows, on the page of each scale all, and how trends came out."""
    shown = {(document.name, place["how"]) for document, place in (p.values for p in PLACES)}
    pages = ("embedded-scale.md", "tiny-imagenet.md", "fashion.md")
    assert shown >= {("README.md", "short"), ("claims.md", "claims")}
    assert shown >= {(page, how) for page in pages for how in (None, "trends")}


def test_numbers_are_compared_with_the_copies(tmp_path, capsys):
    """The same bytes; another machine's, within the intervals; a number outside of its interval."""
    copy = build.kept("", "table5.csv")
    (tmp_path / "table5.csv").write_bytes(copy.read_bytes())
    build.compare("", tmp_path)
    assert f"the bytes of {copy}" in capsys.readouterr().out
    rows = pd.read_csv(copy)
    rows.assign(seeds=1).to_csv(tmp_path / "table5.csv", index=False)
    build.compare("", tmp_path)
    assert "not compared, with 1 seed(s)" in capsys.readouterr().out
    rows["ours"] += 0.9 * (rows["high"] - rows["ours"])
    rows.to_csv(tmp_path / "table5.csv", index=False)
    build.compare("", tmp_path)
    assert f"{len(rows)} of {len(rows)} numbers in the 95% intervals" in capsys.readouterr().out
    rows.loc[3, "ours"] = rows.loc[3, "high"] + 0.1
    rows[:-1].to_csv(tmp_path / "table5.csv", index=False)  # and a number is missing
    with pytest.raises(SystemExit):
        build.compare("", tmp_path)
    said = capsys.readouterr().out
    assert f"{len(rows) - 2} of {len(rows)} numbers" in said
    assert len(said.splitlines()) == 4
