"""§3.3: the ResNet-50 trained at 224, unadapted, over test resolutions."""

from fixres.graph.api import Accuracy, JobGraph, Page, grid, line, resolutions
from fixres.graph.asking import scaled, train
from fixres.paper.subjects import main_subject

K_TRAIN, K_TEST = 224, [64, 128, 224, 256, 288, 320, 384, 448]


def section3_3(plan: JobGraph) -> Page:
    def measure(_: None, k_test: int) -> Accuracy:
        return Accuracy(train(plan, scaled(plan, K_TRAIN)), k_test)

    rows, columns = [line(plan, "accuracy", K_TRAIN)], resolutions(plan, K_TEST)
    title, heads = "Top-1 accuracy at test resolution", ["Train resolution"]
    return Page(
        "section3.3",
        "Section 3.3",
        "Larger test crops result in better accuracy: top-1 accuracy (%) as k_test is changed.",
        main_subject(plan),
        [grid(plan, "section3.3", title, heads, rows, columns, measure)],
    )
