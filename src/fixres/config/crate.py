"""Facts about deposited results that only the depositor knows (docs/ro-crate.md)."""

from typing import Annotated

from pydantic import Field

from fixres.config.fields import Section

Line = Annotated[str, Field(max_length=2000)]


class Author(Section):
    """A person responsible for the deposited results."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    orcid: Annotated[str, Field(pattern=r"^(\d{4}-\d{4}-\d{4}-\d{3}[\dX])?$")] = ""
    """the ORCID iD, such as 0000-0002-1825-0097"""
    affiliation: Line = ""
    """name of the institution"""


class Crate(Section):
    """results/ro-crate: the metadata of a deposit. A change reruns only the crate."""

    title: Line = ""
    """empty: a title with the scale or the network"""
    description: Line = ""
    """empty: generated from the paper, scale, images and networks"""
    license: Annotated[str, Field(pattern=r"^(https?://\S+|[A-Za-z0-9.+-]+)$")] = "Apache-2.0"
    """licence of the deposit: an SPDX identifier, such as CC-BY-4.0, or an address. The default is
    the licence of the suite, whose code is part of the deposit"""
    authors: list[Author] = Field([])
    """authors of the results, in citation order"""
