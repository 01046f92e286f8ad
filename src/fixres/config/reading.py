"""Read the configuration: YAML files, merged in order and checked before any job is planned.

`config.yaml` is the embedded scale. A file in configs/ has only the keys that differ, and is merged
into config.yaml (`--configfile configs/imagenet.yaml`).
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

TOLD = 20  # problems listed in one message
PROGRAM = "__use_yte__"  # Snakemake runs the code in a file with this key


def read_yaml(path: str | Path) -> dict:
    """Read a YAML mapping. Raises ConfigError with file and line."""
    try:
        text = Path(path).read_bytes().decode()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {line}: not UTF-8 text. Save it as UTF-8.") from None
    # Only JSON allows a tab before a value.
    content = value_of(text.expandtabs() if str(path).endswith(".json") else text, str(path))
    if not isinstance(content, dict):
        found = "nothing" if content is None else f"a {type(content).__name__}"
        expected = "expected 'key: value' lines"
        raise ConfigError(f"{path}: not a configuration (got {found}, {expected}).")
    if PROGRAM in content:
        raise ConfigError(f"{path}: {PROGRAM} would let Snakemake run code. Remove it.")
    return content


def load(*files: str | Path, extra: dict | None = None) -> Config:
    """The configuration of these YAML files, each merged into the previous ones.

    `extra` (Snakemake's --config) comes last.
    """
    content: dict = {}
    for file in files:
        content = merge(content, read_yaml(file))
    return parse(merge(content, extra or {}), where=" + ".join(map(str, files)) or "configuration")


def parse(content: dict, where: str = "configuration") -> Config:
    """Check names, types and ranges. Raises ConfigError with one line per problem."""
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
    """The JSON schema of config.yaml, the content of configs/schema.json."""
    schema = Config.model_json_schema()
    schema["title"] = "FixRes Suite configuration"
    text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return re.sub(r"(?<!\\n)\\n(?!\\n)", " ", text)  # one line per paragraph


def main(arguments: list[str]) -> None:
    """Print the JSON schema (`python -m fixres schema > configs/schema.json`)."""
    print(json_schema(), end="")
