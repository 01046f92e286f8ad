"""Numbers in the paper's text: what it says, what its tables say, and what ours come to.

    python -m fixres text --config results/pages/text/config.json --results results \\
        --out results/text.md
"""

from pathlib import Path

import pandas as pd

from fixres import jobs, paper
from fixres.graph.claims import AskedNumber, TextPage
from fixres.pages import decided, lists
from fixres.pages.command import page_parser, write
from fixres.pages.decided import Compared, View
from fixres.pages.numbers import csv

COLUMNS = ["number", "where", "what", "unit", "says", "tables", "ours", "low", "high", "note"]
COLUMNS += ["cells"]
HEADS = ["where", "what", "the text", "its tables", "ours", "95% interval"]


def main(arguments: list[str]) -> None:
    args = page_parser("text", __doc__).parse_args(arguments)
    shown = view(jobs.read_config(args.config, "text", args.ancestry_digest), args.results)
    paragraphs, tables = page(shown)
    numbers = pd.DataFrame([line(*one) for one in shown.found], columns=COLUMNS)
    texts = {
        ".md": lists.markdown("Numbers in the text", paragraphs, tables),
        ".csv": csv(numbers),
        ".html": lists.webpage("Numbers in the text", paragraphs, tables),
    }
    write(args.out, texts)


def view(config: dict, results: Path) -> View:
    """The numbers, each computed. Raises JobError as `decided.view` does."""
    return decided.view(TextPage.model_validate(config), paper.QUOTED, results)


def line(number: AskedNumber, found: list[Compared]) -> dict:
    """A line of the CSV."""
    about = {"number": number.name, "what": number.sentence, **number.model_dump()}
    for one in found:
        about |= {"tables": one.value.paper, "ours": one.value.ours}
        about |= {"low": one.low, "high": one.high, "cells": "; ".join(map(str, one.value.cells))}
    return about


def page(shown: View) -> tuple[list[str], list[lists.Table]]:
    """The paragraph above the table, and the table."""
    rows = [_row(*one) for one in shown.found]
    seeds = shown.seeds
    covers = f"images and {seeds} seeds" if seeds > 1 else "images (one seed: images only)"
    about = (
        f"Numbers that the paper prints in its text, at the {shown.config.scale} scale. Beside "
        "what the text says stands what the paper's own tables come to, then ours with its 95% "
        f"interval over validation {covers}. Resolutions are the paper's."
    )
    return [about], [("Numbers", HEADS, rows)]


def _row(number: AskedNumber, found: list[Compared]) -> list[str]:
    def shown(value: float | None, unit: str = "") -> str:
        return "–" if pd.isna(value) else f"{value:.{number.decimals}f}{unit}"

    says = [number.where, number.sentence, number.says]
    if number.note:
        return [*says, "–", f"missing: {number.note}", "–"]
    [one] = found
    between = "–" if pd.isna(one.low) else f"{shown(one.low)} to {shown(one.high)}"
    return [*says, shown(one.value.paper), shown(one.value.ours, f" {number.unit}"), between]
