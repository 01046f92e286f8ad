"""Values that no key of the configuration can have, whatever the schema says of the key."""

import math
import unicodedata
from collections.abc import Iterator
from typing import Any

from fixres.config.errors import key_named, shown

LARGEST, SMALLEST = 1e18, 1e-18  # of numbers: products of some of them are finite
FREE = "pages.captions."  # below it, text may have several lines


def unfit(value: Any, path: tuple = (), inside: tuple[int, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield the key and one line for each value that is no text, usable number, list or mapping.

    Parameters
    ----------
    path : keys that lead to the value.
    inside : ids of the lists and mappings around it.
    """
    key = key_named(path)
    if isinstance(value, dict | list):
        if id(value) in inside:
            yield key, f"{key}: an alias (*) of a list or mapping that it is part of; remove it"
            return
        for k, v in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(value, dict) and (problem := _unfit_key(k)):
                yield key_named((*path, k)), f"{key_named((*path, k))}: {problem}"
            else:
                yield from unfit(v, (*path, k), (*inside, id(value)))
    elif problem := _unfit_text(value, key) if isinstance(value, str) else _unfit_value(value):
        yield key, f"{key}: found {shown(value)}, {problem}"


def _unfit_key(key: Any) -> str:
    if not isinstance(key, str):
        return f"found the key {shown(key)}, expected text; put it in quotes"
    return _unfit_text(key, "")


def _unfit_text(text: str, key: str) -> str:
    allowed = "\n" if key.startswith(FREE) else ""
    found = [c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in allowed]
    return f"which holds the control character {found[0]!r}; remove it" if found else ""


def _unfit_value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if not isinstance(value, int | float):
        return "expected text, a number, a list or keys; put text in quotes"
    if isinstance(value, float) and not math.isfinite(value):
        return "expected a finite number"
    if value and not SMALLEST <= abs(value) <= LARGEST:
        return f"expected a number between {SMALLEST:g} and {LARGEST:g}"
    return ""
