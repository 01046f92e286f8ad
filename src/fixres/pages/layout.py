"""How the cells of a page read, and what is said around them: alike in Markdown and in HTML."""

from collections.abc import Callable
from typing import NamedTuple

from fixres.pages.numbers import Number, Place, best, cells, place

READING = "Each cell: ours, then the paper's in parentheses"
TURNED = "↕"  # marks a number whose trends differ from the paper's


class Shown(NamedTuple):
    """How a cell reads."""

    kind: str  # "", "best", "reported" or "missing"
    ours: str  # our number, or "missing [i]"; in a reported cell the paper's number
    paper: str  # the paper's number beside it, or ""
    title: str  # more about it
    turned: bool = False
    half: str = ""  # half of the interval of ours, with ±


def shower(
    page: dict, numbers: dict[Place, Number], turned: set[Place]
) -> Callable[[dict | None], Shown]:
    """A function that says how a cell of this page reads.

    Parameters
    ----------
    turned : the places of the cells whose trends are not the paper's (`trends.turned_cells`).
    """
    reasons, decimals = missing(page), page["decimals"]
    bold: set[Place] = set()
    if page["bold"]:
        bold = bold.union(*(best(block, numbers, decimals) for block in page["blocks"]))

    def shown(cell: dict | None) -> Shown:
        if cell is None:
            return Shown("", "", "", "")
        at, metric = place(cell), cell["metric"]
        number = numbers[at]
        paper = ""
        if number.paper is not None:
            paper = amount(number.paper, metric, 1, number.paper_std)
        if cell["source"] == "reported":
            return Shown("reported", paper, "", "")
        if number.ours is None:
            footnote = reasons.index(cell["note"]) + 1
            return Shown("missing", f"missing [{footnote}]", paper, cell["note"])
        ours = amount(number.ours, metric, decimals, number.time_std)
        half, title = "", ""
        if number.low is not None:
            half = f"± {number.half_width:.{decimals}f}"
            title = f"95% interval {number.low:.{decimals}f} to {number.high:.{decimals}f}"
        return Shown("best" if at in bold else "", ours, paper, title, at in turned, half)

    return shown


def amount(value: float, metric: str, decimals: int, std: float | None = None) -> str:
    """A number as it is printed, in the unit of its metric.

    The units are per cent, millions of parameters, hours (or seconds), megabytes, and milliseconds
    with their deviation.
    """
    if metric == "hours":
        return f"{value:.{decimals}f}" if value >= 0.1 else f"{3600 * value:.{decimals}f} s"
    if metric.endswith("_ms"):
        return f"{value:.1f} ± {std:.1f}"
    if metric == "megabytes":
        return f"{value:,.{0 if value >= 100 else 1}f}"
    if metric == "parameters":
        return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}M"
    return f"{value:.{decimals}f}"


def label(ours_and_paper: list[str], paper: str = " ({})") -> str:
    """A heading: ours, then the paper's where it is another."""
    ours, theirs = ours_and_paper
    return ours if ours == theirs else ours + paper.format(theirs)


def rows(
    block: dict, text: Callable[[dict | None], str], heading: Callable[[list[str]], str]
) -> list[list[str]]:
    """The texts of a block, row by row: `heading` of each label, then `text` of each cell."""
    return [
        [*map(heading, row["labels"]), *map(text, line)]
        for row, line in zip(block["rows"], block["cells"], strict=True)
    ]


def headline(
    page: dict, numbers: dict[Place, Number], any_turned: bool = False, reading: str = READING
) -> str:
    """At which scale the numbers were measured, and how a cell reads."""
    ours, theirs = page["subject"]
    parts = [f"Measured at the {page['scale']} scale ({ours}); the paper: {theirs}."]
    if any(mine != paper for mine, paper in _labels(page)):
        parts.append("A resolution is followed by the paper's that it stands for, in parentheses.")
    bold = "; the best of ours in a column is bold" if page["bold"] else ""
    parts.append(f"{reading}{bold}.")
    seeds = max((n.seeds for n in numbers.values() if n.low is not None), default=0)
    if seeds:
        covers = f"over the validation images and {seeds} seeds"
        if seeds == 1:
            covers = "over the validation images (one seed: images only)"
        parts.append(f"±: half of the 95% interval {covers}.")
    if any_turned:
        parts.append(
            f"{TURNED}: of its differences within row and column that are decided, most go "
            "another way than the paper's."
        )
    if any(cell["source"] == "reported" for cell in cells(page)):
        parts.append("In italics: what the paper reports, not measured by us.")
    return " ".join(parts)


def _labels(page: dict) -> list[list[str]]:
    return [
        label
        for block in page["blocks"]
        for label in [*block["columns"], *(x for row in block["rows"] for x in row["labels"])]
    ]


def missing(page: dict) -> list[str]:
    """The reasons why cells are missing, in order of appearance: footnote i + 1 is the i-th."""
    return list(dict.fromkeys(c["note"] for c in cells(page) if c["source"] == "missing"))


def notes(page: dict, measured: dict[str, dict]) -> list[str]:
    """What stands below a page: its own remarks, then what its images lack."""
    of_images = [note for metrics in measured.values() for note in metrics.get("notes", [])]
    return [*page["notes"], *dict.fromkeys(of_images)]
