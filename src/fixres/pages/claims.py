"""The claims of the paper, each with a verdict: claims.md, .csv, .html, and every comparison.

A claim says that a number, such as a gain, is above 0. The claim holds if the 95% interval of our
number is above 0, and fails if the interval is below 0. A claim about several comparisons says this
of each.
"""

from collections import Counter

import pandas as pd

from fixres import paper
from fixres.graph.claims import ClaimsPage
from fixres.graph.values import Value
from fixres.pages import command, decided, lists
from fixres.pages.decided import OUTCOMES, VERDICTS, Compared, Decided, Decisions
from fixres.pages.lists import Table
from fixres.pages.numbers import csv

COLUMNS = ["claim", "where", "sentence", "unit", "paper", "paper_verdict", "ours", "low", "high"]
COLUMNS += ["verdict", *(f"comparisons_{verdict}" for verdict in VERDICTS), "seeds", "note"]
EACH = ["claim", "compared", "unit", "paper", "ours", "low", "high", "verdict"]
HEADS = ["claim", "where", "the paper's tables", "ours", "verdict"]
HEADS_OF_EACH = ["claim", "compared", "the paper", "ours", "95% interval", "verdict"]
# In words, for the paper's own numbers, which have no interval.
OF_PAPER = {"holds": "show it", "fails": "contradict it", "undecided": "show a tie"}
OF_PAPER["missing"] = "print nothing"
BY_PAPER = {"holds": "hold", "fails": "fail", "undecided": "tie", "missing": "have no number"}


def main(arguments: list[str]) -> None:
    planned, args = command.read(arguments, "claims", __doc__, ClaimsPage)
    claims = decided.decide(planned, paper.CLAIMS, args.results)
    whole, each = map(csv, frames(claims))
    notes = decided.notes(planned, args.results)
    texts = lists.forms("Claims", *page(claims), notes, marked=OUTCOMES)
    command.write(args.out, texts | {".csv": whole, ".comparisons.csv": each})


def frames(decisions: Decisions) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One line per claim (`COLUMNS`), and one line per comparison (`EACH`)."""
    whole, each = [], []
    for claim, note, found, seeds in decisions.shown:
        line = claim._asdict() | {"claim": claim.name, "note": note, "seeds": seeds or None}
        line |= _numbers(alone(found))
        line |= {"verdict": decided.verdict(found), "paper_verdict": decided.papers_verdict(found)}
        counts = Counter(one.verdict for one in found)
        whole.append(line | {f"comparisons_{verdict}": counts[verdict] for verdict in VERDICTS})
        for one in found:
            line = {"claim": claim.name, "compared": one.label, "unit": claim.unit}
            each.append(line | _numbers(one) | {"verdict": one.verdict})
    return pd.DataFrame(whole, columns=COLUMNS), pd.DataFrame(each, columns=EACH)


def _numbers(one: Compared) -> dict[str, float | None]:
    return {"paper": one.value.paper, "ours": one.value.ours, "low": one.low, "high": one.high}


def alone(found: list[Compared]) -> Compared:
    """The comparison of a claim with only one. A claim with several has no single number."""
    return found[0] if len(found) == 1 else Compared("", Value())


# --- how it reads --------------------------------------------------------------------------------


def page(decisions: Decisions) -> tuple[list[str], list[Table]]:
    """The paragraphs above the tables, and the tables."""
    decimals, claims, compared = decisions.page.decimals, [], []
    for one in decisions.shown:
        claim, found = one.declared, one.found
        numbers = [paper_says(found), ours(one, decimals) + decisions.fewer(one)]
        claims.append([claim.sentence, claim.where, *numbers, decided.verdict(found)])
        compared += [[claim.name, *comparison(each, decimals)] for each in found if each.label]
    tables = [("Claims", HEADS, claims)]
    if compared:
        tables.append(("Claims over several comparisons, one by one", HEADS_OF_EACH, compared))
    return above(decisions), tables


def comparison(one: Compared, decimals: int) -> list[str]:
    """A comparison: what is compared, the paper's number, ours, its interval, the verdict."""
    numbers = [signed(one.value.paper, 1), signed(one.value.ours, decimals)]
    return [one.label, *numbers, between(one, decimals), one.verdict]


def above(decisions: Decisions) -> list[str]:
    """The text above the tables: how a claim is decided, and how many claims have each verdict."""
    covers = f"over the validation images and {decisions.seeds} seeds"
    caution = ""
    if any(map(decisions.fewer, decisions.shown)):
        caution = decided.FEWER
    if decisions.seeds == 1:
        covers = "only over the validation images"
        caution = " These networks have one seed, and another seed may give other verdicts."
    how = (
        f"The claims of the paper at the {decisions.page.scale} scale. Each claim says that a "
        f"number is above 0. The claim holds if the 95% interval of our number, {covers}, is above "
        "0, and fails if the interval is below 0; otherwise it is undecided. A claim about several "
        "comparisons holds if each comparison holds. If some were not measured, the verdict is "
        "“holds, of those measured”. The claim fails if one comparison fails at a level that "
        f"accounts for the number of comparisons.{caution}"
    )
    counts = Counter(decided.verdict(one.found) for one in decisions.shown)
    shown = [verdict for verdict in OUTCOMES if counts[verdict] or verdict in VERDICTS]
    said = "; ".join(f"{counts[verdict]} {decided.in_plural(verdict)}" for verdict in shown)
    tables = Counter(decided.papers_verdict(one.found) for one in decisions.shown)
    theirs = ", ".join(f"{tables[v]} {words}" for v, words in BY_PAPER.items() if v in tables)
    theirs = f"By the numbers printed in the paper's tables: {theirs}."
    return [how, f"Of {len(decisions.shown)} claims: {said}. {theirs}"]


def paper_says(found: list[Compared]) -> str:
    """What the paper's tables say about a claim, with the number if there is only one."""
    number = signed(alone(found).value.paper, 1)
    words = OF_PAPER[decided.papers_verdict(found)]
    return f"{words}: {number}" if number != "–" else words


def ours(claim: Decided, decimals: int) -> str:
    """Our number with its interval, or the number of comparisons with each verdict."""
    if claim.note:
        return f"missing: {claim.note}"
    one, n = alone(claim.found), len(claim.found)
    number = signed(one.value.ours, decimals)
    if number != "–":
        return f"{number} ({between(one, decimals)}) {claim.declared.unit}"
    counts = Counter(one.verdict for one in claim.found)
    known = [f"{counts[v]} {decided.in_plural(v)}" for v in VERDICTS if counts[v]]
    return f"of {n} comparison{'s' * (n > 1)}, {', '.join(known)}" if known else "missing"


def signed(value: float | None, decimals: int) -> str:
    """A number with its sign, or a dash."""
    return "–" if pd.isna(value) else f"{value:+.{decimals}f}"


def between(one: Compared, decimals: int) -> str:
    """The interval of ours, or a dash."""
    return "–" if pd.isna(one.low) else f"{one.low:+.{decimals}f} to {one.high:+.{decimals}f}"
