"""§4.1: objects made larger by a larger k_test_image alone, and together with a larger k_test."""

from math import floor

from fixres.graph.api import JobGraph, Line, Page, Sample, grid, line
from fixres.graph.asking import evaluate, evaluate_at, scaled, train
from fixres.paper.subjects import main_subject

# K_TEST: of the multiples of 32 the nearest to 1.25 · K_TRAIN, which makes sizes equal (eq. 5).
K_TRAIN, K_TEST = 224, 288
USUAL, ALONE, BOTH = "as usual", "k_test_image alone", "with k_test"


def section4_1(plan: JobGraph) -> Page:
    native, larger = scaled(plan, K_TRAIN), scaled(plan, K_TEST)
    image = 256 * larger // 224  # k_test_image of `larger`
    crop_pct = floor(1e4 * native / image) / 1e4  # floor(native / crop_pct) is `image`

    def measure(_: None, column: str) -> Sample:
        run = train(plan, native)
        if column == ALONE:
            return Sample(evaluate_at(plan, run, native, crop_pct), native)
        k_test = larger if column == BOTH else native
        return Sample(evaluate(plan, run, k_test), k_test)

    def column(name: str, metric: str = "top1") -> Line:
        return line(plan, name, name, value=name, metric=metric)

    columns = [column(USUAL), column(ALONE, f"top1@{crop_pct:g}"), column(BOTH)]
    rows, heads = [line(plan, "accuracy", K_TRAIN)], ["Train resolution"]
    title = "Top-1 accuracy, k_test_image enlarged"
    return Page(
        "section4.1",
        "Section 4.1",
        f"A larger k_test_image: top-1 accuracy (%) of k_train {native} at k_test {native} as "
        f"usual, at k_test {native} with the k_test_image of {larger}, and at k_test {larger}.",
        main_subject(plan),
        [grid(plan, "section4.1", title, heads, rows, columns, measure)],
        notes=(
            "The paper prints no number. It says that a larger k_test_image alone is not ideal, "
            "because the crop may show only a detail of the object.",
        ),
    )
