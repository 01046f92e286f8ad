"""Measurements that a page can ask for.

| id | the job |
|---|---|
| <run>/evaluation | accuracy of a run at every k_test that a page asks for |
| <run>/sweep | the same at the many k_test of a sweep (Figure 7) |
| <run>/at-<crop_pct> | the same with another k_test_image (§4.1) |
| <run>/activations | statistics of a run's activations (§3.2, A.1, A.2) |
| sizes/<dataset>/k<k_train>-k<k_test> | how train DA and test DA change apparent sizes (§3.1) |
| sizes/<dataset>/crops-k<k_train> | the crops of one image, for Figure 1 |
| timing/<dataset>/<network>-k<k>, …-ft-<layers>, …-eval | times of passes (Table 7, §1) |
| memory/<dataset>/<network>-k<k>, …-ft-<layers> | peak memory of a step (§1) |

The RoCs of apparent sizes are drawn as in a base training, so their ids have a seed as a training
has. Networks whose steps are measured have random weights.
"""

from bisect import insort
from pathlib import Path

from fixres.config import BaseTraining, FineTuning, laid_over
from fixres.data import sources
from fixres.graph.adaptation import LAYERS, fine_tuning
from fixres.graph.classes import absent_classes
from fixres.graph.graph import JobGraph, Missing, images_of
from fixres.graph.jobs import Job, evaluation_of
from fixres.graph.networks import base_training

IMAGES = 100_000  # training images that apparent sizes are measured on, drawn at random
EPOCHS = 10  # of whose RoCs; a shorter training has fewer
# Training images among which the one of Figure 1 is found: without boxes, and with boxes, since few
# objects leave room for typical RoCs.
SEARCHED, SEARCHED_WITH_BOXES = 500, 5000
TEST_DA = {"name": "test DA"}


# --- accuracy and activations of a run -----------------------------------------------------------


def evaluate(graph: JobGraph, run: Job, k_test: int, ten_crops: bool = False) -> Job:
    """Measure the accuracy of `run` at `k_test` pixels. Raises Missing without its images.

    A run has one evaluation, which grows with each k_test that is asked for.

    Parameters
    ----------
    ten_crops : also with ten crops an image (§5.1).
    """
    return _evaluated(graph, run, evaluation_of(run), k_test, ten_crops)


def sweep(graph: JobGraph, run: Job, k_test: int) -> Job:
    """Measure its accuracy at `k_test`, one of many, in a job apart from its evaluation.

    So a further resolution of the sweep leaves the evaluation that the tables read as it is.
    """
    return _evaluated(graph, run, f"{run.id}/sweep", k_test)


def evaluate_at(graph: JobGraph, run: Job, k_test: int, crop_pct: float) -> Job:
    """Measure its accuracy at `k_test` with the k_test_image floor(k_test / crop_pct) (§4.1)."""
    return _evaluated(graph, run, f"{run.id}/at-{crop_pct:g}", k_test, crop_pct=[crop_pct])


def _evaluated(
    graph: JobGraph,
    run: Job,
    name: str,
    k_test: int,
    ten_crops: bool = False,
    crop_pct: list[float] | None = None,
) -> Job:
    job = graph.jobs.get(name) or _add_evaluation(graph, run, name, crop_pct)
    for key in ("k_test", "ten_crops") if ten_crops else ("k_test",):
        if k_test not in job.config[key]:
            insort(job.config[key], k_test)
    return job


def _add_evaluation(graph: JobGraph, run: Job, name: str, crop_pct: list[float] | None) -> Job:
    c, absent = graph.config, absent_from(graph, run)
    crop_pct = c.custom.ratios if c.custom else crop_pct
    content = {
        "network": run.network,
        "k_test": [],
        "ten_crops": [],
        "folds": c.evaluation.folds,
        "test_resize": (c.released if run.released else c.evaluation).test_resize,
        **({"crop_pct": crop_pct} if crop_pct else {}),
        # Of a network that knows more classes than there are: also among these classes alone.
        **({"masked": True} if c.custom and absent else {}),
    }
    return graph.add("evaluate", name, content, run=run)


def absent_from(graph: JobGraph, run: Job) -> int:
    """How many classes of a run have no folder among its images.

    Only of weights that others have trained: what is trained here learns the folders' classes.
    Raises ConfigError where the folders cannot be those weights' classes.
    """
    while run.run:
        run = run.run
    if run.stage.name != "pretrained":
        return 0
    dataset, key = graph.config.datasets[run.dataset], f"datasets.{run.dataset}.classes"
    return absent_classes(dataset, key, run.config["classes"])


def measure_activations(graph: JobGraph, run: Job, k_tests: list[int], above: dict) -> Job:
    """Measure the activations of a run at some k_test (§3.2, A.1, A.2).

    A run has one such job, so whoever asks for it asks for the same k_test.

    Parameters
    ----------
    above : which activations are counted as large: {"bound": a number}, or {"bound": None,
        "share": the percentage of them above the bound at k_train}.
    """
    content = {
        "network": run.network,
        "k_train": run.config.get("k_train"),
        "k_test": k_tests,
        "test_resize": graph.config.evaluation.test_resize,
    }
    return graph.add("activations", f"{run.id}/activations", content | above, run=run)


# --- apparent sizes ------------------------------------------------------------------------------


def measure_sizes(graph: JobGraph, k_train: int, k_test: int) -> Job:
    """Measure apparent sizes under train DA at `k_train` and test DA at `k_test` pixels."""
    recipe, _ = base_training(graph)
    return _measure_sizes(graph, graph.config.dataset, k_train, k_test, recipe)


def measure_objects(graph: JobGraph, k_train: int, k_test: int) -> Job:
    """The same job, of images with boxes around their objects. Raises Missing without boxes."""
    job = measure_sizes(graph, k_train, k_test)
    if not _has_boxes(graph, job.dataset):
        where = "docs/datasets.md, which names the sets with boxes"
        raise Missing(f"boxes around the objects of {job.dataset}: there are none; see {where}")
    return job


def _has_boxes(graph: JobGraph, name: str) -> bool:
    """Whether a dataset has boxes around its objects, as far as its files tell."""
    dataset = graph.config.datasets[name]
    source, root = sources.load(dataset.source), Path(images_of(graph, name))
    return source.boxes if dataset.rendered else sources.has_boxes(source, root)


def measure_transfer_sizes(graph: JobGraph, dataset: str) -> Job:
    """The same for a dataset of Table 3, as its transfer draws the RoCs (§5.3)."""
    transfer = graph.config.transfer
    recipe = laid_over(graph.config.base_training, transfer.training, "transfer.training")
    return _measure_sizes(graph, dataset, transfer.k_train, transfer.k_test, recipe)


def _measure_sizes(
    graph: JobGraph, dataset: str, k_train: int, k_test: int, recipe: BaseTraining
) -> Job:
    seen = recipe.model_dump(include={"samples_per_epoch", "batch_size", "repeated_augmentation"})
    content = {"k_train": k_train, "k_test": k_test, "images": IMAGES, **seen}
    name = f"sizes/{dataset}/k{k_train}-k{k_test}{_end_of_sizes(graph)}"
    return graph.add("sizes", name, content | _drawing(graph, recipe), dataset=dataset)


def cut_crops(graph: JobGraph, k_train: int, lower: int, higher: int) -> Job:
    """Cut the crops of one image, for Figure 1.

    Parameters
    ----------
    k_train : resolution of the usual protocol, at train and test time.
    lower, higher : another resolution at train time, and one at test time.
    """
    dataset, (recipe, _) = graph.config.dataset, base_training(graph)
    content = {
        "k_train": k_train,
        "k_trains": sorted({k_train, lower}),
        "k_tests": sorted({k_train, higher}),
        "images": SEARCHED_WITH_BOXES if _has_boxes(graph, dataset) else SEARCHED,
        **_drawing(graph, recipe),
    }
    name = f"sizes/{dataset}/crops-k{k_train}{_end_of_sizes(graph)}"
    return graph.add("crops", name, content, dataset=dataset)


def _end_of_sizes(graph: JobGraph) -> str:
    released = graph.config.evaluation.test_resize == "released"
    return f"{'_released' * released}{graph.protocol}{graph.seed_of()}"


def _drawing(graph: JobGraph, recipe: BaseTraining) -> dict:
    """How the RoCs are drawn: as in a base training, and as in an evaluation."""
    # Jitter moves no RoC.
    augmentation = recipe.augmentation.model_dump(exclude={"jitter"})
    return {
        "seed": graph.seed,
        "epochs": min(EPOCHS, recipe.epochs),
        "augmentation": {"name": "train DA", **augmentation},
        "test_resize": graph.config.evaluation.test_resize,
    }


# --- one step of the ResNet-50 of this scale -----------------------------------------------------
# Parameters: k, pixels. layers, which fine-tuning trains, a key of LAYERS; None: base training.
# batch, images.


def time_step(graph: JobGraph, k: int, layers: str | None, batch: int) -> Job:
    """Time its forward and backward pass (Table 7)."""
    settings, augmentation = _settings_of_step(graph, layers), TEST_DA
    if not layers:
        augmentation = {"name": "train DA", **settings.augmentation.model_dump()}
    recipe = settings.model_dump(exclude={"augmentation", "repeats"})
    about = {"recipe": recipe, "augmentation": augmentation}
    return _step(graph, "time", "timing", k, layers, batch, about)


def measure_memory(graph: JobGraph, k: int, layers: str | None, batch: int) -> Job:
    """Measure the peak memory of a step of training or fine-tuning (§1, Table 7)."""
    recipe = _settings_of_step(graph, layers).model_dump(include={"momentum", "batch_norm"})
    return _step(graph, "memory", "memory", k, layers, batch, {"recipe": recipe})


def time_evaluation(graph: JobGraph, k: int, batch: int) -> Job:
    """Time its forward pass as an evaluation runs it: in eval mode, without gradients (§1)."""
    c = graph.config
    step = {"network": c.network, "k": k, "batch": batch}
    content = step | {"passes": ["forward"], "augmentation": TEST_DA}
    name = f"timing/{c.dataset}/{c.network}-k{k}-eval"
    return graph.add("time", name, content, dataset=c.dataset)


def _step(
    graph: JobGraph, stage: str, folder: str, k: int, layers: str | None, batch: int, about: dict
) -> Job:
    c, tuned = graph.config, f"-ft-{layers}" if layers else ""
    trained = LAYERS[layers] if layers else []
    content = {"network": c.network, "k": k, "layers": trained, "batch": batch, **about}
    name = f"{folder}/{c.dataset}/{c.network}-k{k}{tuned}{graph.protocol}"
    return graph.add(stage, name, content, dataset=c.dataset)


def _settings_of_step(graph: JobGraph, layers: str | None) -> BaseTraining | FineTuning:
    return fine_tuning(graph) if layers else base_training(graph)[0]
