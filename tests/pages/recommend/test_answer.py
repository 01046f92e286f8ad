"""The page about a custom network: its sentences and its figure."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixres.artifacts.choice import Choice, Gain, Images, Point, Setting, Times
from fixres.graph.pages import Answer
from fixres.graph.recommendation import METHODS
from fixres.pages.recommend import answer
from fixres.pages.recommend.drawing import pareto


def at(k: int, ratio: float, method: str = "as it is") -> Setting:
    return Setting(method=method, k_test=k, crop_pct=ratio)


def gains(setting: Setting, gain: float, low: float, high: float, *halves: Setting) -> Gain:
    return Gain(setting=setting, gain=gain, low=low, high=high, halves=halves or (setting, setting))


USUAL = at(224, 0.875)


TIMES = {224: Times(ratio=1, low=1, high=1), 288: Times(ratio=1.7, low=1.62, high=1.84)}
IMAGES = Images(validation=400, leaked=0, classes=3, absent=0, notes=("photos: 40 images.",))


def choice(chosen: Gain, as_it_is: Gain | None = None, **more) -> Choice:
    """The part of a choice that the sentences say."""
    none = gains(USUAL, 0, 0, 0)
    gain = {"chosen": chosen, "as_it_is": as_it_is or none, "fixing": none}
    gain |= {"recommended": chosen.setting, "most_accurate": gains(chosen.setting, 0, 0, 0)}
    known = {"images": IMAGES, "masked": False, "may_fix": True, "disagree": ()}
    known |= {"usual": USUAL, "times_as_long": TIMES, "speed": "speed/photos/net/metrics.json"}
    known |= {"points": points(chosen.setting)}
    return Choice.model_construct(**known | gain | more)


def points(*not_told_apart: Setting) -> list[Point]:
    """Those, and some others."""
    others = [at(k, ratio, m) for k in (192, 224, 288) for ratio in (0.875, 1.0) for m in METHODS]
    return [
        Point.model_construct(**s.model_dump(), not_told_apart=s in not_told_apart)
        for s in dict.fromkeys([*not_told_apart, *others])
    ]


def cautions(**more) -> list[str]:
    return answer.cautions(choice(gains(USUAL, 0, 0, 0), **more))


FIXED = at(288, 1.0, "classifier + norm")


def test_a_gain_is_recommended_with_its_price():
    found = answer.answer(
        choice(
            gains(FIXED, 1.6, 1.3, 1.9),
            gains(at(288, 1.0), 1.1, 0.8, 1.4),
            fixing=gains(FIXED, 0.5, 0.2, 0.8),
        )
    )
    assert found == [
        "Test at 288 px with crop_pct 1, with its classifier and last normalisation fine-tuned "
        "there: +1.6 (1.3 to 1.9) points over 224 px with crop_pct 0.875 as it is, for 1.7 (1.6 "
        "to 1.8) times the time.",
        "All other 23 settings are shown to be worse than the best.",
        "Without a change of weights, test at 288 px with crop_pct 1: +1.1 (0.8 to 1.4) points, "
        "for 1.7 (1.6 to 1.8) times the time.",
        "At 288 px, the change of weights alone gains +0.5 (0.2 to 0.8) points over the network as "
        "it is there, with the crop_pct that is best for each.",
    ]


def test_which_settings_are_not_told_apart_and_what_the_most_accurate_adds():
    top = at(288, 0.875, "classifier + norm")
    found = answer.answer(
        choice(
            gains(at(224, 0.875, "classifier"), 0.9, 0.2, 1.6),
            most_accurate=gains(top, 0.4, -0.2, 1.0),
            points=points(at(224, 0.875, "classifier"), top, FIXED),
        )
    )
    assert found[1].startswith("3 of the 24 settings are not told apart from the best by these")
    assert "a cheaper one may lose at most 1 point." in found[1]
    assert found[2] == (
        "The most accurate setting is 288 px with crop_pct 0.875, with its classifier and last "
        "normalisation fine-tuned there: +0.4 (−0.2 to 1.0) points over the recommended setting, "
        "for 1.7 (1.6 to 1.8) times the time."
    )


def test_the_usual_setting_stays_where_nothing_is_shown_to_be_better():
    usual = gains(USUAL, 0.0, 0.0, 0.0)
    first, second = answer.answer(choice(usual, points=points(USUAL, FIXED)))
    assert first.startswith("Keep testing at 224 px with crop_pct 0.875, as it is: for no other")
    assert second.startswith("2 of the 24 settings are not told apart from the best")


def test_a_cheaper_setting_is_not_told_apart_from_the_usual_one():
    cheaper = at(192, 0.875)
    times = TIMES | {192: Times(ratio=0.74, low=0.7, high=0.8)}
    same = choice(
        gains(cheaper, -0.1, -0.4, 0.2), points=points(cheaper, USUAL), times_as_long=times
    )
    assert answer.answer(same)[0] == (
        "Test at 192 px with crop_pct 0.875, as it is: it is cheaper: 0.74 (0.7 to 0.8) times the "
        "time, and these images do not tell it apart from 224 px with crop_pct 0.875 as it is "
        "(−0.1 (−0.4 to 0.2) points)."
    )


def test_halves_that_choose_otherwise_are_said():
    found = choice(gains(FIXED, 0.4, -0.1, 0.9, USUAL, at(288, 0.875)))
    first, *_, last = answer.answer(found)
    assert first.endswith("The interval contains 0, so the gain is not certain.")
    assert last == (
        "One half of the images chose 224 px with crop_pct 0.875, as it is, the other 288 px with "
        "crop_pct 0.875, as it is. The gain above is the gain of these choices."
    )
    both = choice(gains(FIXED, 0.4, 0.1, 0.9, USUAL, USUAL))
    assert answer.answer(both)[-1].startswith("Both halves of the images chose 224 px with")


def test_a_choice_that_is_worse_on_the_other_half_is_not_recommended():
    found = choice(gains(at(288, 1.0), -0.9, -1.4, -0.4), recommended=USUAL)
    first = answer.answer(found)[0]
    assert first.startswith("Keep testing at 224 px with crop_pct 0.875, as it is. 288 px with")
    assert first.endswith("is worse on the other half: −0.9 (−1.4 to −0.4) points.")


def test_fine_tunings_that_may_not_be_recommended_are_not_counted():
    found = choice(gains(at(288, 1.0), 1, 0.5, 1.5), may_fix=False)
    assert answer.answer(found)[1] == "All other 11 settings are shown to be worse than the best."
    alone = choice(gains(USUAL, 0, 0, 0), points=points(USUAL)[:1])
    assert answer.answer(alone)[1] == "No other setting was measured."


def test_sizes_off_the_stride_and_a_network_without_a_norm_are_said():
    def about(**entry: object) -> list[str]:
        page = Answer.model_construct(entry={"stride": 32, "last_norm": ["bn"]} | entry)
        return answer.about_network(choice(gains(USUAL, 0, 0, 0)), page)

    assert about() == []
    [off] = about(stride=28 * 3)
    assert off.startswith("k_test 224, 288: not a multiple of 84, the network's stride.")
    [without] = about(last_norm=[])
    assert without.startswith("The network has no normalisation layer, so only its classifier was")
    assert answer._text([]) == "none"


def test_times_whose_rounds_disagree_decide_nothing():
    found = choice(*[gains(at(288, 1.0), 1.1, 0.8, 1.4)] * 2, disagree=("32 px: 0.25 to 110 ms",))
    assert "times" not in " ".join(answer.answer(found))
    [said] = answer.cautions(found)
    assert said.startswith("Times are not compared, and a smaller k_test counts as cheaper: the")
    assert "(32 px: 0.25 to 110 ms)" in said
    assert "delete results/speed/photos/net/metrics.json" in said


def test_a_gain_is_over_the_network_among_the_classes_that_have_images():
    images = IMAGES.model_copy(update={"classes": 1200, "absent": 1197})
    best = gains(at(288, 1.0, "classifier"), 1.1, 0.8, 1.4)
    found = choice(best, masked=True, images=images)
    assert (
        "over 224 px with crop_pct 0.875 as it is, masked to these 3 classes"
        in answer.answer(found)[0]
    )
    [said] = answer.cautions(found)
    assert said.startswith("The network knows 1,200 classes, of which 1,197 have no image here.")
    assert "unlearns the 1,197 classes" in said


def test_without_training_images_nothing_is_said_of_a_fine_tuning():
    images = IMAGES.model_copy(update={"classes": 1200, "absent": 1197})
    found = choice(gains(USUAL, 0, 0, 0), masked=True, images=images)
    [said] = answer.cautions(found, to_fix="--split 0.2")
    assert "logits of the other 3 classes" in said
    assert "unlearns" not in said


@pytest.mark.parametrize(
    ("leaked", "may_fix", "share", "rule"),
    [
        (2, True, "0.5%", "Above 1%, no fine-tuning would be recommended."),
        (400, False, "100%", "no fine-tuning is recommended when they are more than 1%"),
    ],
)
def test_validation_images_that_are_training_images_are_counted(leaked, may_fix, share, rule):
    images = IMAGES.model_copy(update={"leaked": leaked})
    [said] = cautions(images=images, may_fix=may_fix)
    assert said.startswith(f"{leaked} of the 400 validation images ({share}) are byte-for-byte")
    assert rule in said


def test_images_and_times_that_are_as_they_should_be_need_no_caution():
    assert cautions() == []


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
