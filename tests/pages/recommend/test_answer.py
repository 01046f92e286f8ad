"""The page about a custom network: its sentences and its figure."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixres.artifacts.choice import Choice, Gain, Setting
from fixres.pages.recommend import answer
from fixres.pages.recommend.drawing import pareto


def at(k: int, ratio: float, method: str = "as it is") -> Setting:
    return Setting(method=method, k_test=k, crop_pct=ratio)


def gains(setting: Setting, gain: float, low: float, high: float) -> Gain:
    return Gain(setting=setting, gain=gain, low=low, high=high)


USUAL = at(224, 0.875)


def choice(best: Gain, as_it_is: Gain, fixing: Gain | None = None) -> Choice:
    """The part of a choice that the sentences say."""
    gain = {"best": best, "as_it_is": as_it_is, "fixing": fixing or gains(USUAL, 0, 0, 0)}
    return Choice.model_construct(usual=USUAL, times_as_long={224: 1.0, 288: 1.7}, **gain)


def test_a_gain_is_recommended_with_its_price():
    found = answer.answer(
        choice(
            gains(at(288, 0.95, "classifier + norm"), 1.6, 1.3, 1.9),
            gains(at(288, 1.0), 1.1, 0.8, 1.4),
            gains(at(288, 1.0), 0.5, 0.2, 0.8),
        )
    )
    assert found == [
        "Test at 288 px with crop_pct 0.95, with its classifier and last normalisation fine-tuned "
        "there: +1.6 (1.3 to 1.9) points over 224 px with crop_pct 0.875 as it is, for 1.7 times "
        "the time.",
        "Without a change of weights the best is 288 px with crop_pct 1: +1.1 (0.8 to 1.4) points, "
        "for 1.7 times the time.",
        "At 288 px, the change of weights alone gains +0.5 (0.2 to 0.8) points over the network as "
        "it is there, with the crop_pct that is best for each.",
    ]


def test_what_chance_may_explain_is_not_recommended():
    best = gains(at(288, 1.0), 0.2, -0.3, 0.7)
    (first,) = answer.answer(choice(best, best))
    assert first.startswith("These images do not tell whether anything is better than 224 px")
    assert "+0.2 (−0.3 to 0.7)" in first


def test_a_choice_that_is_worse_on_the_other_images_is_not_recommended():
    best = gains(at(288, 1.0), -0.9, -1.4, -0.4)
    (first,) = answer.answer(choice(best, best))
    assert first.startswith("Go on testing at 224 px with crop_pct 0.875, as it is.")
    assert "288 px with crop_pct 1" in first
    assert first.endswith("is worse on the other images: −0.9 (−1.4 to −0.4) points.")


def test_a_network_that_is_best_as_it_is_stays():
    usual = gains(USUAL, 0.0, 0.0, 0.0)
    (only,) = answer.answer(choice(usual, usual))
    assert only.startswith("Go on testing at 224 px")


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(0, 9)).map(lambda p: (float(p[0]), float(p[1]))),
        min_size=1,
    )
)
def test_the_front_holds_what_nothing_beats_and_nothing_else(points):
    frame = pd.DataFrame(points, columns=["ms", "top1"])
    front = {(row.ms, row.top1) for row in pareto(frame).itertuples()}

    def beaten(point: tuple[float, float]) -> bool:
        return any(
            other != point and other[0] <= point[0] and other[1] >= point[1] for other in points
        )

    assert front == {point for point in points if not beaten(point)}


@pytest.mark.parametrize(
    ("value", "text"), [(True, "yes"), (["a", "b"], "a, b"), (0.875, "0.875"), (224, "224")]
)
def test_what_is_known_of_a_network_is_written_as_words(value, text):
    assert answer._text(value) == text
