"""Errors of the configuration, in words that a person can act on."""

from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from fixres.config.schema import Config
from fixres.nearest import did_you_mean

PLAINER = {"Input should be": "expected", "List should": "the list should"}  # pydantic's words


class ConfigError(ValueError):
    """A configuration that cannot be run.

    The message names the key, what was found, what was expected and what to do.
    """


def explain(error: dict, where: str = "", section: type[BaseModel] | None = None) -> str:
    """One line for one error of pydantic: the key, what was found, what was expected, what to do.

    Parameters
    ----------
    error : an entry of `ValidationError.errors()`.
    where : key of the section that was validated, as "transfer.training". Empty: all of `Config`.
    section : class of that section. None: `Config`.
    """
    path = tuple(part for part in error["loc"] if part != "[key]")
    key = ".".join(map(str, ([where] if where else []) + list(path)))
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key; {_hint_for_unknown_key(section or Config, path)}"
    expected = error["msg"]
    for words, plainer in PLAINER.items():
        expected = expected.replace(words, plainer)
    found = error.get("input")
    hint = ""
    if isinstance(found, str) and error["type"] in ("float_type", "int_type", "bool_type"):
        hint = _hint_for_quoted_number(found)
    return f"{key}: found {found!r} ({type(found).__name__}), {expected}{hint}"


def _hint_for_unknown_key(model: type[BaseModel], path: tuple) -> str:
    section = _section_at(model, path[:-1])
    names = list(section.model_fields) if section else []
    return did_you_mean(str(path[-1]), names) or f"valid here: {', '.join(names)}"


def _hint_for_quoted_number(found: str) -> str:
    try:
        number = repr(float(found))
    except ValueError:
        return "; remove the quotes"
    if "e" in number and "." not in number:
        number = number.replace("e", ".0e")
    return (
        f"; YAML reads {found} as text: write {number} "
        "(digits, a point, digits, then the exponent) without quotes"
    )


def _section_at(model: Any, path: tuple) -> type[BaseModel] | None:
    """The section below `model` at a key path; in a mapping, every key leads to the values."""
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
