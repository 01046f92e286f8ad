"""The claims on sizes and borders, and the numbers on sizes: from numbers with a known answer."""

import numpy as np
import pytest

from fixres import paper
from fixres.config import load
from fixres.graph.api import Missing
from fixres.graph.claims import ClaimsPage
from fixres.graph.values import Cells, Key, Value
from fixres.pages import decided
from shared import ROOT

PLAN = paper.plan_of(load(ROOT / "config.yaml"))


BOXES = {"datasets": {"pinhole": {"source": "tiny-imagenet"}}}


def answer(page: str, name: str, number, plan=PLAN) -> Value | dict[str, Value]:
    """What the function of a claim or of a number returns, for such cells."""
    config = ClaimsPage.of(plan.resolved(f"pages/{page}"))
    assert not config.notes[name]
    [declared] = [one for one in (*paper.CLAIMS, *paper.QUOTED) if one.name == name]
    return declared.number(Cells(config.names, number))


def compared(name: str, number, plan=PLAN) -> dict[str, float]:
    found = decided.compared(answer("claims", name, number, plan))
    return {one.label: one.value.ours for one in found}


def swept(key: Key) -> Value:
    """A network that gains a point each 100 px, and loses two just above multiples of 32.

    One pixel of the embedded scale is four of the paper.
    """
    page, row, k, metric = key
    assert (page, row, metric) == ("figure7", "accuracy", "top1")
    ours = 60 + int(k) / 100 - 2 * (int(k) % 32 == 4)
    return Value(ours, np.full(4000, ours), None)


def test_a_drop_just_above_a_multiple_of_the_stride_is_found():
    drops = compared("border-each", swept)
    assert drops == pytest.approx({f"at {k}": 1.96 for k in range(160, 384, 32)})
    assert compared("border", swept)[""] == pytest.approx(1.96)


def test_without_drops_the_trend_alone_is_no_border():
    def smooth(key: Key) -> Value:
        ours = int(key.column) / 100
        return Value(ours, np.full(4000, ours), None)

    assert compared("border", smooth)[""] == pytest.approx(-0.04)


def test_larger_objects_at_train_time_are_the_mismatch():
    """Of objects without boxes, by eq. (4) alone."""

    def cell(key: Key) -> Value:
        if key.page == "section3.1":
            raise Missing(str(key))
        assert str(key) == "figure1 | 224 224 | log_ratio | log_ratio"
        return Value(-0.2, np.full(4000, -0.2), None)

    assert compared("mismatch", cell) == pytest.approx({"": 0.2})


def test_with_boxes_the_mismatch_is_of_what_the_crops_show_too():
    of_boxes = {"visible_ratio_log, all": 0.1, "in_crop_ratio_log, all": -0.3, "log_ratio": -0.2}

    def cell(key: Key) -> Value:
        return Value(of_boxes[key.metric], np.full(4000, of_boxes[key.metric]), None)

    plan = paper.plan_of(load(ROOT / "config.yaml", extra=BOXES))
    assert compared("mismatch", cell, plan) == pytest.approx(
        {
            "by its scale, eq. (4)": 0.2,
            "by its visible part": -0.1,
            "by its visible part, in crops that show it": 0.3,
        }
    )


@pytest.mark.parametrize(("sign", "expected"), [(1, 1.0), (-1, -1.0)])
def test_gains_that_rise_with_the_images_are_correlated(sign, expected):
    order = {name: i for i, name in enumerate(dict.fromkeys(x[0] for x in paper.printed("table3")))}

    def cell(key: Key) -> Value:
        rank = order[key.row]
        ours = {"Baseline": 80.0, "+our method": 80.0 + sign * rank, "Image size": 100.0 + rank}
        return Value(ours[key.column], np.full(4000, ours[key.column]), None)

    assert compared("transfer-size", cell)[""] == pytest.approx(expected)


def test_the_numbers_of_section_3():
    known = {"expected_ratio": 0.81, "ratio": 0.8, "margin": 8 / 7, "least_ratio": 0.3, "seen": 67}

    def cell(key: Key) -> Value:
        return Value(known[key.metric], None, None)

    found = {
        name: answer("text", name, cell).ours
        for name in ("ratio-expected", "ratio", "margin", "third", "alpha", "images")
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


@pytest.mark.parametrize(("at_160", "said"), [(160, True), (112, False)])
def test_a_scale_that_has_other_pixels_for_160_says_nothing_about_160(at_160, said):
    """In log_ratio, objects look a quarter larger at train time than at test time."""

    def cell(key: Key) -> Value:
        k_train, k_test = map(int, key.row.split())
        k_train = at_160 if k_train == 160 else k_train
        ours = float(np.log(k_train / k_test * 1.25))
        return Value(ours, np.full(4000, ours), None)

    found = compared("sizes-alike", cell)
    usual = np.log(1.25)
    gain = pytest.approx(usual - abs(np.log(160 / 224 * 1.25)))
    assert found["k_train 160"] == (gain if said else None)
    assert found["k_test 288"] == pytest.approx(usual - abs(np.log(224 / 288 * 1.25)))
