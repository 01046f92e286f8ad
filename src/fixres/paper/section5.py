"""§5: what repeated augmentation gains, at the same number of crops."""

from fixres.graph.api import Accuracy, JobGraph, Page, grid, line, resolutions
from fixres.graph.asking import scaled, train_with_copies
from fixres.paper.subjects import main_subject

K_TRAIN = 224
COPIES = (1, 3)


def section5(plan: JobGraph) -> Page:
    def measure(copies: int, k_test: int) -> Accuracy:
        return Accuracy(train_with_copies(plan, scaled(plan, K_TRAIN), copies), k_test)

    rows = [line(plan, f"RA {n}", f"RA {n}", value=n) for n in COPIES]
    columns, heads = resolutions(plan, [K_TRAIN]), ["each image in the batch stream"]
    title = "Top-1 accuracy at test resolution"
    return Page(
        "section5",
        "Section 5",
        f"Repeated augmentation: top-1 accuracy (%) of k_train {K_TRAIN}, trained on the same "
        "number of crops, with each drawn image once (RA 1) or three times (RA 3).",
        main_subject(plan),
        [grid(plan, "section5", title, heads, rows, columns, measure)],
        notes=(
            "The paper's RA 1 is the default ResNet-50 of PyTorch, which others trained. Both of "
            "ours have the schedule of base_training.",
        ),
    )
