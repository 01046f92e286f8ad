"""One page over all tables: what is measured, and where our numbers go another way.

    python -m fixres summary --config results/pages/summary/config.json --results results \\
        --out results/summary.md
"""

import html
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from fixres import jobs
from fixres.pages import trends, web
from fixres.pages.command import page_parser, write
from fixres.pages.numbers import COLUMNS

SHOWN = 12  # trends that are listed one by one
HEADS = ["page", "cells", "measured", "reported", "missing", *trends.VERDICTS]
TURNS = ["page", "where", "from → to", "the paper", "ours", "95% interval"]


def main(arguments: list[str]) -> None:
    args = page_parser("summary", __doc__).parse_args(arguments)
    config = jobs.read_config(args.config, "summary", args.ancestry_digest)
    counts, differing = [], []
    for name in config["tables"]:
        table = read(args.results / f"{name}.csv", COLUMNS)
        found = read(args.results / f"{name}.trends.csv", trends.COLUMNS)
        counts.append(count(name, table, found))
        other = found[found["verdict"] == trends.OTHER]
        differing += [(name, line) for _, line in other.iterrows()]
    if len(counts) > 1:
        counts.append(total(counts))
    differing.sort(key=lambda one: -abs(one[1]["paper"]) - abs(one[1]["ours"]))
    lines = [turn(*one) for one in differing]
    texts = {".md": markdown(config, counts, lines), ".html": webpage(config, counts, lines)}
    write(args.out, texts)


def read(file: Path, columns: list[str]) -> pd.DataFrame:
    """A CSV that a page has left. Raises JobError naming it."""
    numbers = ["paper", "tables", "ours", "low", "high"]
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


def texts(config: dict, differing: list[list[str]]) -> tuple[str, str]:
    """What stands above the two tables."""
    above = (
        f"Every table of the paper at the {config['scale']} scale. A trend is the order of two "
        "numbers in one row or column that the paper tells apart by "
        f"{trends.LEAST} points or more. The 95% interval of our difference, over images and "
        "seeds, decides whether ours goes the same way or the other way; an interval that holds 0 "
        "leaves it undecided. Of many trends that are decided at 95%, a few are decided wrongly."
    )
    n = min(SHOWN, len(differing))
    return above, f"The {n} largest of {len(differing)} trends that go the other way"


def markdown(config: dict, counts: list[list[str]], differing: list[list[str]]) -> str:
    """The page for a terminal or a code host."""

    def table(rows: list[list[str]], heads: list[str], names: int) -> str:
        align = ["left"] * names + ["right"] * (len(heads) - names)
        return tabulate(rows, heads, tablefmt="pipe", disable_numparse=True, colalign=align)

    above, title = texts(config, differing)
    linked = [
        [f"[{name}]({name}.md)" if name in config["tables"] else name, *rest]
        for name, *rest in counts
    ]
    parts = ["# Summary", above, table(linked, HEADS, 1)]
    if differing:
        parts += [f"**{title}**", table(differing[:SHOWN], TURNS, 3)]
    return "\n\n".join(parts) + "\n"


def webpage(config: dict, counts: list[list[str]], differing: list[list[str]]) -> str:
    """The page for a browser and for Snakemake's report."""
    above, title = texts(config, differing)

    def table(caption: str, heads: list[str], rows: list[list[str]]) -> str:
        head = "".join(f"<th>{html.escape(h)}</th>" for h in heads)
        lines = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
        return web.table(caption, head, lines) + "\n"

    tables = table("Cells", HEADS, counts)
    if differing:
        tables += table(title, TURNS, differing[:SHOWN])
    return web.document("Summary", [above], tables)
