"""One page about all tables: what is measured, and where our trends differ from the paper's."""

from pathlib import Path

import pandas as pd

from fixres import jobs
from fixres.graph.pages import Summary
from fixres.pages import command, lists, trends
from fixres.pages.numbers import COLUMNS

SHOWN = 12  # trends that are listed one by one
HEADS = ["page", "cells", "measured", "reported", "missing", *trends.VERDICTS]
TURNS = ["page", "where", "from → to", "the paper", "ours", "95% interval"]
ABOVE = (
    "Every table of the paper at the {} scale. A trend is the order of two numbers in one row or "
    f"column that differ by {trends.LEAST} points or more in the paper. The 95% interval of our "
    "difference, over images and seeds, decides whether ours goes the same way or the other way; "
    "an interval that contains 0 leaves it undecided. When many trends are decided at 95%, a few "
    "are decided wrongly."
)


def main(arguments: list[str]) -> None:
    summary, args = command.read(arguments, "summary", __doc__, Summary)
    counts, differing = [], []
    for name in summary.tables:
        table = read(args.results / f"{name}.csv", COLUMNS)
        found = read(args.results / f"{name}.trends.csv", trends.COLUMNS)
        counts.append(count(name, table, found))
        other = found[found["verdict"] == trends.OTHER]
        differing += [(name, line) for _, line in other.iterrows()]
    if len(counts) > 1:
        _, *columns = zip(*counts, strict=True)
        counts.append(["all pages", *map(sum, columns)])
    differing.sort(key=lambda one: -abs(one[1]["paper"]) - abs(one[1]["ours"]))
    turned = [turn(*one) for one in differing[:SHOWN]]

    above = ABOVE.format(summary.scale)
    linked = [[f"[{p}]({p}.md)" if p in summary.tables else p, *rest] for p, *rest in counts]
    parts, tables = ["# Summary", above, lists.pipe(HEADS, linked, 1)], [("Cells", HEADS, counts)]
    if turned:
        title = f"The {len(turned)} largest of {len(differing)} trends that go the other way"
        parts += [f"**{title}**", lists.pipe(TURNS, turned, 3)]
        tables.append((title, TURNS, turned))
    page = lists.webpage("Summary", [above], tables, of_numbers=True)
    command.write(args.out, {".md": "\n\n".join(parts) + "\n", ".html": page})


def read(file: Path, columns: list[str]) -> pd.DataFrame:
    """A CSV that another page has written. Raises JobError, which names it."""
    numbers = ["paper", "ours", "low", "high"]
    texts = {column: str for column in columns if column not in numbers}
    jobs.record_inputs(file)
    try:
        missing = dict.fromkeys(numbers, "")
        table = pd.read_csv(file, dtype=texts, keep_default_na=False, na_values=missing)
    except (OSError, ValueError) as error:
        raise jobs.JobError(f"{file}: cannot be read ({error}). {jobs.REMAKE}") from None
    if list(table.columns) != columns:
        found, expected = ", ".join(table.columns), ", ".join(columns)
        problem = f"wrong columns (got {found}, expected {expected})"
        raise jobs.JobError(f"{file}: {problem}. {jobs.REMAKE}")
    return table


def count(name: str, table: pd.DataFrame, found: pd.DataFrame) -> list:
    """A line of the overview: cells by source, and trends by verdict."""
    sources, verdicts = table["source"].value_counts(), found["verdict"].value_counts()
    by_source = [sources.get(source, 0) for source in HEADS[2:5]]
    return [name, len(table), *by_source, *(verdicts.get(v, 0) for v in trends.VERDICTS)]


def turn(page: str, line: pd.Series) -> list[str]:
    """A line for a trend that goes the other way."""
    paper, ours, low, high = (f"{line[key]:+.1f}" for key in ("paper", "ours", "low", "high"))
    between = f"{line['from']} → {line['to']}"
    return [page, line["line"], between, paper, ours, f"{low} to {high}"]
