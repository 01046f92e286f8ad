"""One page over all tables: what is measured, reported and missing, and where our numbers go another way than the paper's.

    python -m fixres summary --config results/pages/summary/config.json --results results --out results/summary.md

A trend is the sign of a difference between two numbers of one row or one column of a table. Where the paper's two numbers differ by half
a point or more and ours by more than three fold-standard-deviations the other way, the trends differ.
"""

import html
import itertools
import math
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from tabulate import tabulate

from fixres import job
from fixres.paper.tables import COLUMNS, STYLE, page_parser

LEAST = 0.5  # points: a difference of the paper's that counts as a trend; its fold standard deviation is 0.03
SIGMAS = 3.0
SHOWN = 12


class Turn(NamedTuple):
    """Two cells of one row or column, ordered otherwise than in the paper."""

    table: str
    line: str
    cells: str
    paper: float
    ours: float


def main(arguments: list[str]) -> None:
    args = page_parser("summary", __doc__).parse_args(arguments)
    config = job.read_config(args.config, "summary")
    tables = {name: read(args.results / f"{name}.csv") for name in config["tables"]}
    counts = [count(name, tables[name]) for name in config["tables"]]
    turns = sorted(itertools.chain(*(trends(name, table)[1] for name, table in tables.items())), key=lambda t: -abs(t.ours) - abs(t.paper))
    for suffix, text in ((".md", markdown(config, counts, turns)), (".html", webpage(config, counts, turns))):
        with job.atomic(args.out.with_suffix(suffix)) as temporary:
            temporary.write_text(text, encoding="utf-8")


def read(file: Path) -> pd.DataFrame:
    """A table's tidy CSV. Raises JobError naming it."""
    try:
        table = pd.read_csv(
            file, dtype=dict.fromkeys(COLUMNS[:6], str), keep_default_na=False, na_values={"ours": "", "std": "", "paper": ""}
        )
    except (OSError, ValueError) as error:
        raise job.JobError(f"{file}: cannot be read ({error}); delete it and let Snakemake make it again") from None
    if list(table.columns) != COLUMNS:
        raise job.JobError(f"{file}: found the columns {', '.join(table.columns)}, expected {', '.join(COLUMNS)}; delete it")
    return table


def count(name: str, table: pd.DataFrame) -> list[str]:
    """A line of the overview: cells by source, and how many of the paper's trends ours follow."""
    sources = table["source"].value_counts()
    compared, turns = trends(name, table)
    followed = f"{compared - len(turns)} of {compared}" if compared else "–"
    return [name, str(len(table)), *(str(sources.get(s, 0)) for s in ("measured", "reported", "missing")), followed]


def trends(name: str, table: pd.DataFrame) -> tuple[int, list[Turn]]:
    """How many pairs of cells the paper orders, and those that ours order the other way."""
    accuracy = table[table["metric"].isin(["top1", "top5"]) & (table["source"] == "measured")].dropna(subset=["paper", "ours"])
    compared, turns = 0, []
    for along, across in (("row", "column"), ("column", "row")):
        for (line, _), cells in accuracy.groupby([along, "metric"], sort=False):
            for (_, a), (_, b) in itertools.combinations(cells.iterrows(), 2):
                paper, ours = b["paper"] - a["paper"], b["ours"] - a["ours"]
                if abs(paper) < LEAST:
                    continue
                compared += 1
                noise = SIGMAS * math.hypot(*(0 if math.isnan(std) else std for std in (a["std"], b["std"])))
                if ours * paper < 0 and abs(ours) > noise:
                    turns.append(Turn(name, f"{along} {line}", f"{a[across]} → {b[across]}", paper, ours))
    return compared, turns


HEADS = ["page", "cells", "measured", "reported", "missing", "trends as the paper's"]
TURNS = ["page", "where", "from → to", "the paper", "ours"]


def texts(config: dict, turns: list[Turn]) -> tuple[str, str]:
    """What stands above the two tables."""
    above = (
        f"Every table of the paper at the {config['scale']} scale. A trend is the order of two numbers in one row or column that the paper "
        f"tells apart by {LEAST} points or more; ours is another where it goes the other way by more than {SIGMAS:.0f} fold standard "
        "deviations."
    )
    return above, f"The {min(SHOWN, len(turns))} largest of {len(turns)} trends that differ"


def lines(turns: list[Turn]) -> list[list[str]]:
    return [[t.table, t.line, t.cells, f"{t.paper:+.1f}", f"{t.ours:+.1f}"] for t in turns[:SHOWN]]


def markdown(config: dict, counts: list[list[str]], turns: list[Turn]) -> str:
    """The page for a terminal or a code host."""
    above, title = texts(config, turns)
    linked = [[f"[{name}]({name}.md)", *rest] for name, *rest in counts]
    parts = ["# Summary", above, tabulate(linked, HEADS, tablefmt="pipe", disable_numparse=True, colalign=["left"] + ["right"] * 5)]
    if turns:
        parts += [
            f"**{title}**",
            tabulate(lines(turns), TURNS, tablefmt="pipe", disable_numparse=True, colalign=["left"] * 3 + ["right"] * 2),
        ]
    return "\n\n".join(parts) + "\n"


def webpage(config: dict, counts: list[list[str]], turns: list[Turn]) -> str:
    """The page for a browser and for Snakemake's report."""
    above, title = texts(config, turns)

    def table(caption: str, heads: list[str], rows: list[list[str]]) -> str:
        head = "".join(f"<th>{html.escape(h)}</th>" for h in heads)
        body = "\n".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        return f"<table><caption>{html.escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>\n"

    tables = table("Cells", HEADS, counts) + (table(title, TURNS, lines(turns)) if turns else "")
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>Summary</title><style>{STYLE}</style></head>\n'
        f'<body>\n<h1>Summary</h1>\n<p>{html.escape(above)}</p>\n<div class="halves">\n{tables}</div>\n</body>\n</html>\n'
    )
