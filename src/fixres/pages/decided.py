"""Claims and numbers of the text: compute their functions, and decide the verdicts."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fixres import jobs
from fixres.artifacts import metrics
from fixres.graph.claims import Claim, ClaimsPage, Quoted, code_of
from fixres.graph.graph import Missing
from fixres.graph.pages import Block, Cell, Page, failed
from fixres.graph.values import Cells, Key, Value
from fixres.pages import intervals
from fixres.pages.view import View

# Metrics that do not depend on images, seeds or clocks. Their replicas are the number itself, so
# the interval has no width, and the sign decides. Times are not exact.
EXACT = ("megabytes", "parameters")
HOLDS, FAILS, UNDECIDED, MISSING = VERDICTS = ("holds", "fails", "undecided", "missing")
OF_MEASURED = "holds, of those measured"  # a claim of which some comparisons are missing
FEWER = " Where a number has fewer seeds, it says so; one seed says nothing about other seeds."
OUTCOMES = (HOLDS, OF_MEASURED, FAILS, UNDECIDED, MISSING)  # of claims


class Compared(NamedTuple):
    """One number that a claim says is above 0; or a number in the text."""

    label: str  # what is compared; "" if there is only one number
    value: Value
    low: float | None = None  # the 95% interval of ours
    high: float | None = None

    @property
    def verdict(self) -> str:
        """Whether the interval is above 0, below 0, or contains 0; or is missing.

        An exact number is compared directly.
        """
        if self.low is None:
            return MISSING
        return HOLDS if self.low > 0 else FAILS if self.high < 0 else UNDECIDED


class Decided(NamedTuple):
    """A claim, or a number in the text."""

    declared: Claim | Quoted
    note: str  # which input is missing
    found: list[Compared]  # empty if something is missing
    seeds: int = 0  # number of seeds that its numbers are means over


class Decisions(NamedTuple):
    """What a page of claims, or of numbers in the text, shows."""

    page: ClaimsPage
    shown: list[Decided]

    @property
    def seeds(self) -> int:
        """The largest number of seeds of any number."""
        return max((one.seeds for one in self.shown), default=0)

    def fewer(self, one: Decided) -> str:
        """The number of seeds of a number, if others have more; else nothing."""
        if one.note or one.seeds == self.seeds:
            return ""
        return f"; {one.seeds} seed{'s' * (one.seeds > 1)}"


def decide(page: ClaimsPage, declared: Sequence[Claim | Quoted], results: Path) -> Decisions:
    """Compute the claims or numbers of the paper that a page shows.

    Raises
    ------
    JobError : a file is missing or damaged (the message names the cell and the file), or the page
        was planned with other code.
    """
    declared = [one for one in declared if one.name in page.notes]
    if len(declared) < len(page.notes) or code_of(declared) != page.code:
        raise jobs.JobError(
            "fixres.paper: not the code that this page was planned with. Let Snakemake plan again."
        )
    at_seeds: dict[int, Cells] = {}
    shown = []
    for one in declared:
        note = page.notes[one.name]
        seeds = 0 if note else seeds_of(one, page)
        if seeds not in at_seeds:
            at_seeds[seeds] = Cells(page.names, measured(page, seeds, results))
        found = [] if note else compared(one.number(at_seeds[seeds]))
        shown.append(Decided(one, note, found, seeds))
    return Decisions(page, shown)


def seeds_of(one: Claim | Quoted, page: ClaimsPage) -> int:
    """How many seeds all cells have that a claim or a number uses."""
    used = []

    def number(key: Key) -> Value:
        used.append(cell_of(page, key).seeds)
        return Value()

    one.number(Cells(page.names, number))
    return min((seeds for seeds in used if seeds is not None), default=1)


def cell_of(page: ClaimsPage, key: Key) -> Cell:
    """The cell of a key. Raises Missing if its inputs are missing: a claim may do without."""
    if str(key) not in page.cells:
        raise Missing(f"{key}: its inputs are not configured")
    return page.cells[str(key)]


def measured(claims: ClaimsPage, seeds: int, results: Path) -> Callable[[Key], Value]:
    """A function: key of a cell -> its value, over the first of the seeds. Raises as `decide`.

    It covers the cells that have this many seeds, and cells that do not depend on seeds.
    """
    cells = tuple(
        cell.model_copy(update={"runs": cell.runs[:seeds]})
        for cell in claims.cells.values()
        if cell.seeds is None or cell.seeds >= seeds
    )
    block = Block("", (), (), (), (cells,))
    page = Page("cells", "cells", "", ("", ""), (block,), may_have_failed=claims.may_have_failed)
    view = View(page, results, intervals.students)

    def number(key: Key) -> Value:
        at = cell_of(claims, key).place
        found, varied = view.numbers[at], view.replicas.get(at)
        if varied is None and found.ours is not None and key.metric in EXACT:
            varied = np.float64(found.ours)  # like a number that is written in a formula
        return Value(found.ours, varied, found.paper)

    return number


def notes(claims: ClaimsPage, results: Path) -> list[str]:
    """Notes on the images behind the numbers of a page, and on how its times were measured."""
    read = [one for cell in claims.cells.values() for one in cell.measurements()]
    logs = claims.may_have_failed
    files = [one.metrics for one in read if not failed(logs.get(one.run, {}), results)]
    found = (metrics.read(results / file).get("notes", []) for file in dict.fromkeys(files))
    return list(dict.fromkeys(note for of_run in found for note in of_run))


def compared(answer: Value | dict[str, Value]) -> list[Compared]:
    """What the function of a claim or number returns, with intervals, by label."""
    found = []
    for label, value in sorted(answer.items()) if isinstance(answer, dict) else [("", answer)]:
        known = value.replicas is not None and value.ours is not None
        found.append(Compared(label, value, *(interval(value) if known else ())))
    return found


def interval(value: Value, shared_by: int = 1) -> tuple[float, float]:
    """The 95% interval of a number; `shared_by` as in intervals.py.

    The largest of several numbers is at least as large as each of them, so its lower end is the
    highest of their lower ends. As each could be the highest, they share the level. The upper end
    is the highest of their upper ends: all must be below it, so they do not share the level.
    """
    if value.rivals is None:
        return intervals.interval(np.asarray(value.replicas), shared_by)
    up, down = value.rivals
    lows = [[intervals.interval(a + b, shared_by * len(up))[0] for b in down] for a in up]
    highs = [[intervals.interval(a + b, shared_by * len(down))[1] for a in up] for b in down]
    return max(map(min, lows)), min(map(max, highs))


def verdict(found: list[Compared]) -> str:
    """Whether a claim holds for all its comparisons.

    It holds if each number is significantly above 0. It fails if one number is significantly below
    0 at a level that accounts for the number of comparisons: one of 20 true comparisons looks wrong
    at 95%.
    """
    known = [one for one in found if one.verdict != MISSING]
    if not known:
        return MISSING
    if all(one.verdict == HOLDS for one in known):
        return HOLDS if len(known) == len(found) else OF_MEASURED
    worst = min(interval(one.value, len(known))[1] for one in known)
    return FAILS if worst < 0 else UNDECIDED


def in_plural(verdict: str) -> str:
    """A verdict after a number of claims: 4 hold, 2 fail, 3 undecided."""
    return {FAILS: "fail"}.get(verdict, verdict.replace(HOLDS, "hold"))


def papers_verdict(found: list[Compared]) -> str:
    """Whether the paper's tables, which have no intervals, show the claim."""
    printed = [round(one.value.paper, 6) for one in found if one.value.paper is not None]
    if not printed:
        return MISSING
    if all(value > 0 for value in printed):
        return HOLDS
    return FAILS if min(printed) < 0 else UNDECIDED
