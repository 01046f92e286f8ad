"""The claims of the paper with their verdicts, and the numbers of its text."""

from fixres.pages import claims, decided, web
from fixres.pages import text as numbers_of_text
from fixres.pages.decided import Decided
from fixres.pages.report.reading import Contents, Part

RESOLUTIONS = "The claims name the paper's resolutions."


def parts(contents: Contents) -> list[Part]:
    """Claims and numbers, of those that the report has."""
    made = {"claims": _claims, "text": _numbers}
    return [make(contents) for name, make in made.items() if name in contents.lists]


def _claims(contents: Contents) -> Part:
    decisions = contents.lists["claims"]
    how, outcome = claims.above(decisions)
    shown = [_claim(contents, one) for one in decisions.shown]
    body = web.render("report_claims", how=f"{how} {RESOLUTIONS}", claims=shown)
    return Part("claims", "The paper's claims", outcome, body)


def _claim(contents: Contents, shown: Decided) -> dict[str, object]:
    """A claim: verdict, sentence, numbers; then, behind a click, what it rests on."""
    decisions, found = contents.lists["claims"], shown.found
    page = decisions.page
    pages, runs = {}, set()
    for key in dict.fromkeys(key for one in found for key in one.value.cells):
        cells = pages.setdefault((key.page, contents.title(key.page)), [])
        cells.append(f"row {key.row}, column {key.column}")
        runs |= set(page.cells[str(key)].measurements())
    ours = claims.ours(shown, page.decimals) + decisions.fewer(shown)
    return {
        "claim": shown.declared,
        "verdict": decided.verdict(found),
        "ours": f"Missing: {shown.note}" if shown.note else f"Ours: {ours}",
        "paper": claims.paper_says(found),
        "compared": [claims.comparison(one, page.decimals) for one in found if one.label],
        "pages": pages,
        "runs": runs,
    }


def _numbers(contents: Contents) -> Part:
    [about], [table] = numbers_of_text.page(contents.lists["text"])
    return Part("text", "Numbers in the text", about, web.render("report_numbers", table=table))
