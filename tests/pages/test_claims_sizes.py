"""The claims on sizes and borders, and the numbers on sizes: from numbers with a known answer."""

import numpy as np
import pytest
from fixres.pages.quantities import Value

from fixres import paper
from fixres.config import load
from fixres.pages import decided, text
from shared import ROOT

PLAN = paper.plan_of(load(ROOT / "config.yaml"))


def compared(name: str, cell: decided.Lookup) -> dict[str, float]:
    claims = {c["name"]: c for c in PLAN.resolved("pages/claims")["claims"]}
    assert not claims[name]["note"]
    return {one.label: one.value.ours for one in decided.compared(claims[name]["above_0"], cell)}


def swept(key: str) -> Value:
    """A network that gains a point each 100 px, and loses two just above multiples of 32.

    One pixel of the embedded scale is four of the paper.
    """
    page, row, k, metric = key.split(" | ")
    assert (page, row, metric) == ("figure7", "accuracy", "top1")
    ours = 60 + int(k) / 100 - 2 * (int(k) % 32 == 4)
    return Value(ours, np.full(4000, ours), None)


def test_a_drop_just_above_a_multiple_of_the_stride_is_found():
    drops = compared("border-each", swept)
    assert drops == pytest.approx({f"at {k}": 1.96 for k in range(160, 384, 32)})
    assert compared("border", swept)[""] == pytest.approx(1.96)


def test_without_drops_the_trend_alone_is_no_border():
    def smooth(key: str) -> Value:
        ours = int(key.split(" | ")[2]) / 100
        return Value(ours, np.full(4000, ours), None)

    assert compared("border", smooth)[""] == pytest.approx(-0.04)


def test_larger_objects_at_train_time_are_the_mismatch():
    def cell(key: str) -> Value:
        assert key == "figure1 | 224 224 | log_ratio | log_ratio"
        return Value(-0.2, np.full(4000, -0.2), None)

    assert compared("mismatch", cell)[""] == pytest.approx(0.2)


@pytest.mark.parametrize(("sign", "expected"), [(1, 1.0), (-1, -1.0)])
def test_gains_that_rise_with_the_images_are_correlated(sign, expected):
    order = {name: i for i, name in enumerate(dict.fromkeys(x[0] for x in paper.printed("table3")))}

    def cell(key: str) -> Value:
        _, row, column, _ = key.split(" | ")
        rank = order[row]
        ours = {"Baseline": 80.0, "+our method": 80.0 + sign * rank, "Image size": 100.0 + rank}
        return Value(ours[column], np.full(4000, ours[column]), None)

    assert compared("transfer-size", cell)[""] == pytest.approx(expected)


def test_the_numbers_of_section_3():
    numbers = {n["name"]: n for n in PLAN.resolved("pages/text")["numbers"]}
    known = {"expected_ratio": 0.81, "ratio": 0.8, "margin": 8 / 7, "least_ratio": 0.3, "seen": 67}

    def cell(key: str) -> Value:
        return Value(known[key.split(" | ")[-1]], None, None)

    found = {
        name: text.line(n, cell)["ours"]
        for name, n in numbers.items()
        if not n["note"]
        and name in ("ratio-expected", "ratio", "margin", "third", "alpha", "images")
    }
    assert found == pytest.approx(
        {
            "ratio-expected": 0.81,
            "ratio": 0.8,
            "margin": 8 / 7,
            "third": 0.3,
            "alpha": 1.25,
            "images": 67,
        }
    )
