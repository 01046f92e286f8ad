"""One page over all tables: what is measured, and where our numbers go another way.

    python -m fixres summary --config results/pages/summary/config.json --results results \\
        --out results/summary.md
"""

import html
from collections.abc import Hashable
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from fixres import jobs
from fixres.pages import trends, web
from fixres.pages.command import page_parser
from fixres.pages.numbers import COLUMNS

SHOWN = 12  # trends that are listed one by one
HEADS = ["page", "cells", "measured", "reported", "missing", "trends as the paper's"]
TURNS = ["page", "where", "from → to", "the paper", "ours"]


def main(arguments: list[str]) -> None:
    args = page_parser("summary", __doc__).parse_args(arguments)
    config = jobs.read_config(args.config, "summary", args.ancestry_digest)
    tables = {name: read(args.results / f"{name}.csv") for name in config["tables"]}
    counts = [count(name, tables[name]) for name in config["tables"]]
    differing = [line for name, table in tables.items() for line in turns(name, table)]
    differing.sort(key=lambda line: -abs(float(line[3])) - abs(float(line[4])))
    texts = {
        ".md": markdown(config, counts, differing),
        ".html": webpage(config, counts, differing),
    }
    for suffix, text in texts.items():
        with jobs.atomic(args.out.with_suffix(suffix)) as temporary:
            temporary.write_text(text, encoding="utf-8")


def read(file: Path) -> pd.DataFrame:
    """A table's tidy CSV. Raises JobError naming it."""
    texts = dict.fromkeys(COLUMNS[:6], str)
    missing = {"ours": "", "std": "", "paper": ""}
    try:
        table = pd.read_csv(file, dtype=texts, keep_default_na=False, na_values=missing)
    except (OSError, ValueError) as error:
        way_out = "delete it and let Snakemake make it again"
        raise jobs.JobError(f"{file}: cannot be read ({error}); {way_out}") from None
    if list(table.columns) != COLUMNS:
        found, expected = ", ".join(table.columns), ", ".join(COLUMNS)
        raise jobs.JobError(f"{file}: found the columns {found}, expected {expected}; delete it")
    return table


def count(name: str, table: pd.DataFrame) -> list[str]:
    """A line of the overview: cells by source, and how many of the paper's trends ours follow."""
    sources = table["source"].value_counts()
    by_source = [str(sources.get(s, 0)) for s in ("measured", "reported", "missing")]
    compared = trends.pairs(table)
    followed = sum(not pair.turned for pair in compared)
    return [
        name,
        str(len(table)),
        *by_source,
        f"{followed} of {len(compared)}" if compared else "–",
    ]


def turns(name: str, table: pd.DataFrame) -> list[list[str]]:
    """A line for each trend that differs, the largest differences first."""
    found = sorted(
        (p for p in trends.pairs(table) if p.turned), key=lambda p: -abs(p.ours) - abs(p.paper)
    )
    across = {"row": "paper_column", "column": "paper_row"}

    def name_of(pair: trends.Pair, cell: Hashable) -> str:
        return table.loc[cell, across[pair.line.split()[0]]]

    return [
        [
            name,
            p.line,
            f"{name_of(p, p.a)} → {name_of(p, p.b)}",
            f"{p.paper:+.1f}",
            f"{p.ours:+.1f}",
        ]
        for p in found
    ]


def texts(config: dict, differing: list[list[str]]) -> tuple[str, str]:
    """What stands above the two tables."""
    above = (
        f"Every table of the paper at the {config['scale']} scale. A trend is the order of two "
        "numbers in one row or column that the paper tells apart by "
        f"{trends.LEAST} points or more; ours is another where it goes the other way by more than "
        f"{trends.SIGMAS:.0f} fold standard deviations."
    )
    n = min(SHOWN, len(differing))
    return above, f"The {n} largest of {len(differing)} trends that differ"


def markdown(config: dict, counts: list[list[str]], differing: list[list[str]]) -> str:
    """The page for a terminal or a code host."""

    def table(rows: list[list[str]], heads: list[str], names: int) -> str:
        align = ["left"] * names + ["right"] * (len(heads) - names)
        return tabulate(rows, heads, tablefmt="pipe", disable_numparse=True, colalign=align)

    above, title = texts(config, differing)
    linked = [[f"[{name}]({name}.md)", *rest] for name, *rest in counts]
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
