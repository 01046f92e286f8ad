"""Times have a spread: where rounds or batches disagree, it is said."""

import pytest

from fixres.artifacts import metrics
from fixres.stages import timing


@pytest.mark.parametrize(
    ("times", "agree"),
    [
        ([10.0] * 5, True),
        ([10, 10.4, 11, 12, 90], True),  # other work met one of five rounds
        ([0.25, 1.8, 1.9, 40, 110], False),
        ([10, 30, 30, 30, 30], False),  # it met all but one
        ([*[10.0] * 24, *[50.0] * 6], True),
        ([*[10.0] * 23, *[50.0] * 7], False),
    ],
)
def test_most_of_the_times_of_the_same_work_are_alike(times, agree):
    assert metrics.agree(times) is agree


def test_batches_that_disagree_are_noted():
    """A note of metrics.json is printed under every table with the number."""
    times = {"forward": [0.25, 1.8, 1.9, 40, 110], "backward": [3.0] * 5}
    [note] = timing.disagreements("timing/pinhole/net-k56", times)
    assert note.startswith("timing/pinhole/net-k56: forward passes took 0.25 to 110 ms; no concl")
