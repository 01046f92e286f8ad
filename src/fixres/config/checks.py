"""Contradictions: problems of a configuration that types cannot express.

Each check yields one line per problem. `reading.parse` reports all lines at once.
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
    """Yield one line per problem of a configuration whose types are correct."""
    if re.fullmatch(r"s\d+", config.protocol):
        yield (
            f"protocol: looks like a seed in the names of runs (got '{config.protocol}'). "
            "Choose another word."
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
                f"custom.train: no training images (got true, but datasets.{config.dataset}.{key} "
                "leaves only validation images). Provide training images, or set it to false."
            )


def _datasets(config: Config) -> Iterator[str]:
    yield from _dataset_names(config)
    for name, dataset in config.datasets.items():
        if dataset.rendered and dataset.root:
            yield (
                f"datasets.{name}: has both root and rendered. Keep root for images that you have, "
                "or rendered for images that the suite renders."
            )
        elif not dataset.rendered and not dataset.root:
            yield (
                f"datasets.{name}.root: missing. Give the folder that holds the images, "
                "or `rendered: {}` to have images rendered."
            )
        if dataset.split and dataset.source != "imagefolder":
            yield (
                f"datasets.{name}.split: not allowed with source {dataset.source}, which defines "
                "its own split. Remove it."
            )
        if dataset.labels and not (dataset.source == "imagefolder" and dataset.split):
            yield (
                f"datasets.{name}.labels: needs source imagefolder and split, because a list "
                "defines no split. Set split: 1 (all images are for validation), or a share."
            )
        if dataset.split and dataset.only:
            yield (
                f"datasets.{name}.only: not allowed with split. Use split: 1 for a folder that has "
                "only CLASS/*, and only: val for a folder that has val/."
            )
        if dataset.rendered:
            yield from _rendered(f"datasets.{name}.rendered", dataset.rendered)


def _rendered(where: str, settings: Pinhole) -> Iterator[str]:
    """A rendered dataset has at least two classes, and an image of each class."""
    yield from _ordered(f"{where}.shorter_side", settings.shorter_side)
    classes = len(settings.silhouettes) * len(settings.hues)
    if classes < 2:
        yield (
            f"{where}.hues: too few classes (got {classes} from silhouettes × hues, expected at "
            "least 2). Add a hue or a silhouette."
        )
    for key in ("train_images", "val_images"):
        if (images := getattr(settings, key)) < classes:
            yield (
                f"{where}.{key}: too few images (got {images}, expected at least one for each of "
                f"{classes} classes). Increase it, or remove classes."
            )


def _folds(config: Config) -> Iterator[str]:
    """Each fold leaves out at least one image. The job itself checks images from folders."""
    folds = config.evaluation.folds
    for name in dict.fromkeys([config.dataset, *config.transfer.datasets.values()]):
        dataset = config.datasets.get(name)
        if dataset and dataset.rendered:
            images = min(dataset.rendered.val_images, dataset.limit.get("val", math.inf))
            if folds > images:
                yield (
                    f"evaluation.folds: too many (got {folds}, expected at most the {images} "
                    f"validation images of datasets.{name}). Use fewer folds or more images."
                )


def _dataset_names(config: Config) -> Iterator[str]:
    """Every dataset that the configuration mentions must be an entry of `datasets`."""
    used = {"dataset": config.dataset}
    for key, name in config.transfer.datasets.items():
        used[f"transfer.datasets.{key}"] = name
    if config.weak_supervision.dataset:
        used["weak_supervision.dataset"] = config.weak_supervision.dataset
    for key, name in used.items():
        if name not in config.datasets:
            known = ", ".join(config.datasets)
            hint = did_you_mean(name, config.datasets) or f"Choose one of {known}."
            yield f"{key}: not an entry of datasets (got '{name}'). {hint}"


def _recipes(config: Config) -> Iterator[str]:
    """Every base training and fine-tuning must be valid with its changes applied."""
    trainings = {"base_training": config.base_training}
    for where, base, over in _changes(config):
        if ".fine_tuning_on." in where and "augmentation" in over:
            yield f"{where}.augmentation: the key above already names it. Remove this line."
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
                f"{where}.augmentation.area: a RoC could have no area (got a lower bound of 0, "
                "expected more than 0). Increase it; the paper uses 0.08."
            )


def _changes(config: Config) -> Iterator[tuple[str, Section, dict]]:
    """Everything that changes keys of a section: its own key, that section, the changed keys."""
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
    """A network's weights have exactly one source, and a download has a checksum."""
    for name, network in config.networks.items():
        if network.weights is None:
            continue
        fields = network.weights.model_dump().items()
        sources = [key for key, value in fields if value and key != "sha256"]
        if len(sources) != 1:
            expected = ", ".join(key for key in Weights.model_fields if key != "sha256")
            yield (
                f"networks.{name}.weights: needs exactly one source "
                f"(got {', '.join(sources) or 'nothing'}, expected one of {expected}). "
                f"{'Keep' if sources else 'Give'} one."
            )
        elif sources == ["url"] and not network.weights.sha256:
            yield (
                f"networks.{name}.weights.sha256: missing, but required with url. Give the "
                "checksum of the file (sha256sum prints it)."
            )


def _table5(config: Config) -> Iterator[str]:
    table5 = config.table5
    if extra := [k for k in table5.k_train_adapted if k not in table5.k_train]:
        yield (
            f"table5.k_train_adapted: not in table5.k_train (got {extra}, expected some of "
            f"{table5.k_train}). Add it there or remove it here."
        )


def _custom(custom: Custom) -> Iterator[str]:
    network = custom.network
    if network.weights == "none" and not custom.train:
        yield (
            "custom.network.weights: random weights would be measured (got none, with "
            "custom.train: false). Give weights, or set custom.train: true."
        )
    if custom.k_train and not custom.train:
        yield "custom.k_train: no effect without custom.train: true. Remove it."
    sizes = [("custom.k_test", k) for k in custom.k_test]
    for key, k in [*sizes, ("custom.k_train", custom.k_train)]:
        if k is None or k == network.native:
            continue
        if not network.any_size:
            yield (
                f"{key}: the network takes only one size (got {k}, expected {network.native}). "
                "Use that, or set custom.network.any_size: true if the network takes other sizes."
            )
        elif not network.off_stride:
            for problem in off_stride(key, k, network.stride, "the network"):
                yield (
                    f"{problem} If the network takes such crops, set custom.network.off_stride: "
                    "true instead."
                )
    for one, next_one in itertools.pairwise(custom.ratios):
        if f"{one:g}" == f"{next_one:g}":
            yield (
                f"custom.crop_pct: two values look alike on the pages (got {one!r} and "
                f"{next_one!r}, both shown as {one:g}). Use one of them in custom.crop_pct and "
                "custom.network.crop_pct."
            )


def off_stride(key: str, k: int, stride: int, network: str) -> Iterator[str]:
    """Yield a line if a resolution is not a multiple of a network's stride."""
    if k % stride:
        near = " or ".join(str(n * stride) for n in sorted({max(k // stride, 1), k // stride + 1}))
        yield (
            f"{key}: off the stride of {network} (got {k}, expected a multiple of {stride}, "
            f"Appendix B). Use {near}."
        )


def _ordered(key: str, pair: list) -> Iterator[str]:
    if pair[0] > pair[1]:
        yield (
            f"{key}: wrong order (got [{pair[0]}, {pair[1]}], expected [smaller, larger]). "
            "Swap the two values."
        )
