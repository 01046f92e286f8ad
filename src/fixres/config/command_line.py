"""The values of Snakemake's --config, with the types that the schema expects.

    snakemake … --config twins=false 'base_training={epochs: 2}'

Snakemake reads the words in braces as YAML, but leaves every value in them a string: '2', 'null',
'true'. Here such a string is read as YAML, unless the schema expects a string at its key.
"""

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml

from fixres.config.errors import ConfigError
from fixres.config.fields import Section
from fixres.config.schema import Config

NULLS = ("null", "Null", "NULL", "~")  # YAML's words for null


def typed(values: dict) -> dict:
    """The values of --config as a YAML file would give them.

    Raises
    ------
    ConfigError : names the key whose value is not valid YAML.
    """
    return {key: _typed(value, _below(Config, key), key) for key, value in values.items()}


def _typed(value: Any, kind: Any, key: str) -> Any:
    """One value, or a mapping or list of values, where the schema expects `kind`."""
    if isinstance(value, dict):
        return {k: _typed(v, _below(kind, k), f"{key}.{k}") for k, v in value.items()}
    if isinstance(value, list):
        return [_typed(v, _below(kind, i), f"{key}.{i}") for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value
    kinds = _alternatives(kind)
    if value in NULLS and NoneType in kinds:
        return None
    if str in kinds or any(get_origin(k) is Literal for k in kinds):
        return value
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(
            f"--config {key}: found {value}, which is not valid YAML; write it like "
            "--config 'base_training={epochs: 2}' (in quotes, a space after each colon)"
        ) from None


def _alternatives(kind: Any) -> list[Any]:
    """What a kind consists of: `Count | None` of int and None."""
    if get_origin(kind) is Annotated:
        return _alternatives(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [one for part in get_args(kind) for one in _alternatives(part)]
    return [kind]


def _below(kind: Any, key: Any) -> Any:
    """The kind that the schema expects at a key below `kind`; Any where it says nothing."""
    for one in _alternatives(kind):
        if isinstance(one, type) and issubclass(one, Section) and key in one.model_fields:
            return one.model_fields[key].annotation
        if get_origin(one) in (dict, list):
            return get_args(one)[-1]
    return Any
