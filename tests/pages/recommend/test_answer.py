"""The page about a custom network: its sentences and its figure."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixres.artifacts.choice import Choice, Gain, Images, Setting, Times
from fixres.graph.pages import Answer
from fixres.pages.recommend import answer
from fixres.pages.recommend.drawing import pareto


def at(k: int, ratio: float, method: str = "as it is") -> Setting:
    return Setting(method=method, k_test=k, crop_pct=ratio)


def gains(setting: Setting, gain: float, low: float, high: float) -> Gain:
    return Gain(setting=setting, gain=gain, low=low, high=high)


USUAL = at(224, 0.875)


TIMES = {224: Times(ratio=1, low=1, high=1), 288: Times(ratio=1.7, low=1.62, high=1.84)}
IMAGES = Images(validation=400, leaked=0, classes=3, absent=0, notes=("photos: 40 images.",))


def choice(best: Gain, as_it_is: Gain, fixing: Gain | None = None, **more) -> Choice:
    """The part of a choice that the sentences say."""
    gain = {"best": best, "as_it_is": as_it_is, "fixing": fixing or gains(USUAL, 0, 0, 0)}
    known = {"images": IMAGES, "masked": False, "may_fix": True, "disagree": ()}
    known |= {"usual": USUAL, "times_as_long": TIMES, "speed": "speed/photos/net/metrics.json"}
    return Choice.model_construct(**known | gain | more)


def cautions(**more) -> list[str]:
    return answer.cautions(choice(gains(USUAL, 0, 0, 0), gains(USUAL, 0, 0, 0), **more))


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
        "there: +1.6 (1.3 to 1.9) points over 224 px with crop_pct 0.875 as it is, for 1.7 (1.6 "
        "to 1.8) times the time.",
        "Without a change of weights the best is 288 px with crop_pct 1: +1.1 (0.8 to 1.4) points, "
        "for 1.7 (1.6 to 1.8) times the time.",
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


def test_sizes_off_the_stride_and_a_network_without_a_norm_are_said():
    def about(**entry: object) -> list[str]:
        page = Answer.model_construct(entry={"stride": 32, "last_norm": ["bn"]} | entry)
        return answer.about_network(choice(gains(USUAL, 0, 0, 0), gains(USUAL, 0, 0, 0)), page)

    assert about() == []
    [off] = about(stride=28 * 3)
    assert off.startswith("k_test 224, 288: no multiple of 84, the network's stride.")
    [without] = about(last_norm=[])
    assert without.startswith("The network has no normalisation. So its classifier alone was")
    assert answer._text([]) == "none"


def test_times_whose_rounds_disagree_decide_nothing():
    found = choice(*[gains(at(288, 1.0), 1.1, 0.8, 1.4)] * 2, disagree=("32 px: 0.25 to 110 ms",))
    assert "time" not in " ".join(answer.answer(found))
    [said] = answer.cautions(found)
    assert said.startswith("No conclusion is drawn from times: their rounds disagree")
    assert "(32 px: 0.25 to 110 ms)" in said
    assert "delete results/speed/photos/net/metrics.json" in said


def test_a_gain_is_over_the_network_among_the_classes_that_have_images():
    images = IMAGES.model_copy(update={"classes": 1200, "absent": 1197})
    best = gains(at(288, 1.0, "classifier"), 1.1, 0.8, 1.4)
    found = choice(best, gains(USUAL, 0, 0, 0), masked=True, images=images)
    assert (
        "over 224 px with crop_pct 0.875 as it is, masked to these 3 classes"
        in answer.answer(found)[0]
    )
    [said] = answer.cautions(found)
    assert said.startswith("The network knows 1,200 classes, of which 1,197 have no image here.")
    assert "unlearns the 1,197" in said


def test_without_training_images_nothing_is_said_of_a_fine_tuning():
    images = IMAGES.model_copy(update={"classes": 1200, "absent": 1197})
    found = choice(gains(USUAL, 0, 0, 0), gains(USUAL, 0, 0, 0), masked=True, images=images)
    [said] = answer.cautions(found, to_fix="--split 0.2")
    assert "logits of the other 3 alone" in said
    assert "unlearns" not in said


@pytest.mark.parametrize(
    ("leaked", "may_fix", "share", "rule"),
    [
        (2, True, "0.5%", "Above 1%, no fine-tuning would be recommended."),
        (400, False, "100%", "no fine-tuning is recommended where they are more than 1%"),
    ],
)
def test_validation_images_that_are_training_images_are_counted(leaked, may_fix, share, rule):
    images = IMAGES.model_copy(update={"leaked": leaked})
    [said] = cautions(images=images, may_fix=may_fix)
    assert said.startswith(f"{leaked} of the 400 validation images ({share}) are, byte for byte")
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
