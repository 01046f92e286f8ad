"""Claims and numbers of the text: what the cells that they name come to, and what that decides."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fixres.graph import Block, Cell, Page
from fixres.pages import intervals
from fixres.pages.quantities import Value, compute
from fixres.pages.view import View

# Metrics that no image, no seed and no clock changes. Their replicas are the number itself: the
# interval has no width, and the sign decides. A time is not among them.
EXACT = ("megabytes", "parameters")
NOTHING = Value(None, None, None)
Lookup = Callable[[str], Value]  # key of a cell -> its value
HOLDS, FAILS, UNDECIDED, MISSING = VERDICTS = ("holds", "fails", "undecided", "missing")


class Compared(NamedTuple):
    """One quantity that a claim says is above 0."""

    label: str  # what is compared; "" where a claim has one quantity alone
    value: Value
    low: float | None  # the 95% interval of ours
    high: float | None

    @property
    def verdict(self) -> str:
        """The interval lies above 0, below 0, or holds 0; or there is none.

        That of an exact number is the number.
        """
        if self.low is None:
            return MISSING
        return HOLDS if self.low > 0 else FAILS if self.high < 0 else UNDECIDED


def cells_of(config: dict, results: Path) -> tuple[Lookup, int]:
    """A function: key of a cell -> its value. And the number of seeds.

    Raises
    ------
    JobError : a file is missing or damaged. The message names the cell and the file.
    """
    wanted = {key: Cell.model_validate(cell) for key, cell in config["cells"].items()}
    block = Block("", (), (), (), (tuple(wanted.values()),))
    page = Page("cells", "cells", "", ("", ""), (block,), may_have_failed=config["may_have_failed"])
    view = View(page, results)

    def cell(key: str) -> Value:
        number, varied = view.numbers[wanted[key].place], view.replicas.get(wanted[key].place)
        if varied is None and number.ours is not None and wanted[key].metric in EXACT:
            varied = np.float64(number.ours)  # like a number that is written in the quantity
        return Value(number.ours, varied, number.paper)

    return cell, max((number.seeds for number in view.numbers.values()), default=0)


def compared(above_0: dict[str, list], cell: Lookup) -> list[Compared]:
    """The quantities of a claim."""
    found = []
    for label, node in above_0.items():
        value = compute(node, cell)
        low, high = (None, None)
        if value.replicas is not None and value.ours is not None:
            low, high = intervals.interval(np.asarray(value.replicas))
        found.append(Compared(label, value, low, high))
    return found


def verdict(found: list[Compared]) -> str:
    """Whether a claim holds: of each quantity at once.

    It holds if each quantity is above 0 for sure. It fails if one of them is below 0 for sure,
    where "sure" allows for their number: of 20 true ones, one looks wrong at 95%.
    """
    known = [one for one in found if one.verdict != MISSING]
    if not known:
        return MISSING
    if all(one.verdict == HOLDS for one in known):
        return HOLDS
    level = 1 - (1 - intervals.LEVEL) / len(known)
    worst = min(intervals.interval(np.asarray(one.value.replicas), level)[1] for one in known)
    return FAILS if worst < 0 else UNDECIDED


def in_plural(verdict: str) -> str:
    """A verdict behind a number of claims: 4 hold, 2 fail, 3 undecided."""
    return {HOLDS: "hold", FAILS: "fail"}.get(verdict, verdict)


def papers_verdict(found: list[Compared]) -> str:
    """Whether the paper's own tables show the claim. They have no intervals."""
    printed = [one.value.paper for one in found if one.value.paper is not None]
    printed = [round(value, 6) for value in printed]
    if not printed:
        return MISSING
    if all(value > 0 for value in printed):
        return HOLDS
    return FAILS if min(printed) < 0 else UNDECIDED
