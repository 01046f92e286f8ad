"""One page over all tables: what is measured, reported and missing, and where our numbers go another way than the paper's.

python -m fixres summary --config results/pages/summary/config.json --results results --out results/summary.md
"""

import html
from collections.abc import Hashable
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from fixres import jobs
from fixres.pages import trends
from fixres.pages.table import COLUMNS, STYLE, page_parser

SHOWN = 12


def main(arguments: list[str]) -> None:
    args = page_parser("summary", __doc__).parse_args(arguments)
    config = jobs.read_config(args.config, "summary", args.ancestry_digest)
    tables = {name: read(args.results / f"{name}.csv") for name in config["tables"]}
    counts = [count(name, tables[name]) for name in config["tables"]]
    differing = [line for name, table in tables.items() for line in turns(name, table)]
    differing.sort(key=lambda line: -abs(float(line[3])) - abs(float(line[4])))
    for suffix, text in (
        (".md", markdown(config, counts, differing)),
        (".html", webpage(config, counts, differing)),
    ):
        with jobs.atomic(args.out.with_suffix(suffix)) as temporary:
            temporary.write_text(text, encoding="utf-8")


def read(file: Path) -> pd.DataFrame:
    """A table's tidy CSV. Raises JobError naming it."""
    try:
        table = pd.read_csv(
            file,
            dtype=dict.fromkeys(COLUMNS[:6], str),
            keep_default_na=False,
            na_values={"ours": "", "std": "", "paper": ""},
        )
    except (OSError, ValueError) as error:
        raise jobs.JobError(
            f"{file}: cannot be read ({error}); delete it and let Snakemake make it again"
        ) from None
    if list(table.columns) != COLUMNS:
        raise jobs.JobError(
            f"{file}: found the columns {', '.join(table.columns)}, expected {', '.join(COLUMNS)}; delete it"
        )
    return table


def count(name: str, table: pd.DataFrame) -> list[str]:
    """A line of the overview: cells by source, and how many of the paper's trends ours follow."""
    sources = table["source"].value_counts()
    compared = trends.pairs(table)
    followed = (
        f"{sum(not pair.turned for pair in compared)} of {len(compared)}" if compared else "–"
    )
    return [
        name,
        str(len(table)),
        *(str(sources.get(s, 0)) for s in ("measured", "reported", "missing")),
        followed,
    ]


def turns(name: str, table: pd.DataFrame) -> list[list[str]]:
    """A line for each trend that differs, the largest differences first."""
    found = sorted(
        (p for p in trends.pairs(table) if p.turned), key=lambda p: -abs(p.ours) - abs(p.paper)
    )
    across = {"row": "paper_column", "column": "paper_row"}

    def there(pair: trends.Pair, cell: Hashable) -> str:
        return table.loc[cell, across[pair.line.split()[0]]]

    return [
        [name, p.line, f"{there(p, p.a)} → {there(p, p.b)}", f"{p.paper:+.1f}", f"{p.ours:+.1f}"]
        for p in found
    ]


HEADS = ["page", "cells", "measured", "reported", "missing", "trends as the paper's"]
TURNS = ["page", "where", "from → to", "the paper", "ours"]


def texts(config: dict, differing: list[list[str]]) -> tuple[str, str]:
    """What stands above the two tables."""
    above = (
        f"Every table of the paper at the {config['scale']} scale. A trend is the order of two numbers in one row or column that the "
        f"paper tells apart by {trends.LEAST} points or more; ours is another where it goes the other way by more than "
        f"{trends.SIGMAS:.0f} fold standard deviations."
    )
    return above, f"The {min(SHOWN, len(differing))} largest of {len(differing)} trends that differ"


def markdown(config: dict, counts: list[list[str]], differing: list[list[str]]) -> str:
    """The page for a terminal or a code host."""
    above, title = texts(config, differing)
    linked = [[f"[{name}]({name}.md)", *rest] for name, *rest in counts]
    parts = [
        "# Summary",
        above,
        tabulate(
            linked, HEADS, tablefmt="pipe", disable_numparse=True, colalign=["left"] + ["right"] * 5
        ),
    ]
    if differing:
        parts += [
            f"**{title}**",
            tabulate(
                differing[:SHOWN],
                TURNS,
                tablefmt="pipe",
                disable_numparse=True,
                colalign=["left"] * 3 + ["right"] * 2,
            ),
        ]
    return "\n\n".join(parts) + "\n"


def webpage(config: dict, counts: list[list[str]], differing: list[list[str]]) -> str:
    """The page for a browser and for Snakemake's report."""
    above, title = texts(config, differing)

    def table(caption: str, heads: list[str], rows: list[list[str]]) -> str:
        head = "".join(f"<th>{html.escape(h)}</th>" for h in heads)
        body = "\n".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in rows
        )
        return f"<table><caption>{html.escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>\n"

    tables = table("Cells", HEADS, counts) + (
        table(title, TURNS, differing[:SHOWN]) if differing else ""
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>Summary</title><style>{STYLE}</style></head>\n'
        f'<body>\n<h1>Summary</h1>\n<p>{html.escape(above)}</p>\n<div class="halves">\n{tables}</div>\n</body>\n</html>\n'
    )
