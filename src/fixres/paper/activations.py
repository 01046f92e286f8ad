"""What Figures 3, 4 and 6 share: the ResNet-50 trained at 224, measured at some k_test."""

from fixres.graph.api import JobGraph, Line, Sample, line
from fixres.graph.asking import fine_tuning, finetune, measure_activations, scaled, train
from fixres.paper.printed import printed

K_TRAIN, K_TEST = 224, [64, 128, 224, 448]


def of_base(plan: JobGraph, k_test: int) -> Sample:
    """The network as it was trained."""
    run = train(plan, scaled(plan, K_TRAIN))
    resolutions = [scaled(plan, k) for k in K_TEST]
    return Sample(measure_activations(plan, run, resolutions, _above(plan)), k_test)


def of_adapted(plan: JobGraph, k_test: int) -> Sample:
    """The network after fine-tuning at the resolution that it is tested at (§4.2)."""
    settings = fine_tuning(plan, layers="cls+bn", augmentation="test DA")
    run = finetune(plan, train(plan, scaled(plan, K_TRAIN)), k_test, settings)
    return Sample(measure_activations(plan, run, [k_test], _above(plan)), k_test)


def number(plan: JobGraph, name: str, metric: str) -> Line:
    """A column that shows a number of each k_test (stages/activations.py, `MEASURED`)."""
    return line(plan, name, name, metric=metric)


def _above(plan: JobGraph) -> dict:
    """Which activations count as large: §3.2's bound is 2, for its own network.

    The activations of another network have another scale. There the bound is the one that as many
    of them exceed at k_train as in the paper.
    """
    if plan.config.network == "resnet50":
        return {"bound": 2.0}
    share = printed("figure3")[str(K_TRAIN), "above 2", "above"]
    return {"bound": None, "share": share}
