"""Read the configuration: YAML files, laid over each other and checked before any job is planned.

`config.yaml` is the embedded scale. A file of configs/ holds only what differs, and is laid over
config.yaml (`--configfile configs/imagenet.yaml`).
"""

import json
import re
from pathlib import Path

from pydantic import ValidationError

from fixres.config.checks import contradictions
from fixres.config.errors import ConfigError, explain, key_of
from fixres.config.overlay import merge
from fixres.config.plain import unfit
from fixres.config.schema import Config
from fixres.config.yaml_text import value_of

TOLD = 20  # problems that one message tells
PROGRAM = "__use_yte__"  # Snakemake runs the code that such a file holds


def read_yaml(path: str | Path) -> dict:
    """Read a YAML mapping. Raises ConfigError with file and line."""
    try:
        text = Path(path).read_bytes().decode()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {line}: not UTF-8 text; save it as UTF-8") from None
    # Only in JSON may a tab stand before a value.
    content = value_of(text.expandtabs() if str(path).endswith(".json") else text, str(path))
    if not isinstance(content, dict):
        found = "nothing" if content is None else f"a {type(content).__name__}"
        raise ConfigError(f"{path}: expected 'key: value' lines, found {found}")
    if PROGRAM in content:
        raise ConfigError(f"{path}: found {PROGRAM}, which lets Snakemake run code; remove it")
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
    unfit_values = dict(unfit(content))
    lines = list(unfit_values.values())
    try:
        config = Config.model_validate(content)
    except ValidationError as error:
        lines += [explain(e) for e in error.errors() if key_of(e) not in unfit_values]
    if problems := lines or list(contradictions(config)):
        more = [f"and {len(problems) - TOLD} more"] if len(problems) > TOLD else []
        raise ConfigError("\n  ".join([f"{where}:", *problems[:TOLD], *more]))
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
