"""The trial of a network's speed: rounds, beside others at work and alone."""

import pytest

from fixres.recommend.trial import FEWEST, MOST, Pace, Round, described, pace


def rounds(*pairs: tuple[float, float]):
    """A function that gives these rounds, and the last one for ever."""
    left = [Round(*pair) for pair in pairs]
    return lambda: left.pop(0) if len(left) > 1 else left[0]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        # Alone: the clock counts.
        ([(1.0, 0.9), (1.02, 0.9), (1.05, 0.92)], Pace(1.0, False, True, FEWEST)),
        # On a GPU there is no processor time.
        ([(1.0, 0.0)], Pace(1.0, False, True, FEWEST)),
        # Beside others: the processor time counts, and agrees though the clock does not.
        ([(9.0, 1.0), (4.0, 1.05), (17.0, 1.01)], Pace(1.0, True, True, FEWEST)),
        # One disturbed round is outvoted by a fourth.
        ([(1.0, 0.9), (2.5, 2.0), (1.0, 0.9), (1.0, 0.9)], Pace(1.0, False, True, 4)),
    ],
)
def test_rounds_go_on_until_the_fastest_agree(pairs, expected):
    assert pace(rounds(*pairs)) == expected


def test_rounds_that_never_agree_come_to_an_end_and_are_told():
    found = pace(rounds(*((2.0**i, 2.0**i) for i in range(20))))
    assert found == Pace(1.0, False, False, MOST)
    assert f"the times of {MOST} rounds differ" in described(found)


def test_only_a_disturbed_trial_is_remarked():
    assert described(Pace(1.0, False, True, FEWEST)) == ""
    assert "other programs are using the processor" in described(Pace(1.0, True, True, FEWEST))
