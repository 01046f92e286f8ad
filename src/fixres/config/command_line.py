"""The values of Snakemake's --config, with the types that the schema expects.

    snakemake … --config twins=false 'base_training={epochs: 2}'

Snakemake parses the braces as YAML, but leaves every value in them a string: '2', 'null', 'true'.
This module parses such a string as YAML, unless the schema expects a string at its key.
"""

from types import NoneType
from typing import Any, Literal, get_origin

from fixres.config.errors import ConfigError
from fixres.config.fields import alternatives, below
from fixres.config.schema import Config
from fixres.config.yaml_text import value_of

NULLS = ("null", "Null", "NULL", "~")  # YAML's words for null


def typed(values: dict) -> dict:
    """The values of --config, as if read from a YAML file. Raises ConfigError with the key."""
    return {key: _typed(value, below(Config, key), key) for key, value in values.items()}


def _typed(value: Any, kind: Any, key: str) -> Any:
    """Convert a value, or a mapping or list of values, for which the schema expects `kind`."""
    if isinstance(value, dict):
        return {k: _typed(v, below(kind, k), f"{key}.{k}") for k, v in value.items()}
    if isinstance(value, list):
        return [_typed(v, below(kind, i), f"{key}.{i}") for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value
    kinds = alternatives(kind)
    if value in NULLS and NoneType in kinds:
        return None
    if str in kinds or any(get_origin(k) is Literal for k in kinds):
        return value
    try:
        return value_of(value, "")
    except ConfigError:
        raise ConfigError(
            f"--config {key}: not valid YAML (got {value}). Write it like "
            "--config 'base_training={epochs: 2}' (in quotes, with a space after each colon)."
        ) from None
