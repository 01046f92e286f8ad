"""A part of the report."""

from typing import NamedTuple

from markupsafe import Markup


class Part(NamedTuple):
    """A part of the report, with a heading that the contents link to."""

    anchor: str
    title: str
    about: str  # one paragraph below the heading
    body: Markup = Markup()
    parts: tuple["Part", ...] = ()  # below it, with smaller headings
