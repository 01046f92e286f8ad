"""TODO."""

import difflib

from fixres.config.errors import ConfigError
from fixres.config.overlay import laid_over
from fixres.config.schema import BaseTraining, Config, Weights


def _contradictions(config: Config):
    """What the types alone cannot tell."""
    yield from _datasets(config)
    trainings = {"base_training": config.base_training}
    for where, base, over in _changes(config):
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
            yield f"{where}.augmentation.area: a RoC without area; give a lower bound above 0 (the paper: 0.08)"
    for name, network in config.networks.items():
        given = [
            key
            for key, value in (network.weights or Weights(file="-")).model_dump().items()
            if value and key != "sha256"
        ]
        if len(given) != 1:
            yield f"networks.{name}.weights: found {', '.join(given) or 'nothing'}, expected one of file, url, timm, torchvision, hub"
        elif given == ["url"] and not network.weights.sha256:
            yield f"networks.{name}.weights.sha256: missing; an address needs the checksum of what it gives (sha256sum prints it)"
    for name in ("k_train", "k_train_adapted", "k_test"):
        values = getattr(config.table5, name)
        twice = sorted({k for k in values if values.count(k) > 1})
        if twice:
            yield f"table5.{name}: {twice[0]} stands there twice"
    extra = [k for k in config.table5.k_train_adapted if k not in config.table5.k_train]
    if extra:
        yield f"table5.k_train_adapted: {extra} not in table5.k_train {config.table5.k_train}; add it there or remove it here"


def _changes(config: Config):
    """(where, section, what is laid over it) of everything that changes some keys of base_training or fine_tuning."""
    for name, network in config.networks.items():
        yield f"networks.{name}.base_training", config.base_training, network.base_training
        yield f"networks.{name}.fine_tuning", config.fine_tuning, network.fine_tuning
    yield "transfer.training", config.base_training, config.transfer.training
    yield "transfer.fine_tuning", config.fine_tuning, config.transfer.fine_tuning
    yield "weak_supervision.training", config.base_training, config.weak_supervision.training
    yield "weak_supervision.adaptation", config.base_training, config.weak_supervision.adaptation


def _datasets(config: Config):
    used = {"dataset": config.dataset} | {
        f"transfer.datasets.{key}": name for key, name in config.transfer.datasets.items()
    }
    if config.weak_supervision.dataset:
        used["weak_supervision.dataset"] = config.weak_supervision.dataset
    for key, name in used.items():
        if name not in config.datasets:
            close = difflib.get_close_matches(name, config.datasets, n=1)
            hint = (
                f"did you mean '{close[0]}'?" if close else f"known: {', '.join(config.datasets)}"
            )
            yield f"{key}: found '{name}', no entry of datasets; {hint}"
    for name, dataset in config.datasets.items():
        if dataset.rendered and dataset.root:
            yield f"datasets.{name}: found root and rendered; give the folder of given images, or what to render"
        elif not dataset.rendered and not dataset.root:
            yield f"datasets.{name}.root: missing; give the folder that holds the images, or `rendered: {{}}` to have some rendered"
        if dataset.rendered:
            yield from _ordered(
                f"datasets.{name}.rendered.shorter_side", dataset.rendered.shorter_side
            )


def _ordered(key: str, pair: list):
    if pair[0] > pair[1]:
        yield f"{key}: found [{pair[0]}, {pair[1]}], expected [smaller, larger]"
