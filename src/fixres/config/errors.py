"""Errors of the configuration, in words that a person can act on."""

import functools
from collections.abc import Iterable
from typing import Any

from fixres.config.fields import Section, below, section_of
from fixres.config.schema import Config
from fixres.nearest import did_you_mean

SHOWN = 80  # characters of a value that a message shows
# Keys of earlier versions, and what took their place.
REMOVED = {
    "custom.choice": "both halves of the validation images now serve to choose and to measure"
}
PLAINER = {"Input should be": "expected", "List should": "the list should"}  # pydantic's words


class ConfigError(ValueError):
    """A configuration that cannot be run.

    The message names the key, what was found, what was expected and what to do.
    """


def explain(error: dict, where: str = "", section: type[Section] | None = None) -> str:
    """One line for one error of pydantic: the key, what was found, what was expected, what to do.

    `error` is an entry of `ValidationError.errors()`, `where` the key of the section that was
    validated, as "transfer.training", and `section` its class; without them, all of `Config`.
    """
    key, path = key_of(error, where), error["loc"]
    if key in REMOVED:
        return f"{key}: no longer a key (got {shown(error['input'])}): {REMOVED[key]}. Remove it"
    if error["type"] == "extra_forbidden":
        inside = section_of(functools.reduce(below, path[:-1], section or Config))
        names = list(inside.model_fields) if inside else []
        hint = did_you_mean(str(path[-1]), names) or f"valid here: {', '.join(names)}"
        return f"{key}: unknown key; {hint}"
    expected = "".join(map(_visible, error["msg"]))  # some quote a value
    for words, plainer in PLAINER.items():
        expected = expected.replace(words, plainer)
    found, kind = error.get("input"), error["type"]
    if kind == "model_type":
        expected = "expected keys below it; without any, remove the line"
    hint = ""
    if isinstance(found, str) and kind in ("float_type", "int_type", "bool_type"):
        hint = _hint_for_quoted_number(found)
    elif kind == "string_type" and isinstance(found, bool | int | float):
        hint = "; put it in quotes"
    elif kind == "list_type" and isinstance(found, str | int | float):
        hint = "; put it in [ ]"
    return f"{key}: found {shown(found)}, {expected}{hint}"


def key_of(error: dict, where: str = "") -> str:
    """The key that an error of pydantic is about."""
    return key_named(
        ([where] if where else []) + [part for part in error["loc"] if part != "[key]"]
    )


def key_named(path: Iterable) -> str:
    """A key by the keys that lead to it, with points between, on one line."""
    return ".".join(_cut("".join(map(_visible, str(part)))) for part in path)


def shown(value: Any) -> str:
    """A value and its type, on one line."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python shows
        text = hex(value)
    return f"{_cut(text)} ({type(value).__name__})"


def _visible(character: str) -> str:
    shown = character.isprintable()
    return character if shown else character.encode("unicode_escape").decode()


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


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
