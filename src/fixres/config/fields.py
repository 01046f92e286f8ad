"""The parts that all sections of the configuration are made of: number ranges and a base class."""

from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field

Pixels = Annotated[int, Field(gt=0, description="pixels")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
T = TypeVar("T")
Several = Annotated[list[T], Field(min_length=1)]
Pair = Annotated[list[T], Field(min_length=2, max_length=2)]


class Section(BaseModel):
    # An unknown key is an error, types are not converted, values do not change after reading. The
    # text in quotes below a field is its description.
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


def alternatives(kind: Any) -> list[Any]:
    """What a kind consists of: `Count | None` of int and None."""
    if get_origin(kind) is Annotated:
        return alternatives(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [one for part in get_args(kind) for one in alternatives(part)]
    return [kind]


def section_of(kind: Any) -> type[Section] | None:
    """The section that a kind is: itself, or that of `Section | None`."""
    kinds = (one for one in alternatives(kind) if isinstance(one, type))
    return next((one for one in kinds if issubclass(one, Section)), None)


def below(kind: Any, key: Any) -> Any:
    """The kind of the values at a key below `kind`; Any where the schema says nothing.

    In a mapping or list, every key leads to the values.
    """
    section = section_of(kind)
    if section and key in section.model_fields:
        return section.model_fields[key].annotation
    for one in alternatives(kind):
        if get_origin(one) in (dict, list):
            return get_args(one)[-1]
    return Any
