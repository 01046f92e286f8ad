"""Table 9: base training on random crops of a fixed size (Appendix D), unadapted."""

from fixres.graph.api import Accuracy, JobGraph, Page, grid, resolutions
from fixres.graph.asking import train_on_fixed_crops
from fixres.paper.subjects import main_subject

K_TRAIN, K_TEST = [64, 128, 224, 384], [64, 96, 128, 160, 224, 256, 384, 440]


def table9(plan: JobGraph) -> Page:
    def measure(k_test: int, k_train: int) -> Accuracy:
        return Accuracy(train_on_fixed_crops(plan, k_train), k_test)

    rows, columns = resolutions(plan, K_TEST), resolutions(plan, K_TRAIN)
    return Page(
        "table9",
        "Table 9",
        "Top-1 validation accuracy (%) for different combinations of training and testing "
        "resolution; trained with resize and random crop of a fixed size in place of the random "
        "resized crop.",
        main_subject(plan),
        [grid(plan, "table9", "No adaptation", ["test \\ train"], rows, columns, measure)],
        bold="column",
    )
