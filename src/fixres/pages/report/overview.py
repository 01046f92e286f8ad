"""What stands first: what this is and how it came out. And what is missing."""

from fixres.pages import trends
from fixres.pages.decided import in_plural
from fixres.pages.numbers import cells
from fixres.pages.report import markup, verdicts
from fixres.pages.report.markup import Part, link, text
from fixres.pages.report.reading import Contents

IDEA = (
    "A network that is trained at a low resolution is better tested at a higher one, where objects "
    "have the size that it learned. But the statistics of its activations shift. Fine-tuning only "
    "the classifier and the last batch-norm at the test resolution repairs that."
)
SMALL = (
    "Its networks are small ones that stand for the paper’s. These numbers show the method, and "
    "are no evidence about ImageNet."
)
NOTHING = "Nothing is missing: every number that the workflow can measure is measured."
HOW_TO_GIVE = (
    "What was not given when this page was made. Each line says which key of the configuration, or "
    "which file, gives it."
)


def top(contents: Contents) -> str:
    """The paragraphs below the title, and the counts of how it came out."""
    config = contents.config
    scale = f"All numbers were measured at the {config['scale']} scale."
    if config["configuration"]["twins"]:
        scale += f" {SMALL}"
    return (
        f'<p class="idea">{text(IDEA)}</p>\n<p>{text(scale)}</p>\n'
        f'<ul class="counts">\n{"".join(_counts(contents))}</ul>\n'
    )


def _counts(contents: Contents) -> list[str]:
    found = [cell for sheet in contents.sheets.values() for cell in cells(sheet.page)]
    sources = {s: sum(cell["source"] == s for cell in found) for s in ("measured", "missing")}
    lines = []
    decided = verdicts.counts(contents)
    if decided:
        n = sum(decided.values())
        said = ", ".join(f"{k} {in_plural(verdict)}" for verdict, k in decided.items() if k)
        lines.append(("claims", markup.counted(n, "claim"), said))
    ways = {v: sum(s.trends[v] for s in contents.sheets.values()) for v in trends.VERDICTS}
    said = ", ".join(f"{n:,} {verdict}" for verdict, n in ways.items())
    about = f"of numbers in a row or column, which the paper tells apart: {said}"
    lines.append(("contents", markup.counted(sum(ways.values()), "difference"), about))
    said = f"measured, from {markup.counted(len(contents.runs), 'run')}"
    lines.append(("origin", markup.counted(sources["measured"], "number"), said))
    lines.append(("missing", markup.counted(sources["missing"], "number"), "missing"))
    return [
        f"<li>{link(anchor, number)} <span>{text(said)}</span></li>\n"
        for anchor, number, said in lines
    ]


def missing(contents: Contents) -> Part:
    """What was not given, what needs it, and how to give it."""
    wanted: dict[str, dict[str, str]] = {}  # reason -> anchor -> words
    for name, sheet in contents.sheets.items():
        notes = [c["note"] for c in cells(sheet.page) if c["source"] == "missing"]
        for note in dict.fromkeys(notes):
            words = f"{sheet.page['title']} ({markup.counted(notes.count(note), 'cell')})"
            wanted.setdefault(note, {})[name] = words
    for name, title in (("claims", "claim"), ("text", "number of the text")):
        shown = contents.lists.get(name)
        notes = [one.note for one in shown.shown] if shown else []
        for note in dict.fromkeys(filter(None, notes)):
            words = markup.counted(notes.count(note), title)
            wanted.setdefault(note, {})[name] = words
    rows = [
        [text(note), ", ".join(link(anchor, words) for anchor, words in places.items())]
        for note, places in wanted.items()
    ]
    heads = ["missing, and what gives it", "needed by"]
    shown = markup.table("What is missing", heads, rows, False) if rows else ""
    about = HOW_TO_GIVE if rows else NOTHING
    return Part("missing", "What is missing, and how to give it", about, shown)
