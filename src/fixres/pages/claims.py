"""The claims of the paper, each with a verdict: claims.md, .csv, .html, and every comparison.

    python -m fixres claims --config results/pages/claims/config.json --results results \\
        --out results/claims.md

A claim says that something is above 0, such as a gain. It holds where the 95% interval of ours lies
above 0, and fails where it lies below. Of several comparisons it says so of each.
"""

import pandas as pd

from fixres import jobs
from fixres.pages import decided, lists
from fixres.pages.command import page_parser, write
from fixres.pages.decided import VERDICTS, Compared
from fixres.pages.lists import Table
from fixres.pages.numbers import csv

COLUMNS = ["claim", "where", "sentence", "unit", "paper", "paper_verdict", "ours", "low", "high"]
COLUMNS += ["verdict", *(f"comparisons_{verdict}" for verdict in VERDICTS), "note"]
EACH = ["claim", "compared", "unit", "paper", "ours", "low", "high", "verdict"]
HEADS = ["claim", "where", "the paper's tables", "ours", "verdict"]
HEADS_OF_EACH = ["claim", "compared", "the paper", "ours", "95% interval", "verdict"]
# In words, for the paper's own numbers, which have no interval.
OF_PAPER = {
    "holds": "show it",
    "fails": "contradict it",
    "undecided": "show a tie",
    "missing": "print nothing",
}
BY_PAPER = {"holds": "hold", "fails": "fail", "undecided": "tie", "missing": "have no number"}


def main(arguments: list[str]) -> None:
    args = page_parser("claims", __doc__).parse_args(arguments)
    config = jobs.read_config(args.config, "claims", args.ancestry_digest)
    cell, seeds = decided.cells_of(config, args.results)
    found = {c["name"]: decided.compared(c["above_0"], cell) for c in config["claims"]}
    whole, each = frames(config["claims"], found)
    shown = page(config, whole, each, seeds)
    texts = {
        ".md": lists.markdown("Claims", *shown),
        ".csv": csv(whole),
        ".html": lists.webpage("Claims", *shown, marked=VERDICTS),
        ".comparisons.csv": csv(each),
    }
    write(args.out, texts)


def frames(
    claims: list[dict], found: dict[str, list[Compared]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One line a claim (`COLUMNS`), and one line a comparison (`EACH`).

    A claim of several comparisons has no number of its own.
    """
    whole, each = [], []
    for claim in claims:
        of_claim = found[claim["name"]]
        verdicts = [one.verdict for one in of_claim]
        alone = of_claim[0] if len(of_claim) == 1 else Compared("", decided.NOTHING, None, None)
        line = {
            "claim": claim["name"],
            **{key: claim[key] for key in ("where", "sentence", "unit")},
        }
        line |= {"paper": alone.value.paper, "paper_verdict": decided.papers_verdict(of_claim)}
        line |= {"ours": alone.value.ours, "low": alone.low, "high": alone.high}
        line |= {"verdict": decided.verdict(of_claim), "note": claim["note"]}
        whole.append(line | {f"comparisons_{v}": verdicts.count(v) for v in VERDICTS})
        for one in of_claim:
            line = {"claim": claim["name"], "compared": one.label, "unit": claim["unit"]}
            line |= {"paper": one.value.paper, "ours": one.value.ours}
            each.append(line | {"low": one.low, "high": one.high, "verdict": one.verdict})
    return pd.DataFrame(whole, columns=COLUMNS), pd.DataFrame(each, columns=EACH)


# --- how it reads --------------------------------------------------------------------------------


def page(
    config: dict, whole: pd.DataFrame, each: pd.DataFrame, seeds: int
) -> tuple[list[str], list[Table]]:
    """The paragraphs above the tables, and the tables."""
    decimals = config["decimals"]
    claims = [
        [line.sentence, line.where, paper(line), ours(line, decimals), line.verdict]
        for line in whole.itertuples()
    ]
    several = each[each["compared"] != ""]
    compared = [
        [
            line.claim,
            line.compared,
            signed(line.paper, 1),
            signed(line.ours, decimals),
            between(line, decimals),
            line.verdict,
        ]
        for line in several.itertuples()
    ]
    tables = [("Claims", HEADS, claims)]
    if compared:
        tables.append(("Claims over several comparisons, one by one", HEADS_OF_EACH, compared))
    return above(config, whole, seeds), tables


def above(config: dict, whole: pd.DataFrame, seeds: int) -> list[str]:
    """What stands above the tables: how a claim is decided, and how many are."""
    covers = f"over the validation images and {seeds} seeds"
    caution = ""
    if seeds == 1:
        covers = "over the validation images alone"
        caution = " These networks have one seed: with one seed, another may decide otherwise."
    how = (
        f"The claims of the paper at the {config['scale']} scale. Each says that a number is above "
        f"0. It holds if the 95% interval of ours, {covers}, lies above 0, and fails if it lies "
        "below; else it is undecided. A claim of several comparisons holds if each holds. It fails "
        f"if one fails at a level that allows for their number.{caution}"
    )
    counts = whole["verdict"].value_counts()
    said = ", ".join(
        f"{counts.get(verdict, 0)} {decided.in_plural(verdict)}" for verdict in VERDICTS
    )
    tables = whole["paper_verdict"].value_counts()
    shown = ", ".join(f"{tables[v]} {words}" for v, words in BY_PAPER.items() if v in tables)
    theirs = f"By the numbers that the paper's own tables print: {shown}."
    return [how, f"Of {len(whole)} claims: {said}. {theirs}"]


def paper(line: tuple) -> str:
    """What the paper's own tables say of a claim, with its number where it has one alone."""
    number = signed(line.paper, 1)
    words = OF_PAPER[line.paper_verdict]
    return f"{words}: {number}" if number != "–" else words


def ours(line: tuple, decimals: int) -> str:
    """Our number with its interval, or how many comparisons came out how."""
    if line.note:
        return f"missing: {line.note}"
    if not pd.isna(line.ours):
        return f"{signed(line.ours, decimals)} ({between(line, decimals)}) {line.unit}"
    counts = {v: getattr(line, f"comparisons_{v}") for v in VERDICTS}
    known = [f"{n} {decided.in_plural(verdict)}" for verdict, n in counts.items() if n]
    n = sum(counts.values())
    return f"of {n} comparison{'s' * (n > 1)}, {', '.join(known)}" if known else "missing"


def signed(value: float | None, decimals: int) -> str:
    """A number with its sign, or a dash."""
    return "–" if value is None or pd.isna(value) else f"{value:+.{decimals}f}"


def between(line: tuple, decimals: int) -> str:
    """The interval of ours, or a dash."""
    if line.low is None or pd.isna(line.low):
        return "–"
    return f"{line.low:+.{decimals}f} to {line.high:+.{decimals}f}"
