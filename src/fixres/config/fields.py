"""The parts that all sections of the configuration are made of: number ranges and a base class."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Pixels = Annotated[int, Field(gt=0, description="pixels")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Section(BaseModel):
    # An unknown key is an error, types are not converted, values do not change after reading.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
