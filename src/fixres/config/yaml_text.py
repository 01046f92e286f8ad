"""Strict YAML for configurations: no value is dropped, and none is read as another value."""

import re
from typing import Any

import yaml

from fixres.config.errors import ConfigError

MERGE = "tag:yaml.org,2002:merge"  # `<<: *anchor` adds the keys that only the anchor has
OTHER_BASE = re.compile(r"[-+]?0[0-9_]+$|.*:")  # YAML 1.1 reads 010 as 8, and 1:30 as 90


class _Loader(yaml.SafeLoader):
    """Refuses duplicate keys: PyYAML silently keeps the last."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
                continue
            line = key.start_mark.line + 1
            if key.value in seen:
                raise ConfigError(
                    f"{self.name}, line {line}: duplicate key '{key.value}', first set on line "
                    f"{seen[key.value]}. Remove one of them."
                )
            seen[key.value] = line
        return node

    def decimal(self, node: yaml.ScalarNode) -> int | float:
        if OTHER_BASE.match(node.value):
            expected = "expected a number without leading zeros or colons"
            problem = f"ambiguous number (got {node.value}, {expected})"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        is_int = node.tag.endswith(":int")
        return self.construct_yaml_int(node) if is_int else self.construct_yaml_float(node)


for kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{kind}", _Loader.decimal)


def value_of(text: str, name: str) -> Any:
    """The value of YAML text. Raises ConfigError with `name`, which says where the text is from."""
    loader = _Loader(text)
    loader.name = name
    try:
        return loader.get_single_data()
    except ConfigError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        why = error.problem or error.context
        raise ConfigError(f"{name}{where}: not valid YAML: {why}.") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: 2020-13-45 is not a date
        why = " ".join(str(error).partition(";")[0].split())
        raise ConfigError(f"{name}: not valid YAML: {why}.") from None
    except RecursionError:
        raise ConfigError(f"{name}: not valid YAML: nested too deeply.") from None
