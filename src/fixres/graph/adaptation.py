"""Adaptations of a run to one k_test (§4.2): fine-tuning, distribution matching, statistics.

| id | the job |
|---|---|
| <run>/ft-k<k_test>-<layers>-<augmentation> | fine-tuning |
| <run>/match-k<k_test>-<model> | distribution matching |
| <run>/statistics-k<k_test> | the statistics of the last batch-norm estimated again |

After an augmentation or a model comes `_released`, where the released test transform cut its crops
(evaluation.test_resize). A seed that the run has is not named again.
"""

from fixres.config import FineTuning, laid_over
from fixres.graph.graph import JobGraph
from fixres.graph.jobs import Job
from fixres.graph.networks import base_training, settings_of, settings_of_main

# fine_tuning.layers -> the parts of a network that train (models/adapt.py, §4.2).
LAYERS = {
    "cls": ["classifier"],
    "cls+bn": ["batch-norm", "classifier"],
    "cls+bn+cells": ["cells", "batch-norm", "classifier"],
}


def match(graph: JobGraph, run: Job, k_test: int, model: str) -> Job:
    """Match the distribution of a run's activations at `k_test` to the one at its k_train.

    Parameters
    ----------
    model : "frechet" (Appendix A.1) or "gaussian" (Appendix A.2).
    """
    mark, transform = _test_transform(graph)
    content = {
        "seed": graph.seed,
        "network": run.network,
        "k_train": run.config["k_train"],
        "k_test": k_test,
        "model": model,
        "images": graph.config.matching.images,
    }
    name = f"{run.id}/match-k{k_test}-{model}{mark}{graph.seed_of(run)}"
    return graph.add("match", name, content | transform, run=run)


def finetune(graph: JobGraph, run: Job, k_test: int, settings: FineTuning) -> Job:
    """Fine-tune a run's last layers at `k_test` pixels (§4.2; models/adapt.py)."""
    recipe = settings.model_dump()
    layers, kind, jitter = (recipe.pop(key) for key in ("layers", "augmentation", "jitter"))
    mark, augmentation = "", {"name": kind}
    if kind == "train DA":
        main = run.network == graph.config.network
        training = base_training(graph)[0] if main else graph.config.base_training
        augmentation |= training.augmentation.model_dump()
    else:
        mark, transform = _test_transform(graph)
        augmentation |= transform | ({"jitter": jitter} if kind == "test DA2" else {})
    statistics_only = recipe["batch_norm"] == "statistics"
    what = layers.replace("bn", "bnstats") if statistics_only else layers
    on = kind.replace(" ", "").lower() + mark
    content = {
        "seed": graph.seed,
        "network": run.network,
        "k_test": k_test,
        "layers": LAYERS[layers],
        "recipe": recipe,
        "augmentation": augmentation,
    }
    name = f"{run.id}/ft-k{k_test}-{what}-{on}{graph.protocol}{graph.seed_of(run)}"
    return graph.add("finetune", name, content, run=run)


def estimate_statistics(graph: JobGraph, run: Job, k_test: int) -> Job:
    """Estimate the statistics of the last batch-norm of a custom network again at `k_test`."""
    content = {
        "seed": graph.seed,
        "network": run.network,
        "k_test": k_test,
        "images": graph.config.matching.images,
        "crop_pct": graph.config.custom.network.crop_pct,
    }
    name = f"{run.id}/statistics-k{k_test}{graph.seed_of(run)}"
    return graph.add("statistics", name, content, run=run)


def fine_tuning(graph: JobGraph, name: str | None = None, **over: object) -> FineTuning:
    """The settings to fine-tune the network `name` with; None: the ResNet-50 of this scale.

    They are the configuration's, then what `networks.<name>` says of the network, then what it
    says of its fine-tuning on that augmentation, then `over`.
    """
    always, on = (
        settings_of(graph, name, section) if name else settings_of_main(graph, section)
        for section in ("fine_tuning", "fine_tuning_on")
    )
    base = graph.config.fine_tuning
    augmentation = (always | over).get("augmentation", base.augmentation)
    settings = always | on.get(augmentation, {}) | over
    return laid_over(base, settings, f"networks.{name or graph.config.network}.fine_tuning")


def _test_transform(graph: JobGraph) -> tuple[str, dict]:
    """What differs from the paper's test transform: in the id of a run, and in its settings.

    The released code fine-tunes on crops that are cut as at test time. So does the suite: what
    adapts a network to a k_test has the transform that it is tested with.
    """
    if graph.config.custom:
        return "", {"crop_pct": graph.config.custom.network.crop_pct}
    resize = graph.config.evaluation.test_resize
    return ("", {}) if resize == "paper" else (f"_{resize}", {"test_resize": resize})
