"""Table 7: the time of the passes and of the whole schedule, and the resulting accuracy."""

from typing import NamedTuple

from fixres.graph.api import Accuracy, JobGraph, Page, Time, grid, line
from fixres.graph.asking import fine_tuning, finetune, scaled, time_step, train
from fixres.paper.subjects import main_subject

TRAIN_BATCH, TUNE_BATCH = 32, 64  # images


class Schedule(NamedTuple):
    """A row of Table 7, in the paper's resolutions."""

    k_train: int
    k_test: int
    tuned: bool = False


ROWS = [
    Schedule(128, 128),
    Schedule(160, 160),
    Schedule(224, 224),
    Schedule(384, 384),
    Schedule(160, 224),
    Schedule(224, 288),
    Schedule(128, 224, tuned=True),
    Schedule(160, 224, tuned=True),
    Schedule(224, 384, tuned=True),
]
COLUMNS = {  # the paper's column: the metric that it shows
    "train backward": "backward_ms",
    "train forward": "forward_ms",
    "fine-tuning backward": "backward_ms",
    "fine-tuning forward": "forward_ms",
    "total time": "hours",
    "accuracy": "top1",
}


def table7(plan: JobGraph) -> Page:
    def measure(row: Schedule, column: str) -> Accuracy | Time | None:
        k_train, k_test = scaled(plan, row.k_train), scaled(plan, row.k_test)
        if column == "accuracy":
            run = train(plan, k_train)
            if row.tuned:
                settings = fine_tuning(plan, layers="cls+bn", augmentation="test DA")
                run = finetune(plan, run, k_test, settings)
            return Accuracy(run, k_test)
        if column.startswith("fine-tuning"):
            return Time(time_step(plan, k_test, "cls+bn", TUNE_BATCH)) if row.tuned else None
        training = time_step(plan, k_train, None, TRAIN_BATCH)
        if column.startswith("train") or not row.tuned:
            return Time(training)
        return Time(training, plus=time_step(plan, k_test, "cls+bn", TUNE_BATCH))

    def key(row: Schedule) -> str:
        return f"{row.k_train} {row.k_test}{' fine-tuned' if row.tuned else ''}"

    rows = [line(plan, key(row), row.k_train, row.k_test, value=row) for row in ROWS]
    columns = [line(plan, c, c, value=c, metric=metric) for c, metric in COLUMNS.items()]
    title, heads = "Time per batch (ms), total time (h), accuracy", ["train", "test"]
    return Page(
        "table7",
        "Table 7",
        "Execution time: milliseconds per batch of 32 in training and 64 in fine-tuning, total "
        "hours on one device, top-1 accuracy (%).",
        main_subject(plan),
        [grid(plan, "table7", title, heads, rows, columns, measure)],
        notes=(
            "Fine-tuned: classifier and last batch-norm. Loading is not counted; "
            "results/timing/*/metrics.json has it.",
            "Total time: the schedule's images at these speeds, as if no activations were cached.",
        ),
    )
