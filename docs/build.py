"""Put measured numbers into README.md and docs/: `make docs`.

A document has a place for them between two lines, and all between these lines is replaced:

    <!-- table5 -->
    <!-- end -->

The numbers come from results/. Their CSVs are copied to docs/results/. tests/test_docs.py compares
every document with these CSVs, so that no table can be out of date.
"""

import re
import shutil
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "docs" / "results"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PLACE = re.compile(r"(<!-- (?P<page>[\w.]+)(?P<trends> trends)? -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    results = ROOT / "results"
    pages = {match["page"] for text in map(read, DOCUMENTS) for match in PLACE.finditer(text)}
    KEPT.mkdir(exist_ok=True)
    for page in sorted(pages):
        for kind in ("csv", "trends.csv"):
            shutil.copy(results / f"{page}.{kind}", KEPT / f"{page}.{kind}")
    shutil.copy(results / "figure5.svg", ROOT / "docs" / "figure5.svg")

    def measured(place: re.Match) -> str:
        page = place["page"]
        text = trends(page) if place["trends"] else tables(read(results / f"{page}.md"))
        return f"{place[1]}\n{text}\n\n{place[4]}"

    for document in DOCUMENTS:
        document.write_text(PLACE.sub(measured, read(document)), encoding="utf-8")


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
    return (
        f"Of {len(found)} differences that the paper tells apart by half a point or more, "
        f"{same + other} are decided: {same} go the same way, {other} the other way. "
        f"{open_} are undecided."
    )


if __name__ == "__main__":
    main()
