"""The typed configuration: names, types, ranges, defaults, explanations, and helpful errors.

`load` reads YAML files, merges them in order and checks the result, a `Config`.
"""

from fixres.config.command_line import typed
from fixres.config.custom import Custom, CustomNetwork
from fixres.config.datasets import Pinhole
from fixres.config.errors import ConfigError
from fixres.config.fields import Section
from fixres.config.overlay import laid_over, merge
from fixres.config.reading import json_schema, load, parse, read_yaml
from fixres.config.schema import SCHEMA_FILE, Config
from fixres.config.training import BaseTraining, FineTuning
from fixres.config.yaml_text import value_of
