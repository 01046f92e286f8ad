"""Contradictions: problems of a configuration that the types alone cannot show.

Each check yields one line for each problem. `reading.parse` reports all lines at once.
"""

import itertools
import math
import re
from collections.abc import Iterator

from fixres.config.custom import Custom
from fixres.config.datasets import Pinhole
from fixres.config.errors import ConfigError
from fixres.config.fields import Section
from fixres.config.overlay import laid_over
from fixres.config.schema import Config
from fixres.config.training import BaseTraining, Weights
from fixres.nearest import did_you_mean


def contradictions(config: Config) -> Iterator[str]:
    """Yield one line for each problem of a configuration whose types are right."""
    if re.fullmatch(r"s\d+", config.protocol):
        yield (
            f"protocol: found '{config.protocol}', which the name of a run would show like a seed; "
            "take another word"
        )
    yield from _datasets(config)
    yield from _folds(config)
    yield from _recipes(config)
    yield from _weights(config)
    yield from _table5(config)
    if config.custom:
        yield from _custom(config.custom)
        dataset = config.datasets.get(config.dataset)
        if config.custom.train and dataset and not dataset.has_training_images:
            key = "only" if dataset.only else "split"
            yield (
                f"custom.train: found true, but {config.dataset} has no training images "
                f"(datasets.{config.dataset}.{key}); give some, or take false"
            )


def _datasets(config: Config) -> Iterator[str]:
    yield from _dataset_names(config)
    for name, dataset in config.datasets.items():
        if dataset.rendered and dataset.root:
            yield (
                f"datasets.{name}: found root and rendered; "
                "give the folder of given images, or what to render"
            )
        elif not dataset.rendered and not dataset.root:
            yield (
                f"datasets.{name}.root: missing; give the folder that holds the images, "
                "or `rendered: {}` to have some rendered"
            )
        if dataset.split and dataset.source != "imagefolder":
            yield (
                f"datasets.{name}.split: found with source {dataset.source}, which has a split of "
                "its own; remove it"
            )
        if dataset.labels and not (dataset.source == "imagefolder" and dataset.split):
            yield (
                f"datasets.{name}.labels: found without source imagefolder and split; a list has "
                "no split of its own: give split: 1 (all images are for validation), or a share"
            )
        if dataset.split and dataset.only:
            yield (
                f"datasets.{name}.only: found with split; take split: 1 for a folder with CLASS/* "
                "alone, and only: val for one with val/"
            )
        if dataset.rendered:
            yield from _rendered(f"datasets.{name}.rendered", dataset.rendered)


def _rendered(where: str, settings: Pinhole) -> Iterator[str]:
    """What can be rendered has two classes or more, and an image of each."""
    yield from _ordered(f"{where}.shorter_side", settings.shorter_side)
    classes = len(settings.silhouettes) * len(settings.hues)
    if classes < 2:
        yield f"{where}.hues: silhouettes × hues give one class, expected at least 2; add one"
    for key in ("train_images", "val_images"):
        if (images := getattr(settings, key)) < classes:
            yield f"{where}.{key}: found {images}, expected an image for each of {classes} classes"


def _folds(config: Config) -> Iterator[str]:
    """Each fold leaves an image out. The job counts the images of a folder (stages/evaluate.py)."""
    folds = config.evaluation.folds
    for name in dict.fromkeys([config.dataset, *config.transfer.datasets.values()]):
        dataset = config.datasets.get(name)
        if dataset and dataset.rendered:
            images = min(dataset.rendered.val_images, dataset.limit.get("val", math.inf))
            if folds > images:
                yield (
                    f"evaluation.folds: found {folds}, expected at most the {images} validation "
                    f"images of datasets.{name}; give fewer folds or more images"
                )


def _dataset_names(config: Config) -> Iterator[str]:
    """Every dataset that is named somewhere must be an entry of `datasets`."""
    used = {"dataset": config.dataset}
    for key, name in config.transfer.datasets.items():
        used[f"transfer.datasets.{key}"] = name
    if config.weak_supervision.dataset:
        used["weak_supervision.dataset"] = config.weak_supervision.dataset
    for key, name in used.items():
        if name not in config.datasets:
            hint = did_you_mean(name, config.datasets) or f"known: {', '.join(config.datasets)}"
            yield f"{key}: found '{name}', no entry of datasets; {hint}"


def _recipes(config: Config) -> Iterator[str]:
    """Every base training and fine-tuning must be valid once its changes are laid over it."""
    trainings = {"base_training": config.base_training}
    for where, base, over in _changes(config):
        if ".fine_tuning_on." in where and "augmentation" in over:
            yield f"{where}.augmentation: the key above names the augmentation; remove this one"
        try:
            changed = laid_over(base, over, where)
        except ConfigError as error:
            yield from str(error).splitlines()
            continue
        if isinstance(changed, BaseTraining):
            trainings[where] = changed
    for where, training in trainings.items():
        for key in ("area", "aspect"):
            yield from _ordered(f"{where}.augmentation.{key}", getattr(training.augmentation, key))
        if training.augmentation.area[0] == 0:
            yield (
                f"{where}.augmentation.area: a RoC without area; "
                "give a lower bound above 0 (the paper: 0.08)"
            )


def _changes(config: Config) -> Iterator[tuple[str, Section, dict]]:
    """Everything that changes keys of a section: its key, the section below, the changed keys."""
    training, tuning = config.base_training, config.fine_tuning
    for name, network in config.networks.items():
        yield f"networks.{name}.base_training", training, network.base_training
        yield f"networks.{name}.fine_tuning", tuning, network.fine_tuning
        for augmentation, over in network.fine_tuning_on.items():
            yield f"networks.{name}.fine_tuning_on.{augmentation}", tuning, over
    yield "transfer.training", training, config.transfer.training
    yield "transfer.fine_tuning", tuning, config.transfer.fine_tuning
    yield "weak_supervision.training", training, config.weak_supervision.training
    yield "weak_supervision.adaptation", training, config.weak_supervision.adaptation


def _weights(config: Config) -> Iterator[str]:
    """A network's weights have exactly one source; a download has a checksum."""
    for name, network in config.networks.items():
        if network.weights is None:
            continue
        fields = network.weights.model_dump().items()
        sources = [key for key, value in fields if value and key != "sha256"]
        if len(sources) != 1:
            expected = ", ".join(key for key in Weights.model_fields if key != "sha256")
            yield (
                f"networks.{name}.weights: found {', '.join(sources) or 'nothing'}, "
                f"expected one of {expected}"
            )
        elif sources == ["url"] and not network.weights.sha256:
            yield (
                f"networks.{name}.weights.sha256: missing; an address needs the checksum of what "
                "it gives (sha256sum prints it)"
            )


def _table5(config: Config) -> Iterator[str]:
    table5 = config.table5
    if extra := [k for k in table5.k_train_adapted if k not in table5.k_train]:
        yield (
            f"table5.k_train_adapted: {extra} not in table5.k_train {table5.k_train}; "
            "add it there or remove it here"
        )


def _custom(custom: Custom) -> Iterator[str]:
    network = custom.network
    if network.weights == "none" and not custom.train:
        yield (
            "custom.network.weights: found none, with custom.train false: random weights would be "
            "measured; give weights, or custom.train: true"
        )
    if custom.k_train and not custom.train:
        yield "custom.k_train: found without custom.train: true, which alone reads it; remove it"
    sizes = [("custom.k_test", k) for k in custom.k_test]
    for key, k in [*sizes, ("custom.k_train", custom.k_train)]:
        if k is None or k == network.native:
            continue
        if not network.any_size:
            yield (
                f"{key}: found {k}, but the network takes {network.native} px alone "
                f"(custom.network.any_size); expected {network.native}"
            )
        elif not network.off_stride:
            for problem in off_stride(key, k, network.stride, "the network"):
                yield f"{problem}; or custom.network.off_stride: true, if it takes such crops"
    for one, next_one in itertools.pairwise(custom.ratios):
        if f"{one:g}" == f"{next_one:g}":
            yield (
                f"custom.crop_pct: found {one!r} and {next_one!r}, which the pages would both show "
                f"as {one:g}; take one of them for custom.crop_pct and custom.network.crop_pct"
            )


def off_stride(key: str, k: int, stride: int, network: str) -> Iterator[str]:
    """Yield a line where a resolution is no multiple of a network's stride."""
    if k % stride:
        near = " or ".join(str(n * stride) for n in sorted({max(k // stride, 1), k // stride + 1}))
        yield (
            f"{key}: found {k}, expected a multiple of {stride}, the stride of {network} "
            f"(Appendix B); take {near}"
        )


def _ordered(key: str, pair: list) -> Iterator[str]:
    if pair[0] > pair[1]:
        yield f"{key}: found [{pair[0]}, {pair[1]}], expected [smaller, larger]"
