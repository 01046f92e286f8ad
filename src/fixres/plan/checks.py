"""TODO."""

import difflib
import os
from pathlib import Path

from fixres.config import Config, ConfigError
from fixres.models.released import RELEASED
from fixres.models.zoo import ZOO, Network


def expanded(path: str) -> str:
    return os.path.expandvars(os.path.expanduser(path))


def check(config: Config) -> None:
    """What can be known to fail before anything runs. Raises ConfigError with one line for each problem."""
    problems = [
        f"networks.{name}: {_unknown(name, ZOO)}" for name in config.networks if name not in ZOO
    ]
    problems += [
        f"released.files.{name}: {_unknown(name, RELEASED)}"
        for name in config.released.files
        if name not in RELEASED
    ]
    if config.network in ZOO:
        problems += _strides(config, ZOO[config.network])
    else:
        problems.append(f"network: {_unknown(config.network, ZOO)}")
    training = config.base_training
    if training.samples_per_epoch and training.samples_per_epoch < training.batch_size:
        problems.append(
            f"base_training.samples_per_epoch: found {training.samples_per_epoch}, expected at least one batch "
            f"(base_training.batch_size {training.batch_size})"
        )
    for where, file in _files(config):
        if not Path(expanded(file)).is_file():
            problems.append(f"{where}: no file {expanded(file)}")
    if problems:
        raise ConfigError("\n".join(problems))


def _unknown(name: str, known: dict) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"found '{name}'; " + (
        f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
    )


def _strides(config: Config, entry: Network) -> list[str]:
    problems = []
    for key in ("k_train", "k_test"):
        for k in getattr(config.table5, key):
            if k % entry.stride:
                near = sorted(
                    {
                        max(k // entry.stride, 1) * entry.stride,
                        (k // entry.stride + 1) * entry.stride,
                    }
                )
                problems.append(
                    f"table5.{key}: found {k}, expected a multiple of {entry.stride}, the stride of {config.network} (Appendix B); "
                    f"take {' or '.join(map(str, near))}"
                )
    return problems


def _files(config: Config):
    """(key, path) of every file that the configuration names."""
    for name, network in config.networks.items():
        if network.weights and network.weights.file:
            yield f"networks.{name}.weights.file", network.weights.file
    yield from ((f"released.files.{name}", file) for name, file in config.released.files.items())
