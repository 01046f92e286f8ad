"""The claims of the paper with their verdicts, and the numbers of its text."""

from typing import NamedTuple

import pandas as pd

from fixres.graph import Cell
from fixres.pages import claims, decided, web
from fixres.pages import text as numbers_of_text
from fixres.pages.report.parts import Part
from fixres.pages.report.reading import Contents

RESOLUTIONS = "The claims name the paper's resolutions."


class Decided(NamedTuple):
    """The claims, as their own page has them."""

    whole: pd.DataFrame
    each: pd.DataFrame
    seeds: int


def read(contents: Contents) -> Decided | None:
    """What decides the claims; None: the report has none."""
    config = contents.lists.get("claims")
    if config is None:
        return None
    cell, seeds = decided.cells_of(config, contents.results)
    found = {c["name"]: decided.compared(c["above_0"], cell) for c in config["claims"]}
    return Decided(*claims.frames(config["claims"], found), seeds)


def parts(contents: Contents, found: Decided | None) -> list[Part]:
    """Claims and numbers, of those that the report has."""
    shown = [_claims(contents, found)] if found else []
    return [*shown, _numbers(contents)] if "text" in contents.lists else shown


def _claims(contents: Contents, found: Decided) -> Part:
    config = contents.lists["claims"]
    how, outcome = claims.above(config, found.whole, found.seeds)
    body = web.render(
        "report_claims",
        how=f"{how} {RESOLUTIONS}",
        claims=[_claim(contents, found, line) for line in found.whole.itertuples()],
    )
    return Part("claims", "The paper's claims", outcome, body)


def _claim(contents: Contents, found: Decided, line: tuple) -> dict[str, object]:
    """A claim: verdict, sentence, numbers; then, behind a click, what it rests on."""
    config = contents.lists["claims"]
    decimals, each = config["decimals"], found.each[found.each["claim"] == line.claim]
    [declared] = [claim for claim in config["claims"] if claim["name"] == line.claim]
    pages, runs = _cells(config, list(declared["above_0"].values()))
    return {
        "line": line,
        "ours": f"Missing: {line.note}" if line.note else f"Ours: {claims.ours(line, decimals)}",
        "paper": claims.paper(line),
        "compared": [
            [
                one.compared,
                claims.signed(one.paper, 1),
                claims.signed(one.ours, decimals),
                claims.between(one, decimals),
                one.verdict,
            ]
            for one in each.itertuples()
            if one.compared
        ],
        "pages": {name: (contents.title(name), cells) for name, cells in pages.items()},
        "runs": runs,
    }


def _cells(config: dict, nodes: list) -> tuple[dict[str, list[str]], int]:
    """Table -> the cells that a quantity is computed from; and how many runs they show."""
    pages, runs = {}, set()
    for key in numbers_of_text.cell_keys(nodes):
        page, row, column, _ = key.split(" | ")
        pages.setdefault(page, []).append(f"row {row}, column {column}")
        runs |= set(Cell.model_validate(config["cells"][key]).measurements())
    return pages, len(runs)


def _numbers(contents: Contents) -> Part:
    config = contents.lists["text"]
    cell, seeds = decided.cells_of(config, contents.results)
    lines = [numbers_of_text.line(number, cell) for number in config["numbers"]]
    found = pd.DataFrame(lines, columns=numbers_of_text.COLUMNS)
    [about], [table] = numbers_of_text.page(config, found, seeds)
    return Part("text", "Numbers in the text", about, web.render("report_numbers", table=table))
