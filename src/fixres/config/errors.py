"""TODO."""

import difflib
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from fixres.config.schema import Config


class ConfigError(ValueError):
    """A configuration that cannot be run; the message names the key, what was found, what was expected and what to do."""


def _section_at(model: Any, path: tuple) -> type[BaseModel] | None:
    """The section below `model` that a key path leads to; a step into a mapping takes any key."""
    for part in path:
        if _is_section(model):
            field = model.model_fields.get(part)
            model = field and field.annotation
        elif get_origin(model) is dict:
            model = get_args(model)[1]
        else:
            return None
        if get_origin(model) in (UnionType, Union):  # Section | None
            model = next(iter(filter(_is_section, get_args(model))), None)
    return model if _is_section(model) else None


def _is_section(model: Any) -> bool:
    return isinstance(model, type) and issubclass(model, BaseModel)


def _explain(error: dict, where: str = "", section: type[BaseModel] | None = None) -> str:
    """One line for a person: the key, what was found, what was expected, what to do."""
    path = tuple(part for part in error["loc"] if part != "[key]")
    key, found = ".".join(map(str, ([where] if where else []) + list(path))), error.get("input")
    if error["type"] == "extra_forbidden":
        at = _section_at(section or Config, path[:-1])
        names = list(at.model_fields) if at else []
        close = difflib.get_close_matches(str(path[-1]), names, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"valid here: {', '.join(names)}"
        return f"{key}: unknown key; {hint}"
    said = (
        error["msg"]
        .replace("Input should be", "expected")
        .replace("List should", "the list should")
    )
    hint = ""
    if isinstance(found, str) and error["type"] in ("float_type", "int_type", "bool_type"):
        hint = "; remove the quotes"
        try:
            number = repr(float(found))
            if "e" in number and "." not in number:
                number = number.replace("e", ".0e")
            hint = f"; YAML reads {found} as text: write {number} (digits, a point, digits, then the exponent) without quotes"
        except ValueError:
            pass
    return f"{key}: found {found!r} ({type(found).__name__}), {said}{hint}"
