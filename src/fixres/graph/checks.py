"""What can be known to fail before anything runs: names, strides, files."""

import os
from collections.abc import Iterator

from fixres.config import BaseTraining, Config, ConfigError
from fixres.config.checks import off_stride
from fixres.models.catalogue.network import Network
from fixres.models.catalogue.released import RELEASED
from fixres.models.catalogue.zoo import ZOO
from fixres.nearest import did_you_mean


def expanded(path: str) -> str:
    """A path with ~ and $VARIABLES replaced."""
    return os.path.expandvars(os.path.expanduser(path))


def check(config: Config) -> None:
    """Raise ConfigError with one line for each problem that can be seen in a configuration."""
    problems = [*_names(config), *_files(config)]
    if problems:
        raise ConfigError("\n".join(problems))


def _names(config: Config) -> Iterator[str]:
    for name in config.networks:
        if name not in ZOO:
            yield f"networks.{name}: {_unknown_network(name)}"
    if config.custom and config.custom.name in ZOO:
        yield f"custom.name: found '{config.custom.name}', a network of the zoo; take another name"
    if config.custom and config.evaluation.test_resize == "released":
        yield (
            "evaluation.test_resize: found released, with custom; a custom network is tested "
            "with its crop_pct: take paper"
        )
    for name in config.released.files:
        if name not in RELEASED:
            yield f"released.files.{name}: {_unknown(name, RELEASED)}"
    if config.network in ZOO:
        yield from _strides(config, ZOO[config.network])
    else:
        yield f"network: {_unknown_network(config.network)}"


def _unknown(name: str, known: dict) -> str:
    return f"found '{name}'; {did_you_mean(name, known) or 'known: ' + ', '.join(known)}"


def _unknown_network(name: str) -> str:
    return (
        f"{_unknown(name, ZOO)}; expected a name of the zoo (docs/networks.md lists them, and says "
        "how to add one: a network of timm or torchvision is one entry)"
    )


def _strides(config: Config, entry: Network) -> Iterator[str]:
    sizes = [
        (f"table5.{key}", k) for key in ("k_train", "k_test") for k in getattr(config.table5, key)
    ]
    sizes += [("k_largest", config.k_largest)] if config.resolution_divisor > 1 else []
    for key, k in sizes:
        yield from off_stride(key, k, entry.stride, config.network)


def _files(config: Config) -> Iterator[str]:
    """A line for each file that the configuration names and that is not there."""
    files = {f"released.files.{name}": file for name, file in config.released.files.items()}
    for name, network in config.networks.items():
        if network.weights and network.weights.file:
            files[f"networks.{name}.weights.file"] = network.weights.file
    if config.custom and config.custom.network.has_file:
        files["custom.network.weights"] = config.custom.network.weights
    for key, file in files.items():
        if not os.path.isfile(expanded(file)):
            yield f"{key}: no file {expanded(file)}"


def check_epoch(config: Config, dataset: str, recipe: BaseTraining, where: str) -> None:
    """Raise ConfigError for a base training whose epoch does not fill one batch.

    It would take no step, so its result would be random weights. The number of images in a user's
    folder is not known here; the job checks again (stages/train.py).

    Parameters
    ----------
    dataset : the entry of `datasets` that it trains on.
    where : the key of its settings, such as "transfer.training".
    """
    rendered, size = config.datasets[dataset].rendered, recipe.batch_size
    samples = recipe.samples_per_epoch or (rendered and rendered.train_images)
    if not samples or samples >= size:
        return
    found = f"{recipe.samples_per_epoch}"
    if not recipe.samples_per_epoch:
        key = f"datasets.{dataset}.rendered.train_images"
        found = f"null: the number of images, {samples} ({key})"
    raise ConfigError(
        f"{where}.samples_per_epoch: too few (got {found}, expected at least one batch, "
        f"{where}.batch_size {size}). Give a smaller batch_size or more samples_per_epoch."
    )
