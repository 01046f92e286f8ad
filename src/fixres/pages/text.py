"""Numbers in the paper's text: what it says, what its tables say, and what ours come to.

    python -m fixres text --config results/pages/text/config.json --results results \\
        --out results/text.md
"""

import numpy as np
import pandas as pd

from fixres import jobs
from fixres.pages import decided, intervals, lists
from fixres.pages.command import page_parser, write
from fixres.pages.numbers import csv
from fixres.pages.quantities import compute

COLUMNS = ["number", "where", "what", "unit", "says", "tables", "ours", "low", "high", "note"]
COLUMNS += ["cells"]
HEADS = ["where", "what", "the text", "its tables", "ours", "95% interval"]


def main(arguments: list[str]) -> None:
    args = page_parser("text", __doc__).parse_args(arguments)
    config = jobs.read_config(args.config, "text", args.ancestry_digest)
    cell, seeds = decided.cells_of(config, args.results)
    numbers = pd.DataFrame([line(n, cell) for n in config["numbers"]], columns=COLUMNS)
    shown = page(config, numbers, seeds)
    texts = {
        ".md": lists.markdown("Numbers in the text", *shown),
        ".csv": csv(numbers),
        ".html": lists.webpage("Numbers in the text", *shown),
    }
    write(args.out, texts)


def line(number: dict, cell: decided.Lookup) -> dict:
    """A line of the CSV."""
    found = {"number": number["name"], "where": number["where"], "what": number["sentence"]}
    found |= {"unit": number["unit"], "says": number["says"], "note": number["note"]}
    if number["number"] is None:
        return found
    value = compute(number["number"], cell)
    found |= {"tables": value.paper, "ours": value.ours}
    found["cells"] = "; ".join(cell_keys(number["number"]))
    if value.ours is not None and value.replicas is not None:
        found["low"], found["high"] = intervals.interval(np.asarray(value.replicas))
    return found


def cell_keys(node: object) -> list[str]:
    """The keys of the cells of a quantity, or of several in a list; each once."""
    if not isinstance(node, list) or not node:
        return []
    if node[0] == "cell":
        return [node[1]]
    return list(dict.fromkeys(key for part in node for key in cell_keys(part)))


def page(config: dict, numbers: pd.DataFrame, seeds: int) -> tuple[list[str], list[lists.Table]]:
    """The paragraph above the table, and the table."""
    decimals = {n["name"]: n["decimals"] for n in config["numbers"]}
    rows = []
    for n in numbers.itertuples():
        digits = decimals[n.number]

        def shown(value: float | None, unit: str = "", digits: int = digits) -> str:
            return "–" if pd.isna(value) else f"{value:.{digits}f}{unit}"

        ours = f"missing: {n.note}" if n.note else shown(n.ours, f" {n.unit}")
        between = "–" if pd.isna(n.low) else f"{shown(n.low)} to {shown(n.high)}"
        rows.append([n.where, n.what, n.says, shown(n.tables), ours, between])
    covers = f"images and {seeds} seeds" if seeds > 1 else "images (one seed: images only)"
    about = (
        f"Numbers that the paper prints in its text, at the {config['scale']} scale. Beside what "
        "the text says stands what the paper's own tables come to, then ours with its 95% interval "
        f"over validation {covers}. Resolutions are the paper's."
    )
    return [about], [("Numbers", HEADS, rows)]
