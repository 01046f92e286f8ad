"""The examples of docs/ do what the text says."""

import re

from fixres import paper
from fixres.config import load
from fixres.pages.markdown import markdown
from fixres.pages.numbers import Number, cells, place
from shared import ROOT


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
    assert {job for job in new if after.jobs[job]["stage"] == "train"} == set()
    # One of the six is Table 7's: 160 -> 224, classifier and batch-norm.
    assert {job for job in new if after.jobs[job]["stage"] == "finetune"} == adapted - {
        f"{base}/ft-k56-cls+bn-testda"
    }
    page = after.resolved("pages/table10")
    numbers = {place(c): Number(50.0, None) for c in cells(page)}
    assert markdown(page, numbers, set(), []).count("50.0") == 9
