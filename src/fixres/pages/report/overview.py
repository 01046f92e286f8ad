"""The beginning of the report: what it is, and the results in brief. And what is missing."""

from collections import Counter

from fixres.pages import trends, web
from fixres.pages.decided import OUTCOMES, in_plural, verdict
from fixres.pages.report.reading import Contents, Part
from fixres.pages.web import counted

IDEA = (
    "A network that is trained at a low resolution is more accurate at a higher test resolution, "
    "where objects have the size that it learned. But the statistics of its activations shift. "
    "Fine-tuning only the classifier and the last batch-norm at the test resolution fixes this."
)
SMALL = (
    "Its small networks stand in for the paper’s. These numbers show the method, but are not "
    "evidence about ImageNet."
)
NOTHING = "Nothing is missing: every number that the workflow can measure is measured."
HOW_TO_GIVE = (
    "Inputs that were not configured when this page was made. Each line names the configuration "
    "key or the file that provides the input."
)


def top(contents: Contents) -> dict[str, object]:
    """The paragraphs below the title, and the counts of the results."""
    report = contents.report
    scale = f"All numbers were measured at the {report.scale} scale."
    if report.configuration["twins"]:
        scale += f" {SMALL}"
    return {"idea": IDEA, "scale": scale, "counts": _counts(contents)}


def _counts(contents: Contents) -> list[tuple[str, str, str]]:
    """Anchor, number, and what the number is of."""
    views, lines = contents.tables.values(), []
    if "claims" in contents.lists:
        found = Counter(verdict(one.found) for one in contents.lists["claims"].shown)
        said = "; ".join(f"{found[v]} {in_plural(v)}" for v in OUTCOMES if found[v])
        lines.append(("claims", counted(found.total(), "claim"), said))
    ways = Counter(pair.verdict for view in views for pair in view.trends)
    said = ", ".join(f"{ways[verdict]:,} {verdict}" for verdict in trends.VERDICTS)
    about = f"of numbers in a row or column, which the paper tells apart: {said}"
    lines.append(("contents", counted(ways.total(), "difference"), about))
    sources = Counter(cell.source for view in views for cell in view.page.cells())
    said = f"measured, from {counted(len(contents.runs), 'run')}"
    lines.append(("origin", counted(sources["measured"], "number"), said))
    return [*lines, ("missing", counted(sources["missing"], "number"), "missing")]


def missing(contents: Contents) -> Part:
    """Missing inputs, the cells that need them, and how to give them."""
    shown = {
        name: (f"{view.page.title} ({{}})", "cell", view.page.cells())
        for name, view in contents.tables.items()
    }
    for name, one in (("claims", "claim"), ("text", "number of the text")):
        if name in contents.lists:
            shown[name] = ("{}", one, contents.lists[name].shown)
    wanted: dict[str, dict[str, str]] = {}  # reason -> anchor -> words
    for name, (words, one, found) in shown.items():
        for note, n in Counter(each.note for each in found if each.note).items():
            wanted.setdefault(note, {})[name] = words.format(counted(n, one))
    body = web.render("report_missing", wanted=wanted)
    about = HOW_TO_GIVE if wanted else NOTHING
    return Part("missing", "What is missing, and how to give it", about, body)
