"""The claims of the paper with their verdicts, and the numbers of its text."""

from collections import Counter

from fixres.pages import claims, decided
from fixres.pages import text as numbers_of_text
from fixres.pages.decided import VERDICTS, Compared, Decided
from fixres.pages.numbers import runs_of
from fixres.pages.report import markup
from fixres.pages.report.markup import Part, link, text
from fixres.pages.report.reading import Contents

RESOLUTIONS = "The claims name the paper's resolutions."


def parts(contents: Contents) -> list[Part]:
    """Claims and numbers, of those that the report has."""
    made = {"claims": _claims, "text": _numbers}
    return [make(contents) for name, make in made.items() if name in contents.lists]


def counts(contents: Contents) -> dict[str, int]:
    """Verdict -> claims."""
    if "claims" not in contents.lists:
        return {}
    found = Counter(decided.verdict(one.found) for one in contents.lists["claims"].shown)
    return {verdict: found[verdict] for verdict in VERDICTS}


def _claims(contents: Contents) -> Part:
    decisions = contents.lists["claims"]
    how, outcome = claims.above(decisions)
    items = "\n".join(_claim(contents, one) for one in decisions.shown)
    body = f'<p class="how">{text(f"{how} {RESOLUTIONS}")}</p>\n<ul class="claims">\n{items}\n</ul>'
    return Part("claims", "The paper's claims", outcome, body)


def _claim(contents: Contents, shown: Decided) -> str:
    """A claim: verdict, sentence, numbers; then, behind a click, what it rests on."""
    claim, note, found = shown
    decimals, rows = contents.lists["claims"].page.decimals, []
    for one in found:
        *numbers, verdict = claims.comparison(one, decimals)
        rows += [[*map(text, numbers), _verdict(verdict)]] if one.label else []
    title, heads = f"Comparisons in {claim.unit}", claims.HEADS_OF_EACH[1:]
    below = markup.table(title, heads, rows, False) if rows else ""
    below += _cells(contents, found)
    ours = f"Missing: {note}" if note else f"Ours: {claims.ours(shown, decimals)}"
    return (
        f'<li id="claim-{text(claim.name)}">{_verdict(decided.verdict(found))}<div>'
        f"<p>{text(claim.sentence)} <small>{text(claim.where)}</small></p>"
        f'<p class="numbers">{text(ours)}. The paper’s tables {text(claims.paper_says(found))}.</p>'
        f"{below and markup.folded('What it rests on', below)}</div></li>"
    )


def _verdict(verdict: str) -> str:
    return f'<span class="verdict {text(verdict)}">{text(verdict)}</span>'


def _cells(contents: Contents, found: list[Compared]) -> str:
    """The cells that a claim is computed from, by table; each table is a link."""
    keys = list(dict.fromkeys(key for one in found for key in one.value.cells))
    by_page: dict[str, list[str]] = {}
    for key in keys:
        by_page.setdefault(key.page, []).append(f"row {key.row}, column {key.column}")
    lines = [
        f"<li>{link(page, contents.title(page))}: {text('; '.join(places))}</li>"
        for page, places in by_page.items()
    ]
    cells = contents.lists["claims"].page.cells
    runs = {run for key in keys for run in runs_of(cells[str(key)]._asdict())}
    about = f"Cells, in the paper’s resolutions ({markup.counted(len(runs), 'run')}):"
    return f'<p>{about}</p><ul class="notes">{"".join(lines)}</ul>' if keys else ""


def _numbers(contents: Contents) -> Part:
    [about], [(title, heads, rows)] = numbers_of_text.page(contents.lists["text"])
    shown = markup.table(title, heads, [list(map(text, row)) for row in rows], False)
    return Part("text", "Numbers in the text", about, shown)
