"""Read the configuration: YAML files, laid over each other and checked before any job is planned.

`config.yaml` is the embedded scale. A file of configs/ holds only what differs, and is laid over
config.yaml (`--configfile configs/imagenet.yaml`).
"""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from fixres.config.checks import contradictions
from fixres.config.errors import ConfigError, explain
from fixres.config.overlay import merge
from fixres.config.schema import Config


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a repeated key is an error. PyYAML alone silently keeps the last one."""


def _mapping_without_duplicates(
    loader: _StrictLoader, node: yaml.MappingNode, deep: bool = False
) -> dict:
    seen: dict[Any, int] = {}
    for key_node, _ in node.value:
        key, line = loader.construct_object(key_node, deep=True), key_node.start_mark.line + 1
        if key in seen:
            raise ConfigError(
                f"{loader.name}, line {line}: key '{key}' stands already in line {seen[key]}; "
                "remove one of them"
            )
        seen[key] = line
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


_StrictLoader.add_constructor(
    yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_duplicates
)


def read_yaml(path: str | Path) -> dict:
    """Read a YAML mapping; an empty file is an empty one. Raises ConfigError with file and line."""
    try:
        with open(path, encoding="utf-8") as f:
            content = yaml.load(f, _StrictLoader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected 'key: value' lines, found a {type(content).__name__}")
    return content


def load(*files: str | Path, extra: dict | None = None) -> Config:
    """The configuration of these YAML files, each laid over the one before.

    `extra` (Snakemake's --config) is laid over them all.
    """
    content: dict = {}
    for file in files:
        content = merge(content, read_yaml(file))
    return parse(merge(content, extra or {}), where=" + ".join(map(str, files)) or "configuration")


def parse(content: dict, where: str = "configuration") -> Config:
    """Check names, types and ranges. Raises ConfigError with one line for each problem."""
    try:
        config = Config.model_validate(content)
    except ValidationError as error:
        problems = "\n".join(f"  {explain(e)}" for e in error.errors())
        raise ConfigError(f"{where}:\n{problems}") from None
    if problems := "\n".join(f"  {problem}" for problem in contradictions(config)):
        raise ConfigError(f"{where}:\n{problems}")
    return config


def json_schema() -> str:
    """The JSON schema of config.yaml, as configs/schema.json holds it."""
    schema = Config.model_json_schema()
    schema["title"] = "FixRes Suite configuration"
    text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return re.sub(r"(?<!\\n)\\n(?!\\n)", " ", text)  # one line a paragraph


def main(arguments: list[str]) -> None:
    """Print the JSON schema (`python -m fixres schema > configs/schema.json`)."""
    print(json_schema(), end="")
