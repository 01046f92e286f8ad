"""What all sections of the configuration are made of: number ranges and a base class."""

from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

Pixels = Annotated[int, Field(gt=0, le=65535, description="pixels")]  # a JPEG's largest side
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Processes = Annotated[int, Field(ge=1, le=1024)]  # processes to start, or threads
Size = Annotated[float, Field(gt=0, le=10)]  # of an object or distance, over sqrt(HW)
# Torch's generator on a processor takes 32 bits of a seed.
Seed = Annotated[int, Field(ge=0, lt=2**32)]
# Part of the names of files and folders, which have at most 255 bytes.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
T = TypeVar("T")


def _without_duplicates(values: list) -> list:
    """The values, without change. Each has its own cell, run or class, so all must differ."""
    if twice := sorted({value for value in values if values.count(value) > 1}):
        problem = "duplicate value {value}"
        raise PydanticCustomError("duplicate_value", problem, {"value": twice[0]})
    return values


Distinct = Annotated[
    list[T], AfterValidator(_without_duplicates), Field(json_schema_extra={"uniqueItems": True})
]
Several = Annotated[Distinct[T], Field(min_length=1)]
Pair = Annotated[list[T], Field(min_length=2, max_length=2)]


class Section(BaseModel):
    # An unknown key is an error, types are not converted, and values do not change after reading.
    # The docstring below a field is its description.
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


def alternatives(kind: Any) -> list[Any]:
    """The types that a kind allows: int and None for `Count | None`."""
    if get_origin(kind) is Annotated:
        return alternatives(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [one for part in get_args(kind) for one in alternatives(part)]
    return [kind]


def section_of(kind: Any) -> type[Section] | None:
    """The section that a kind allows, also as `Section | None`; None for any other kind."""
    kinds = (one for one in alternatives(kind) if isinstance(one, type))
    return next((one for one in kinds if issubclass(one, Section)), None)


def below(kind: Any, key: Any) -> Any:
    """The kind of the values at a key below `kind`; Any if the schema says nothing about them.

    For a mapping or list, every key has the kind of its values.
    """
    section = section_of(kind)
    if section and key in section.model_fields:
        return section.model_fields[key].annotation
    for one in alternatives(kind):
        if get_origin(one) in (dict, list):
            return get_args(one)[-1]
    return Any
