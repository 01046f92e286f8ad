"""Values that no key of the configuration can have, whatever its schema says."""

import math
import unicodedata
from collections.abc import Iterator
from typing import Any

from fixres.config.errors import key_named, shown

LARGEST, SMALLEST = 1e18, 1e-18  # limits of numbers, so that products of a few are finite
FREE = "pages.captions."  # text below this key may have several lines


def unfit(value: Any, path: tuple = (), inside: tuple[int, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield the key and one line for each value that is not text, a usable number, list or mapping.

    Parameters
    ----------
    path : keys that lead to the value.
    inside : ids of the lists and mappings around it.
    """
    key = key_named(path)
    if isinstance(value, dict | list):
        if id(value) in inside:
            yield key, f"{key}: an alias (*) of a list or mapping that contains it. Remove it."
            return
        for k, v in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(value, dict) and (problem := _unfit_key(k)):
                yield key_named((*path, k)), f"{key_named((*path, k))}: {problem}"
            else:
                yield from unfit(v, (*path, k), (*inside, id(value)))
    elif problem := _unfit_text(value, key) if isinstance(value, str) else _unfit_value(value):
        yield key, f"{key}: {problem}"


def _unfit_key(key: Any) -> str:
    if not isinstance(key, str):
        return f"invalid key (got {shown(key)}, expected text). Put it in quotes."
    return _unfit_text(key, "")


def _unfit_text(text: str, key: str) -> str:
    allowed = "\n" if key.startswith(FREE) else ""
    found = [c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in allowed]
    if not found:
        return ""
    return f"contains the control character {found[0]!r} (got {shown(text)}). Remove it."


def _unfit_value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if not isinstance(value, int | float):
        expected = "text, a number, a list or keys). Put text in quotes."
        return f"invalid type (got {shown(value)}, expected {expected}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"not finite (got {shown(value)}, expected a finite number)."
    if value and not SMALLEST <= abs(value) <= LARGEST:
        expected = f"a number between {SMALLEST:g} and {LARGEST:g}"
        return f"out of range (got {shown(value)}, expected {expected})."
    return ""
