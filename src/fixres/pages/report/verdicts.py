"""The claims of the paper with their verdicts, and the numbers of its text."""

import pandas as pd

from fixres.pages import claims
from fixres.pages import text as numbers_of_text
from fixres.pages.decided import VERDICTS
from fixres.pages.numbers import runs_of
from fixres.pages.report import markup
from fixres.pages.report.markup import Part, link, text
from fixres.pages.report.reading import Contents
from fixres.pages.summary import read as read_csv

RESOLUTIONS = "The claims name the paper's resolutions."
COMPARED = ["compared", "the paper", "ours", "95% interval", "verdict"]


def parts(contents: Contents) -> list[Part]:
    """Claims and numbers, of those that the report has."""
    made = {"claims": _claims, "text": _numbers}
    return [make(contents) for name, make in made.items() if name in contents.lists]


def counts(contents: Contents) -> dict[str, int]:
    """Verdict -> claims."""
    if "claims" not in contents.lists:
        return {}
    found = _read(contents, "claims", claims.COLUMNS)["verdict"].value_counts()
    return {verdict: int(found.get(verdict, 0)) for verdict in VERDICTS}


def _read(contents: Contents, name: str, columns: list[str]) -> pd.DataFrame:
    table = read_csv(contents.results / f"{name}.csv", columns)
    whole = [column for column in columns if column.startswith("comparisons_")]
    return table.astype(dict.fromkeys(whole, int))


def _seeds(page: dict) -> int:
    return max((len(set(cell["runs"])) for cell in page["cells"].values()), default=0)


def _claims(contents: Contents) -> Part:
    config = contents.lists["claims"]
    whole = _read(contents, "claims", claims.COLUMNS)
    each = _read(contents, "claims.comparisons", claims.EACH)
    how, outcome = claims.above(config, whole, _seeds(config))
    declared = {claim["name"]: claim for claim in config["claims"]}
    items = "\n".join(
        _claim(contents, line, each[each["claim"] == line.claim], declared[line.claim])
        for line in whole.itertuples()
    )
    body = f'<p class="how">{text(f"{how} {RESOLUTIONS}")}</p>\n<ul class="claims">\n{items}\n</ul>'
    return Part("claims", "The paper's claims", outcome, body)


def _claim(contents: Contents, line: tuple, each: pd.DataFrame, declared: dict) -> str:
    """A claim: verdict, sentence, numbers; then, behind a click, what it rests on."""
    config = contents.lists["claims"]
    decimals = config["decimals"]
    rows = [
        [
            text(one.compared),
            claims.signed(one.paper, 1),
            claims.signed(one.ours, decimals),
            claims.between(one, decimals),
            _verdict(one.verdict),
        ]
        for one in each.itertuples()
        if one.compared
    ]
    below = markup.table(f"Comparisons in {line.unit}", COMPARED, rows, False) if rows else ""
    below += _cells(contents, config, list(declared["above_0"].values()))
    missing = f"Missing: {line.note}"
    ours = missing if line.note else f"Ours: {claims.ours(line, decimals)}"
    return (
        f'<li id="claim-{text(line.claim)}">{_verdict(line.verdict)}<div>'
        f"<p>{text(line.sentence)} <small>{text(line.where)}</small></p>"
        f'<p class="numbers">{text(ours)}. The paper’s tables {text(claims.paper(line))}.</p>'
        f"{below and markup.folded('What it rests on', below)}</div></li>"
    )


def _verdict(verdict: str) -> str:
    return f'<span class="verdict {text(verdict)}">{text(verdict)}</span>'


def _cells(contents: Contents, config: dict, nodes: list) -> str:
    """The cells that a quantity is computed from, by table; each table is a link."""
    keys = numbers_of_text.cell_keys(nodes)
    by_page: dict[str, list[str]] = {}
    for key in keys:
        page, row, column, _ = key.split(" | ")
        by_page.setdefault(page, []).append(f"row {row}, column {column}")
    lines = [
        f"<li>{link(page, contents.title(page))}: {text('; '.join(places))}</li>"
        for page, places in by_page.items()
    ]
    runs = {run for key in keys for run in runs_of(config["cells"][key])}
    about = f"Cells, in the paper’s resolutions ({markup.counted(len(runs), 'run')}):"
    return f'<p>{about}</p><ul class="notes">{"".join(lines)}</ul>' if keys else ""


def _numbers(contents: Contents) -> Part:
    config = contents.lists["text"]
    found = _read(contents, "text", numbers_of_text.COLUMNS)
    [about], [(title, heads, rows)] = numbers_of_text.page(config, found, _seeds(config))
    shown = markup.table(title, heads, [list(map(text, row)) for row in rows], False)
    return Part("text", "Numbers in the text", about, shown)
