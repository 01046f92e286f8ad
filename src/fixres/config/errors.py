"""Errors of the configuration, in words that a person can act on.

Each is one line, `KEY: problem (got X, expected Y). Fix.`
"""

import functools
from collections.abc import Iterable
from typing import Any

from fixres.config.fields import Section, below, section_of
from fixres.config.schema import Config
from fixres.nearest import did_you_mean

SHOWN = 80  # characters of a value that a message shows
# Keys of earlier versions, and why they are gone.
REMOVED = {"custom.choice": "both halves of the validation images now choose and measure"}
PLAINER = {  # pydantic's words
    "Input should be": "expected",
    "List should have": "expected a list with",
    "Value should have": "expected",
    " after validation": "",
    "String should have": "expected text with",
    "String should match": "expected text that matches",
}
FIXES = {  # type of an error -> the fix
    "duplicate_value": "Remove one.",
    "model_type": "Add keys below it, or remove the line.",
    "range": "Inputs are in [0, 1], so divide numbers for pixels of 0 to 255 by 255.",
}


class ConfigError(ValueError):
    """A configuration that cannot be run. The message says where, why and what to do."""


def explain(error: dict, where: str = "", section: type[Section] | None = None) -> str:
    """One line for one pydantic error: key, problem, value found, value expected, fix.

    `error` is an entry of `ValidationError.errors()`, `where` the key of the validated section,
    such as "transfer.training", and `section` the section's class (default: all of `Config`).
    """
    key, path = key_of(error, where), error["loc"]
    if key in REMOVED:
        return f"{key}: no longer a key: {REMOVED[key]} (got {shown(error['input'])}). Remove it."
    if error["type"] == "extra_forbidden":
        inside = section_of(functools.reduce(below, path[:-1], section or Config))
        names = list(inside.model_fields) if inside else []
        hint = did_you_mean(str(path[-1]), names) or f"Valid keys: {', '.join(names)}."
        return f"{key}: unknown key. {hint}"
    expected = "".join(map(_visible, error["msg"]))  # some quote a value
    for words, plainer in PLAINER.items():
        expected = expected.replace(words, plainer)
    found, kind = error.get("input"), error["type"]
    if kind == "missing":
        return f"{key}: missing. Add it."
    if kind == "duplicate_value":
        return f"{key}: {expected}. {FIXES[kind]}"
    if kind == "model_type":
        expected = "expected keys below it"
    fix = FIXES.get(kind, "")
    if isinstance(found, str) and kind in ("float_type", "int_type", "bool_type"):
        fix = _fix_of_quoted_number(found)
    elif kind == "string_type" and isinstance(found, bool | int | float):
        fix = "Put it in quotes."
    elif kind == "list_type" and isinstance(found, str | int | float):
        fix = "Put it in [ ]."
    return f"{key}: invalid value (got {shown(found)}, {expected}). {fix}".rstrip()


def key_of(error: dict, where: str = "") -> str:
    """The key that a pydantic error is about."""
    return key_named(
        ([where] if where else []) + [part for part in error["loc"] if part != "[key]"]
    )


def key_named(path: Iterable) -> str:
    """The name of a key: the keys that lead to it, joined by dots, on one line."""
    return ".".join(_cut("".join(map(_visible, str(part)))) for part in path)


def shown(value: Any) -> str:
    """A value and its type on one line, such as "'12' of type str"."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python shows
        text = hex(value)
    return f"{_cut(text)} of type {type(value).__name__}"


def _visible(character: str) -> str:
    shown = character.isprintable()
    return character if shown else character.encode("unicode_escape").decode()


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _fix_of_quoted_number(found: str) -> str:
    try:
        number = "" if found.isdecimal() else repr(float(found))
    except ValueError:
        number = ""
    if not number:
        return "Remove the quotes."
    if "e" in number and "." not in number:
        number = number.replace("e", ".0e")
    return (
        f"YAML reads {found} as text, so write {number} "
        "(digits, a point, digits, then the exponent) without quotes."
    )
