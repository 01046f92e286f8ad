"""Errors of the configuration, in words that a person can act on."""

import functools

from fixres.config.fields import Section, below, section_of
from fixres.config.schema import Config
from fixres.nearest import did_you_mean

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
    path = tuple(part for part in error["loc"] if part != "[key]")
    key = ".".join(map(str, ([where] if where else []) + list(path)))
    if error["type"] == "extra_forbidden":
        inside = section_of(functools.reduce(below, path[:-1], section or Config))
        names = list(inside.model_fields) if inside else []
        hint = did_you_mean(str(path[-1]), names) or f"valid here: {', '.join(names)}"
        return f"{key}: unknown key; {hint}"
    expected = error["msg"]
    for words, plainer in PLAINER.items():
        expected = expected.replace(words, plainer)
    found = error.get("input")
    hint = ""
    if isinstance(found, str) and error["type"] in ("float_type", "int_type", "bool_type"):
        hint = _hint_for_quoted_number(found)
    return f"{key}: found {found!r} ({type(found).__name__}), {expected}{hint}"


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
