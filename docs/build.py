"""Put measured numbers into README.md and docs/: `make docs`.

A document has a place for them between two lines, and all between these lines is replaced:

    <!-- table5 -->
    <!-- end -->

The numbers come from results/. Their CSVs are copied to docs/results/, and the figures are drawn
from these copies. tests/test_docs.py compares every document and figure with them, so that nothing
can be out of date. What the paper's own tables say of its claims (docs/claims.md) needs no results.
"""

import re
import shutil
import textwrap
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from fixres import paper
from fixres.config import load
from fixres.pages import claims, decided
from fixres.pages.figures import accuracy, crop_sheet, style
from fixres.pages.quantities import Value

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "docs" / "results"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CONFIGURATION = ROOT / "config.yaml", ROOT / "configs" / "seeds.yaml"  # of the copies
FIGURES = "figure1", "figure5"
PLACE = re.compile(
    r"(<!-- (?P<what>table\S+|papers)(?: (?P<how>\w+))? -->\n).*?(<!-- end -->)", re.S
)


def main() -> None:
    results = ROOT / "results"
    places = [place for document in DOCUMENTS for place in PLACE.finditer(read(document))]
    KEPT.mkdir(exist_ok=True)
    for page in {place["what"] for place in places} - {"papers"}:
        for kind in ("csv", "trends.csv"):
            shutil.copy(results / f"{page}.{kind}", KEPT / f"{page}.{kind}")
    plan = paper.plan_of(load(*CONFIGURATION))
    for file in (Path("figure1.csv"), Path(plan.resolved("pages/figure1")["files"]["crops"])):
        shutil.copy(results / file, KEPT / file.name)
    draw(ROOT / "docs")
    for document in DOCUMENTS:
        document.write_text(PLACE.sub(filled, read(document)), encoding="utf-8")


def filled(place: re.Match) -> str:
    """A place with its numbers."""
    what = place["what"]
    if what == "papers":
        text = papers_claims()
    elif place["how"] == "trends":
        text = trends(what)
    else:
        text = tables(read(ROOT / "results" / f"{what}.md"))
    return f"{place[1]}\n{text}\n\n{place[4]}"


def draw(folder: Path) -> None:
    """Draw the figures of the documents from their copies in docs/results/."""
    style.plt.rcParams.update(style.RC)
    plan = paper.plan_of(load(*CONFIGURATION))
    method, accuracies = (plan.resolved(f"pages/{name}") for name in FIGURES)
    means = pd.read_csv(KEPT / "figure1.csv")["mean_ratio"].tolist()
    table5 = pd.read_csv(KEPT / "table5.csv")
    drawn = (
        crop_sheet.sheet(crop_sheet.read(KEPT / "crops.npz"), means, method),
        accuracy.accuracy_over_resolution(table5, accuracies),
    )
    for name, figure in zip(FIGURES, drawn, strict=True):
        figure.savefig(folder / f"{name}.svg", metadata=style.METADATA[".svg"], dpi=style.DPI)


def read(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def tables(page: str) -> str:
    """The tables of a rendered page, with their titles: what stands between headline and notes."""
    start, end = page.index("\n**") + 1, page.rindex("|\n") + 1
    return page[start:end]


def trends(page: str) -> str:
    """How the paper's differences came out, as a sentence."""
    found = pd.read_csv(KEPT / f"{page}.trends.csv")
    count = found["verdict"].value_counts()
    same, other, open_ = (
        int(count.get(verdict, 0)) for verdict in ("same way", "other way", "undecided")
    )
    text = (
        f"Of {len(found)} differences that the paper tells apart by half a point or more, "
        f"{same + other} are decided: {same} go the same way, {other} the other way. "
        f"{open_} are undecided."
    )
    return textwrap.fill(text, 100)


def papers_claims() -> str:
    """What the numbers that the paper prints say of its claims, as a table."""
    config = paper.plan_of(load(ROOT / "config.yaml")).resolved("pages/claims")
    heads = ["claim", "where", "comparisons", "smallest", "the paper's tables"]
    rows = []
    for claim in config["claims"]:
        found = decided.compared(
            claim["above_0"], lambda key: Value(None, None, config["cells"][key]["paper"])
        )
        printed = [one.value.paper for one in found if one.value.paper is not None]
        smallest = f"{min(printed):+.1f}" if printed else "–"
        verdict = claims.OF_PAPER[decided.papers_verdict(found)]
        rows.append([claim["sentence"], claim["where"], len(found), smallest, verdict])
    return tabulate(rows, heads, tablefmt="pipe", disable_numparse=True)


if __name__ == "__main__":
    main()
