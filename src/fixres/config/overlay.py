"""Merge configurations: keys of the later one replace keys of the earlier one."""

from pydantic import ValidationError

from fixres.config.errors import ConfigError, explain
from fixres.config.fields import Section


def merge(base: dict, over: dict) -> dict:
    """Merge `over` into `base`, section by section, as Snakemake does with --configfile."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(value, dict) and isinstance(below, dict)
        merged[key] = merge(below, value) if both else value
    return merged


def laid_over(base: Section, over: dict, where: str) -> Section:
    """A section with the keys of `over` changed, and checked.

    Raises ConfigError, which names the key below `where`, the place of `over` in the configuration.
    """
    try:
        return type(base).model_validate(merge(base.model_dump(), over))
    except ValidationError as error:
        problems = "\n".join(explain(e, where, type(base)) for e in error.errors())
        raise ConfigError(problems) from None
