"""The numbers that the paper printed, from reference/<page>.csv."""

import csv
import functools
from pathlib import Path

REFERENCE = Path(__file__).parent / "reference"


@functools.cache
def printed(page: str) -> dict[tuple[str, str, str], float]:
    """(row, column, metric) -> number. Empty for a page that is not the paper's."""
    file = REFERENCE / f"{page}.csv"
    if not file.is_file():
        return {}
    with open(file, newline="", encoding="utf-8") as f:
        lines = list(csv.DictReader(f))
    return {(x["row"], x["column"], x["metric"]): float(x["value"]) for x in lines}
