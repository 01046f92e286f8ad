"""Tables: from a page's declared cells, the measured metrics and the paper's printed numbers to Markdown, tidy CSV and HTML.

    python -m fixres table --config results/pages/table5/config.json --results results --out results/table5.md

No table knows how a network is trained: a cell names a run, a test resolution and a metric. The same input gives the same bytes.
"""

import argparse
import html
import io
import json
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from tabulate import tabulate

from fixres import job

COLUMNS = ["table", "row", "column", "paper_row", "paper_column", "metric", "paper", "ours", "std", "source"]


class Number(NamedTuple):
    """What a cell shows: ours and its fold standard deviation, and the paper's where it printed one."""

    ours: float
    std: float
    paper: float | None


def main(arguments: list[str]) -> None:
    args = page_parser("table", __doc__).parse_args(arguments)
    page = job.read_config(args.config, "table")
    numbers = collect(page, args.results)
    for suffix, text in (("md", markdown(page, numbers)), ("csv", tidy(page, numbers)), ("html", webpage(page, numbers))):
        with job.atomic(args.out.with_suffix(f".{suffix}")) as temporary:
            temporary.write_text(text, encoding="utf-8")


def page_parser(stage: str, doc: str) -> argparse.ArgumentParser:
    """The command line of a table or figure."""
    p = job.parser(stage, doc, "out", threads=False)
    p.add_argument("--results", type=Path, required=True, help="the folder with the runs' metrics")
    return p


# --- numbers -----------------------------------------------------------------------------------------------------------------


def collect(page: dict, results: Path) -> dict[tuple[str, str], Number]:
    """(row, column) -> Number for every cell of a page. Raises JobError naming the run whose metrics are missing or damaged."""
    metrics: dict[str, dict] = {}
    numbers = {}
    for block in page["blocks"]:
        for cell in block["cells"]:
            run = cell["run"]
            file = results / run / "evaluation" / "metrics.json"
            try:
                if run not in metrics:
                    metrics[run] = json.loads(file.read_text(encoding="utf-8"))["k_test"]
                measured = metrics[run][str(cell["k_test"])]
                ours, std = measured[cell["metric"]], measured[f"{cell['metric']}_std"]
            except OSError as error:
                raise job.JobError(
                    f"{page['title']}, row {cell['row']}, column {cell['column']}: {file} cannot be read ({error.strerror})"
                ) from None
            except (ValueError, KeyError) as error:
                raise job.JobError(
                    f"{page['title']}, row {cell['row']}, column {cell['column']}: {file} is damaged or lacks {error}; delete it and "
                    "let Snakemake make it again"
                ) from None
            numbers[cell["row"], cell["column"]] = Number(ours, std, cell["paper"])
    return numbers


def best(block: dict, numbers: dict, decimals: int) -> set[tuple[str, str]]:
    """The cells that are, as printed, the largest of their column."""
    shown = {(c["row"], c["column"]): round(numbers[c["row"], c["column"]].ours, decimals) for c in block["cells"]}
    top: dict[str, float] = {}
    for (_, column), value in shown.items():
        top[column] = max(top.get(column, value), value)
    return {key for key, value in shown.items() if value == top[key[1]]}


# --- formats -----------------------------------------------------------------------------------------------------------------


def headline(page: dict) -> str:
    """At which scale the numbers were measured."""
    same_scale = all(ours == paper for block in page["blocks"] for ours, paper in block["columns"])
    stands = "" if same_scale else " A resolution is followed by the paper's that it stands for, in parentheses."
    return (
        f"Measured at the {page['scale']} scale ({page['network']} on {page['dataset']}); the paper: ResNet-50 on ImageNet.{stands} "
        "Each cell: ours, then the paper's in parentheses; the best of ours in a column is bold."
    )


def _label(ours: str, paper: str) -> str:
    return ours if ours == paper else f"{ours} ({paper})"


def _grid(block: dict, text) -> list[list[str]]:
    """Rows of cell texts: the row's label, then `text(row, column)` of each cell."""
    at = {(c["row"], c["paper_column"]): (c["row"], c["column"]) for c in block["cells"]}
    columns = list(dict.fromkeys(c["paper_column"] for c in block["cells"]))
    return [[_label(*row), *(text(*at[row[0], column]) for column in columns)] for row in block["rows"]]


def markdown(page: dict, numbers: dict) -> str:
    """The page for a terminal or a code host: one table a block."""
    parts = [f"# {page['title']}", page["caption"], headline(page)]
    for block in page["blocks"]:
        bold = best(block, numbers, page["decimals"])

        def text(row: str, column: str, bold=bold) -> str:
            number = numbers[row, column]
            ours = f"{number.ours:.{page['decimals']}f}"
            paper = "" if number.paper is None else f" ({number.paper:.1f})"
            return (f"**{ours}**" if (row, column) in bold else ours) + paper

        head = [page["corner"], *(_label(*column) for column in block["columns"])]
        align = ["right"] * len(head)
        table = tabulate(_grid(block, text), head, tablefmt="pipe", disable_numparse=True, colalign=align)
        parts += [f"**{block['title']}**", table]
    return "\n\n".join(parts) + "\n"


def frame(page: dict, numbers: dict) -> pd.DataFrame:
    """One row a cell, full precision."""
    rows = []
    for block in page["blocks"]:
        for cell in block["cells"]:
            number = numbers[cell["row"], cell["column"]]
            row = {"table": page["title"].lower().replace(" ", ""), **{c: cell[c] for c in COLUMNS[1:6]}}
            rows.append(row | {"paper": number.paper, "ours": number.ours, "std": number.std, "source": "measured"})
    return pd.DataFrame(rows, columns=COLUMNS)


def tidy(page: dict, numbers: dict) -> str:
    """The tidy CSV, for further computation."""
    out = io.StringIO()
    frame(page, numbers).to_csv(out, index=False, float_format="%.4f", lineterminator="\n")
    return out.getvalue()


STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1d2733; margin: 2rem auto; max-width: 78rem; padding: 0 1rem }
h1 { font-size: 1.4rem; margin-bottom: .3rem } p { max-width: 60rem }
.halves { display: flex; flex-wrap: wrap; gap: 1.5rem 2.5rem; align-items: start }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #dde3ea; white-space: nowrap }
thead th { border-bottom: 2px solid #1d2733 } .paper { color: #6b7885; font-size: .85em; font-weight: 400 } .best { font-weight: 700 }
"""


def webpage(page: dict, numbers: dict) -> str:
    """The page for a browser and for Snakemake's report: the halves side by side, as the paper prints them."""
    e = html.escape

    def label(ours: str, paper: str) -> str:
        return e(ours) if ours == paper else f'{e(ours)} <span class="paper">({e(paper)})</span>'

    tables = []
    for block in page["blocks"]:
        bold = best(block, numbers, page["decimals"])

        def text(row: str, column: str, bold=bold) -> str:
            number = numbers[row, column]
            kind = ' class="best"' if (row, column) in bold else ""
            paper = "" if number.paper is None else f' <span class="paper">({number.paper:.1f})</span>'
            title = f' title="± {number.std:.2f} over the folds"'
            return f"<td{kind}{title}>{number.ours:.{page['decimals']}f}{paper}</td>"

        head = "".join(f"<th>{label(*column)}</th>" for column in block["columns"])
        lines = [
            f"<tr><th>{label(*row)}</th>{''.join(cells[1:])}</tr>" for row, cells in zip(block["rows"], _grid(block, text), strict=True)
        ]
        body = "\n".join(lines)
        tables.append(
            f"<table><caption>{e(block['title'])}</caption>\n<thead><tr><th>{e(page['corner'])}</th>{head}</tr></thead>\n"
            f"<tbody>\n{body}\n</tbody></table>"
        )
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{e(page["title"])}</title><style>{STYLE}</style></head>\n'
        f"<body>\n<h1>{e(page['title'])}</h1>\n<p>{e(page['caption'])}</p>\n<p>{e(headline(page))}</p>\n"
        f'<div class="halves">\n{chr(10).join(tables)}\n</div>\n</body>\n</html>\n'
    )
