"""Learning curves: the loss of the base trainings of Table 5, which the paper does not print."""

from fixres.graph.api import Figure, JobGraph, Missing
from fixres.graph.asking import train
from fixres.paper.subjects import main_subject
from fixres.paper.table5 import stands_for


def curves(plan: JobGraph) -> Figure:
    """Declare the figure. It draws what the trainings left in their logs."""
    files, trainings, missing = {}, {}, {}
    for k_train in plan.config.table5.k_train:
        try:
            runs = plan.at_every_seed(lambda k=k_train: train(plan, k))
        except Missing as reason:
            missing[str(reason)] = None
            continue
        files |= {run.id: run.outputs["curve"] for run in runs}
        papers = stands_for(plan, k_train)
        trainings |= {run.id: {"k_train": k_train, "papers": papers} for run in runs}
    return Figure(
        "curves",
        "Learning curves",
        "Training loss and learning rate over the epochs, for the base trainings of Table 5.",
        main_subject(plan),
        draw="curves",
        files=files,
        settings={"trainings": trainings},
        missing=tuple(missing),
    )
