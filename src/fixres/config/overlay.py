"""TODO."""

from pydantic import ValidationError

from fixres.config.errors import ConfigError, _explain
from fixres.config.schema import Section


def merge(base: dict, over: dict) -> dict:
    """`over` laid on `base`, section by section: how Snakemake lays one --configfile on another."""
    merged = dict(base)
    for key, value in over.items():
        merged[key] = (
            merge(merged[key], value)
            if isinstance(value, dict) and isinstance(merged.get(key), dict)
            else value
        )
    return merged


def laid_over(base: Section, over: dict, where: str) -> Section:
    """A section with some keys changed, checked like any other. Raises ConfigError naming the key below `where`."""
    try:
        return type(base).model_validate(merge(base.model_dump(), over))
    except ValidationError as error:
        raise ConfigError(
            "\n".join(_explain(e, where, type(base)) for e in error.errors())
        ) from None
