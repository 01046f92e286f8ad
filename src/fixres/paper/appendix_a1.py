"""Appendix A.1: Fréchet matching after the average pooling."""

from fixres.graph.api import Accuracy, JobGraph, Page, grid, line, resolutions
from fixres.graph.asking import match, scaled, train
from fixres.paper.subjects import main_subject

K_TRAIN, K_TEST = 224, [64, 128, 224, 256, 288, 448]


def appendix_a1(plan: JobGraph) -> Page:
    def measure(_: None, k_test: int) -> Accuracy:
        return Accuracy(match(plan, train(plan, scaled(plan, K_TRAIN)), k_test, "frechet"), k_test)

    rows, columns = [line(plan, "accuracy", K_TRAIN)], resolutions(plan, K_TEST)
    title, heads = "Top-1 accuracy at test resolution", ["Train resolution"]
    return Page(
        "appendixA.1",
        "Appendix A.1",
        "Fréchet model of the activations after average pooling, matched at test time: top-1 "
        "accuracy (%).",
        main_subject(plan),
        [grid(plan, "appendixA.1", title, heads, rows, columns, measure)],
        notes=(
            "The paper heads these columns k_test_image; its column 224 is the unadapted accuracy "
            "at k_test 224, so they are read so.",
        ),
    )
