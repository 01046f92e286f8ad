"""Table 5: top-1 over k_train × k_test, without and with adaptation."""

from fixres.graph.api import Accuracy, JobGraph, Line, Page, grid
from fixres.graph.asking import fine_tuning, finetune, scaled, train
from fixres.paper.subjects import main_subject

ADAPTED_LAYERS = {
    "cls": "classifier",
    "cls+bn": "classifier and last batch-norm",
    "cls+bn+cells": "classifier, last batch-norm and last three cells",
}
# Where the arithmetic of §5 contradicts its text.
NOTES = (
    "§5 says that an epoch sees about 90% of the training images. According to its numbers, an "
    "epoch sees 67%: 5005·512 samples, with each image three times, are 854 thousand of 1.28 "
    "million images. We keep the number of samples.",
    "§5 says that the standard deviation over ten folds is about 0.03% for all settings. By the "
    "definition in §5 it would be 0.06% on average, for 50,000 images and an accuracy of 77%, "
    "because each accuracy is measured on nine folds. We use this definition.",
)
RESOLUTIONS = (64, 128, 160, 224, 288, 384, 448, 480)  # of the paper's table, pixels


def stands_for(plan: JobGraph, k: int) -> int:
    """The paper's resolution that a resolution of this scale stands for, pixels.

    For example, 32 stands for 224 at an eighth. If several are possible, the nearest is used.
    """
    exact = k * plan.config.resolution_divisor
    known = (paper for paper in RESOLUTIONS if scaled(plan, paper) == k)
    return min(known, key=lambda paper: abs(paper - exact), default=exact)


def table5(plan: JobGraph) -> Page:
    """Declare the page: left half unadapted, right half fine-tuned at each k_test (§4.2)."""
    settings, recipe = plan.config.table5, fine_tuning(plan)

    def resolution(k: int, half: str = "") -> Line:
        """A line for a resolution of the configuration, pixels."""
        ours, paper = str(k), str(stands_for(plan, k))
        return Line((ours + half, paper + half), [(ours, paper)], k)

    def unadapted(k_test: int, k_train: int) -> Accuracy:
        return Accuracy(train(plan, k_train), k_test)

    def adapted(k_test: int, k_train: int) -> Accuracy:
        return Accuracy(finetune(plan, train(plan, k_train), k_test, recipe), k_test)

    heads = ["test \\ train"]
    rows = [resolution(k) for k in settings.k_test]
    left = [resolution(k) for k in settings.k_train]
    right = [resolution(k, " adapted") for k in settings.k_train_adapted]
    title = "Left: standard training, no adaptation"
    blocks = [grid(plan, "table5", title, heads, rows, left, unadapted)]
    if right:
        title = f"Right: {ADAPTED_LAYERS[recipe.layers]} fine-tuned"
        blocks.append(grid(plan, "table5", title, heads, rows, right, adapted))
    return Page(
        "table5",
        "Table 5",
        "Top-1 validation accuracy (%) for different combinations of training and testing "
        "resolution.",
        main_subject(plan),
        blocks,
        notes=NOTES,
        bold="column",
    )
