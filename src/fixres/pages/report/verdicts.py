"""The claims of the paper with their verdicts, and the numbers of its text."""

from typing import NamedTuple

import pandas as pd

from fixres.graph import Cell
from fixres.pages import claims, decided, web
from fixres.pages import text as numbers_of_text
from fixres.pages.report.reading import Contents, Part

RESOLUTIONS = "The claims name the paper's resolutions."


class Claims(NamedTuple):
    """The page of the claims: its paragraphs, and the lines of its tables."""

    above: list[str]
    lines: list[list[str]]  # a line a claim: sentence, where, the paper, ours, verdict
    compared: list[list[str]]  # a line a comparison; the claim stands first


def read(contents: Contents) -> Claims | None:
    """The claims, as their own page has them; None: the report has none."""
    config = contents.lists.get("claims")
    if config is None:
        return None
    cell, seeds = decided.cells_of(config, contents.results)
    found = {c["name"]: decided.compared(c["above_0"], cell) for c in config["claims"]}
    above, tables = claims.page(config, *claims.frames(config["claims"], found), seeds)
    rows = [rows for _, _, rows in tables]
    return Claims(above, rows[0], rows[1] if len(rows) > 1 else [])


def parts(contents: Contents, found: Claims | None) -> list[Part]:
    """Claims and numbers, of those that the report has."""
    shown = [_claims(contents, found)] if found else []
    return [*shown, _numbers(contents)] if "text" in contents.lists else shown


def _claims(contents: Contents, found: Claims) -> Part:
    """Of each claim verdict, sentence, numbers; then, behind a click, what it rests on."""
    how, outcome = found.above
    config, shown = contents.lists["claims"], []
    for claim, (*_, paper, ours, verdict) in zip(config["claims"], found.lines, strict=True):
        rests_on = {
            "compared": [row[1:] for row in found.compared if row[0] == claim["name"]],
            "pages": {},
            "runs": set(),
        }
        for key in numbers_of_text.cell_keys(list(claim["above_0"].values())):
            page, row, column, _ = key.split(" | ")
            where = f"row {row}, column {column}"
            rests_on["pages"].setdefault((page, contents.title(page)), []).append(where)
            rests_on["runs"] |= set(Cell.model_validate(config["cells"][key]).measurements())
        ours = f"Missing: {claim['note']}" if claim["note"] else f"Ours: {ours}"
        shown.append({"claim": claim, "paper": paper, "ours": ours, "verdict": verdict} | rests_on)
    body = web.render("report_claims", how=f"{how} {RESOLUTIONS}", claims=shown)
    return Part("claims", "The paper's claims", outcome, body)


def _numbers(contents: Contents) -> Part:
    config = contents.lists["text"]
    cell, seeds = decided.cells_of(config, contents.results)
    lines = [numbers_of_text.line(number, cell) for number in config["numbers"]]
    found = pd.DataFrame(lines, columns=numbers_of_text.COLUMNS)
    [about], [table] = numbers_of_text.page(config, found, seeds)
    return Part("text", "Numbers in the text", about, web.render("report_numbers", table=table))
