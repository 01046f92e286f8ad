"""One page over all tables: what is measured, and where our numbers go another way.

    python -m fixres summary --config results/pages/summary/config.json --results results \\
        --out results/summary.md
"""

from pathlib import Path

import pandas as pd
from tabulate import tabulate

from fixres import jobs
from fixres.graph.pages import Summary
from fixres.pages import lists, trends
from fixres.pages.command import page_parser, write
from fixres.pages.numbers import COLUMNS

SHOWN = 12  # trends that are listed one by one
HEADS = ["page", "cells", "measured", "reported", "missing", *trends.VERDICTS]
TURNS = ["page", "where", "from → to", "the paper", "ours", "95% interval"]


def main(arguments: list[str]) -> None:
    args = page_parser("summary", __doc__).parse_args(arguments)
    summary = Summary.read(args.config, "summary", args.ancestry_digest)
    counts, differing = [], []
    for name in summary.tables:
        table = read(args.results / f"{name}.csv", COLUMNS)
        found = read(args.results / f"{name}.trends.csv", trends.COLUMNS)
        counts.append(count(name, table, found))
        other = found[found["verdict"] == trends.OTHER]
        differing += [(name, line) for _, line in other.iterrows()]
    if len(counts) > 1:
        counts.append(total(counts))
    differing.sort(key=lambda one: -abs(one[1]["paper"]) - abs(one[1]["ours"]))
    lines = [turn(*one) for one in differing]
    above, title = texts(summary, lines)
    shown = [("Cells", HEADS, counts), *([(title, TURNS, lines[:SHOWN])] if lines else [])]
    written = {
        ".md": markdown(summary, above, shown),
        ".html": lists.webpage("Summary", [above], shown, of_numbers=True),
    }
    write(args.out, written)


def read(file: Path, columns: list[str]) -> pd.DataFrame:
    """A CSV that a page has left. Raises JobError naming it."""
    numbers = ["paper", "ours", "low", "high"]
    texts = {column: str for column in columns if column not in numbers}
    try:
        missing = dict.fromkeys(numbers, "")
        table = pd.read_csv(file, dtype=texts, keep_default_na=False, na_values=missing)
    except (OSError, ValueError) as error:
        way_out = "delete it and let Snakemake make it again"
        raise jobs.JobError(f"{file}: cannot be read ({error}); {way_out}") from None
    if list(table.columns) != columns:
        found, expected = ", ".join(table.columns), ", ".join(columns)
        raise jobs.JobError(f"{file}: found the columns {found}, expected {expected}; delete it")
    return table


def count(name: str, table: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    """A line of the overview: cells by source, and trends by verdict."""
    sources, verdicts = table["source"].value_counts(), found["verdict"].value_counts()
    by_source = [sources.get(source, 0) for source in HEADS[2:5]]
    by_verdict = [verdicts.get(verdict, 0) for verdict in trends.VERDICTS]
    return [name, *map(str, [len(table), *by_source, *by_verdict])]


def total(counts: list[list[str]]) -> list[str]:
    """The sums of some lines of the overview."""
    columns = list(zip(*counts, strict=True))[1:]
    return ["all pages", *(str(sum(map(int, column))) for column in columns)]


def turn(page: str, line: pd.Series) -> list[str]:
    """A line for a trend that goes the other way."""
    return [
        page,
        line["line"],
        f"{line['from']} → {line['to']}",
        f"{line['paper']:+.1f}",
        f"{line['ours']:+.1f}",
        f"{line['low']:+.1f} to {line['high']:+.1f}",
    ]


def texts(summary: Summary, differing: list[list[str]]) -> tuple[str, str]:
    """What stands above the tables, and the title of the second."""
    above = (
        f"Every table of the paper at the {summary.scale} scale. A trend is the order of two "
        "numbers in one row or column that the paper tells apart by "
        f"{trends.LEAST} points or more. The 95% interval of our difference, over images and "
        "seeds, decides whether ours goes the same way or the other way; an interval that holds 0 "
        "leaves it undecided. Of many trends that are decided at 95%, a few are decided wrongly."
    )
    n = min(SHOWN, len(differing))
    return above, f"The {n} largest of {len(differing)} trends that go the other way"


def markdown(summary: Summary, above: str, tables: list[lists.Table]) -> str:
    """The page for a terminal or a code host. The first table names pages, and links to them."""
    parts = ["# Summary", above]
    for names, (title, heads, rows) in zip((1, 3), tables, strict=False):
        align = ["left"] * names + ["right"] * (len(heads) - names)
        if heads is HEADS:
            rows = [[f"[{p}]({p}.md)" if p in summary.tables else p, *rest] for p, *rest in rows]
        else:
            parts.append(f"**{title}**")
        table = tabulate(rows, heads, tablefmt="pipe", disable_numparse=True, colalign=align)
        parts.append(table)
    return "\n\n".join(parts) + "\n"
