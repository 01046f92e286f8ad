"""The typed configuration: names, types, ranges, defaults, explanations, and errors that help."""

from fixres.config.errors import ConfigError
from fixres.config.overlay import laid_over, merge
from fixres.config.reading import json_schema, load, parse, read_yaml
from fixres.config.schema import (
    SCHEMA_FILE,
    BaseTraining,
    Config,
    FineTuning,
    Pinhole,
    Section,
)

__all__ = [
    "SCHEMA_FILE",
    "BaseTraining",
    "Config",
    "ConfigError",
    "FineTuning",
    "Pinhole",
    "Section",
    "json_schema",
    "laid_over",
    "load",
    "merge",
    "parse",
    "read_yaml",
]
