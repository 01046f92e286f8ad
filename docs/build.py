"""Put measured numbers into README.md and docs/: `make docs docs-tiny docs-fashion`.

A document has a place for them between two lines, and all between these lines is replaced:

    <!-- table5 -->
    <!-- end -->

`<!-- fashion/table5 -->` is the place of another scale than the embedded one. One call fills the
places of one scale: `python docs/build.py fashion`, or `python docs/build.py fashion RESULTS` where
the results are in another folder. `python docs/build.py compare tiny` changes nothing: it compares
results/table5.csv with the copy.

The numbers come from results/. Their CSVs are copied to docs/results/, and the figures are drawn
from these copies. tests/test_docs.py compares every document and figure with them, so that nothing
can be out of date. What the paper's own tables say of its claims (docs/claims.md) needs no results.
"""

import re
import shutil
import sys
import textwrap
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from fixres import paper
from fixres.config import load
from fixres.graph.claims import ClaimsPage
from fixres.graph.pages import Figure
from fixres.graph.values import Cells, Value
from fixres.pages import claims, decided
from fixres.pages.figures import accuracy, crop_sheet, style
from fixres.pages.numbers import OF_CELL

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "docs" / "results"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Scale -> its configuration, laid over config.yaml, and the dataset whose images it is given.
SCALES = {
    "": (),
    "tiny": ("configs/tiny.yaml", "tiny-imagenet"),
    "fashion": ("configs/fashion.yaml", "fashion-mnist"),
}
SEEDS = {"": 5, "tiny": 5, "fashion": 5}  # of the copies
FIGURES = "figure1", *(f"{scale}-figure5".removeprefix("-") for scale in SCALES)
PLACE = re.compile(
    r"(<!-- (?:(?P<scale>\w+)/)?(?P<what>table\S+|section\S+|appendix\S+|claims|papers)"
    r"(?: (?P<how>\w+))? -->\n)"
    r".*?(?P<end><!-- end -->)",
    re.S,
)


def main(scale: str = "", results: Path | str = ROOT / "results") -> None:
    """Fill the places of a scale from results/."""
    results = Path(results)
    places = [place for document in DOCUMENTS for place in PLACE.finditer(read(document))]
    KEPT.mkdir(exist_ok=True)
    mine = [place for place in places if scale_of(place) == scale and place["what"] != "papers"]
    for page in {place["what"] for place in mine}:
        for kind in ("csv", "trends.csv") if page != "claims" else ("csv",):
            shutil.copy(results / f"{page}.{kind}", kept(scale, f"{page}.{kind}"))
    if not scale:
        crops = planned(scale, "figure1").files["crops"]
        for file in (Path("figure1.csv"), Path(crops)):
            shutil.copy(results / file, KEPT / file.name)
    draw(ROOT / "docs")
    for document in DOCUMENTS:
        text = PLACE.sub(
            lambda place: filled(place, results) if scale_of(place) == scale else place[0],
            read(document),
        )
        document.write_text(text, encoding="utf-8")


def compare(scale: str, results: Path | str = ROOT / "results") -> None:
    """Say whether results/table5.csv is the copy of docs/results/, or within its intervals.

    The same machine gives the same bytes. Another rounds sums differently, so its networks differ.
    Exits with 1 where a number is outside of its interval. Other seeds are not compared.
    """
    ours, theirs = Path(results) / "table5.csv", kept(scale, "table5.csv")
    if ours.read_bytes() == theirs.read_bytes():
        print(f"{ours}: the bytes of {theirs}")
        return
    here, there = (pd.read_csv(file) for file in (ours, theirs))
    seeds = [int(numbers["seeds"].max()) for numbers in (here, there)]
    if seeds[0] != seeds[1]:
        print(f"{ours}: not compared, with {seeds[0]} seed(s); {theirs} has {seeds[1]}")
        return
    both = here.merge(there, "outer", on=OF_CELL, suffixes=("", "_there"))
    inside = both["ours"].between(both["low_there"], both["high_there"])
    print(f"{ours}: {inside.sum()} of {len(both)} numbers in the 95% intervals of {theirs}")
    if not inside.all():
        print(both[~inside][[*OF_CELL, "ours", "low_there", "high_there"]].to_string(index=False))
        raise SystemExit(1)


def scale_of(place: re.Match) -> str:
    return place["scale"] or ""


def seeds_of(scale: str, page: str) -> int:
    """How many seeds a page of the documents has."""
    config = load(ROOT / "config.yaml", *(ROOT / file for file in SCALES[scale][:1]))
    return config.pages.seeds.get(page, SEEDS[scale])


def kept(scale: str, name: str) -> Path:
    """The copy of a file of results/."""
    return KEPT / (f"{scale}-{name}" if scale else name)


def planned(scale: str, page: str) -> Figure:
    """A figure as its job reads it, at a scale and with five seeds."""
    files = ("config.yaml", *SCALES[scale][:1], *["configs/seeds.yaml"] * (SEEDS[scale] == 5))
    # The images are not looked at; they need not be there.
    here = {"datasets": {dataset: {"root": "."} for dataset in SCALES[scale][1:]}}
    plan = paper.plan_of(load(*(ROOT / f for f in files), extra=here))
    return Figure.of(plan.resolved(f"pages/{page}"))


def filled(place: re.Match, results: Path) -> str:
    """A place with its numbers."""
    what = place["what"]
    if what == "papers":
        text = papers_claims()
    elif what == "claims":
        text = measured_claims(scale_of(place))
    elif place["how"] == "trends":
        text = trends(scale_of(place), what)
    elif place["how"] == "short":
        text = short(scale_of(place), what)
    else:
        text = tables(read(results / f"{what}.md"))
    return f"{place[1]}\n{text}\n\n{place['end']}"


def draw(folder: Path) -> None:
    """Draw the figures of the documents from their copies in docs/results/."""
    style.plt.rcParams.update(style.RC)
    means = pd.read_csv(KEPT / "figure1.csv")["mean_ratio"].tolist()
    crops = crop_sheet.read(KEPT / "crops.npz")
    drawn = [crop_sheet.sheet(crops, means, planned("", "figure1"))]
    for scale in SCALES:
        measured = pd.read_csv(kept(scale, "table5.csv"))
        drawn.append(accuracy.accuracy_over_resolution(measured, planned(scale, "figure5")))
    for name, figure in zip(FIGURES, drawn, strict=True):
        figure.savefig(folder / f"{name}.svg", metadata=style.METADATA[".svg"], dpi=style.DPI)


def read(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def tables(page: str) -> str:
    """The tables of a rendered page, with their titles: what is between headline and notes."""
    start, end = page.index("\n**") + 1, page.rindex("|\n") + 1
    return page[start:end]


def short(scale: str, page: str, k_train: str = "56", k_tests: str = "56 72 96 112 120") -> str:
    """Five rows of Table 5: one network over k_test, as it is and fine-tuned."""
    cells = pd.read_csv(kept(scale, f"{page}.csv"), dtype={"row": str})
    rows = []
    for k_test in k_tests.split():
        at = cells[cells["row"] == k_test].set_index("column")
        shown = [at.loc[column] for column in (k_train, f"{k_train} adapted")]
        name = f"{k_test} ({at.loc[k_train, 'paper_row']})"
        numbers = (f"{c.ours:.1f} ± {(c.high - c.low) / 2:.1f} ({c.paper:.1f})" for c in shown)
        rows.append([name, *numbers])
    heads = ["test resolution (paper's)", "as it is", "fine-tuned"]
    return tabulate(rows, heads, "pipe", disable_numparse=True)


def trends(scale: str, page: str) -> str:
    """How the paper's differences came out, as a sentence."""
    found = pd.read_csv(kept(scale, f"{page}.trends.csv"))
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


def measured_claims(scale: str) -> str:
    """The claims that a scale decides, each with its verdict, as a table."""
    found = pd.read_csv(kept(scale, "claims.csv"))
    rows = []
    for claim in found[found["verdict"] != "missing"].itertuples():
        counts = {
            verdict: int(getattr(claim, f"comparisons_{verdict}"))
            for verdict in ("holds", "fails", "undecided")
        }
        if pd.isna(claim.ours):
            ours = ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n)
        else:
            ours = f"{claim.ours:+.1f} ({claim.low:+.1f} to {claim.high:+.1f}) {claim.unit}"
        rows.append([claim.sentence, claim.where, ours, claim.verdict])
    return tabulate(rows, ["claim", "where", "ours", "verdict"], "pipe", disable_numparse=True)


def papers_claims() -> str:
    """What the numbers that the paper prints say of its claims, as a table."""
    config = ClaimsPage.of(paper.plan_of(load(ROOT / "config.yaml")).resolved("pages/claims"))
    cells = Cells(config.names, lambda key: Value(paper=decided.cell_of(config, key).paper))
    heads = ["claim", "where", "comparisons", "smallest", "the paper's tables"]
    rows = []
    for claim in paper.CLAIMS:
        found = decided.compared(claim.number(cells))
        printed = [one.value.paper for one in found if one.value.paper is not None]
        smallest = f"{min(printed):+.1f}" if printed else "–"
        verdict = claims.OF_PAPER[decided.papers_verdict(found)]
        rows.append([claim.sentence, claim.where, len(found), smallest, verdict])
    return tabulate(rows, heads, tablefmt="pipe", disable_numparse=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["compare"]:
        compare(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
