"""Numbers in the paper's text: what it says, what its tables say, and what ours come to."""

import pandas as pd

from fixres import paper
from fixres.graph.claims import ClaimsPage
from fixres.pages import command, decided, lists
from fixres.pages.decided import Decided, Decisions
from fixres.pages.numbers import csv

COLUMNS = ["number", "where", "what", "unit", "says", "tables", "ours", "low", "high", "note"]
COLUMNS += ["seeds", "cells"]
HEADS = ["where", "what", "the text", "its tables", "ours", "95% interval"]


def main(arguments: list[str]) -> None:
    planned, args = command.read(arguments, "text", __doc__, ClaimsPage)
    numbers = decided.decide(planned, paper.QUOTED, args.results)
    tidy = csv(pd.DataFrame(map(line, numbers.shown), columns=COLUMNS))
    texts = lists.forms("Numbers in the text", *page(numbers), decided.notes(planned, args.results))
    command.write(args.out, texts | {".csv": tidy})


def line(number: Decided) -> dict:
    """A line of the CSV."""
    declared = number.declared
    about = declared._asdict() | {"number": declared.name, "what": declared.sentence}
    about |= {"note": number.note, "seeds": number.seeds or None}
    for one in number.found:
        about |= {"tables": one.value.paper, "ours": one.value.ours}
        about |= {"low": one.low, "high": one.high, "cells": "; ".join(map(str, one.value.cells))}
    return about


def page(decisions: Decisions) -> tuple[list[str], list[lists.Table]]:
    """The paragraph above the table, and the table."""
    seeds, scale = decisions.seeds, decisions.page.scale
    covers = f"images and {seeds} seeds" if seeds > 1 else "images (one seed: images only)"
    about = (
        f"Numbers that the paper prints in its text, at the {scale} scale: what the text says, "
        "what follows from the paper's tables, and our number with its 95% interval over "
        f"validation {covers}. Resolutions are the paper's."
    )
    about += decided.FEWER if any(map(decisions.fewer, decisions.shown)) else ""
    rows = [_row(one, decisions.fewer(one)) for one in decisions.shown]
    return [about], [("Numbers", HEADS, rows)]


def _row(one: Decided, seeds: str) -> list[str]:
    number = one.declared

    def shown(value: float | None, unit: str = "") -> str:
        return "–" if pd.isna(value) else f"{value:.{number.decimals}f}{unit}"

    says = [number.where, number.sentence, number.says]
    if one.note:
        return [*says, "–", f"missing: {one.note}", "–"]
    [found] = one.found
    between = "–" if pd.isna(found.low) else f"{shown(found.low)} to {shown(found.high)}"
    ours = shown(found.value.ours, f" {number.unit}") + seeds
    return [*says, shown(found.value.paper), ours, between]
