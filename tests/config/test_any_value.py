"""Whatever value one key is given: it is planned, or one message names the key.

The keys are those of the schema; the values are what YAML can say, and some that are meant badly.
"""

import copy
import datetime
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixres import config
from fixres.config import ConfigError, parse
from fixres.config.datasets import Dataset
from fixres.config.fields import section_of
from fixres.config.training import BaseTraining, FineTuning, NetworkSettings
from fixres.graph.costs import Costs
from fixres.graph.pages import Cost
from fixres.jobs import canonical
from fixres.paper import plan_of
from shared import NETWORK

PAPER = {
    "scale": "test",
    "datasets": {"pinhole": {"rendered": {}}},
    "networks": {"senet154": {"weights": {"timm": "a"}}, "resnet10q": {}},
    "base_training": {"batch_size": 64},
    "transfer": {"datasets": {"cars": "pinhole"}},
    "weak_supervision": {"dataset": "pinhole"},
    "pages": {"only": ["table3", "table5"]},
}
CUSTOM = {
    "datasets": {"pinhole": {"rendered": {}}},
    "custom": {"name": "mine", "network": NETWORK, "train": True, "k_test": [224, 288]},
}


def keys(section: type[config.Section], *above: str):
    """The keys of a section, and of the sections in it."""
    for name, field in section.model_fields.items():
        yield (*above, name)
        if inside := section_of(field.annotation):
            yield from keys(inside, *above, name)


KEYS = [
    *keys(config.Config),
    *keys(Dataset, "datasets", "pinhole"),
    *keys(NetworkSettings, "networks", "senet154"),
    *keys(BaseTraining, "networks", "resnet10q", "base_training"),
    *keys(FineTuning, "networks", "resnet10q", "fine_tuning"),
    *keys(FineTuning, "networks", "senet154", "fine_tuning_on", "test DA2"),
    *keys(BaseTraining, "transfer", "training"),
    *keys(FineTuning, "transfer", "fine_tuning"),
    *keys(BaseTraining, "weak_supervision", "training"),
    *keys(BaseTraining, "weak_supervision", "adaptation"),
    ("transfer", "datasets", "cars"),
    ("pages", "captions", "table5"),
    ("custom", "network", "options", "a"),
]
LOOP: list = []
LOOP.append(LOOP)
WORDS = ["", " ", "x" * 300, "a\nb", "\0", "\x1b[31m", "\ud800", "é", "../../etc", "$NOWHERE", "s1"]
WORDS += ["1e-3", "null", "{job}", "--help", "a/b", "resnet50", "senet154", "pinhole", "test DA"]
NUMBERS = [-1, 0, 1, 2, 3, 8, 16, 33, 2**31, 2**32, 2**63, 2**64, 10**17, 10**30, 10**400]
NUMBERS += [-1.5, 5e-324, 1e-30, 1e-9, 0.1, 0.5, 1.5, 1e17, 1e300, math.inf, -math.inf, math.nan]
OTHERS = [None, True, False, datetime.date(2020, 1, 1), b"a", {1}, (1,), LOOP, [], {}, {1: 2}]
ONE = st.sampled_from(WORDS + NUMBERS + OTHERS) | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    ONE, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v), max_leaves=4
)


@pytest.mark.parametrize("base", [PAPER, CUSTOM], ids=["paper", "custom"])
def test_the_bases_are_planned(base):
    assert plan_of(parse(base)).jobs


@pytest.mark.parametrize("base", [PAPER, CUSTOM], ids=["paper", "custom"])
@given(key=st.sampled_from(KEYS), value=VALUES)
@settings(max_examples=1000, deadline=None)
def test_any_value_of_any_key_is_planned_or_told(base, key, value):
    content = inside = copy.deepcopy(base)
    for part in key[:-1]:
        inside = inside.setdefault(part, {})
    inside[key[-1]] = value
    try:
        plan = plan_of(parse(content))
    except ConfigError as error:
        message = str(error)
        assert any(part in message for part in key), message
        assert all(line.isprintable() for line in message.split("\n")), message
        return
    for job in plan.jobs.values():
        json.loads(canonical(job.config), parse_constant=pytest.fail)  # of NaN and Infinity
        assert all(len(part.encode()) < 255 for part in job.id.split("/"))
    costs = Costs(Cost.of(plan.resolved("pages/plan")), Path("nowhere"))
    assert all(math.isfinite(costs.seconds(name)) for name in costs.jobs)
