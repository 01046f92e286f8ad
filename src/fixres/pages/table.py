"""Tables: from a page's declared cells, the measured metrics and the paper's printed numbers to Markdown, tidy CSV and HTML.

    python -m fixres table --config results/pages/table5/config.json --results results --out results/table5.md

No table knows how a network is trained: a cell names a run, a test resolution and a metric. The same input gives the same bytes.
"""

import argparse
import copy
import html
import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from tabulate import tabulate

from fixres import jobs
from fixres.jobs.quoting import plain
from fixres.pages import trends
from fixres.plan import failed, metrics_of

COLUMNS = [
    "table",
    "row",
    "column",
    "paper_row",
    "paper_column",
    "metric",
    "paper",
    "ours",
    "std",
    "source",
]


TURNED = "↕"  # marks a number whose trends differ from the paper's
Place = tuple[str, str, str, str]  # row and column, ours and the paper's


class Number(NamedTuple):
    """What a cell shows: ours and its fold standard deviation (None where there is none), and the paper's where it printed one."""

    ours: float | None
    std: float | None
    paper: float | None
    paper_std: float | None = None


def main(arguments: list[str]) -> None:
    args = page_parser("table", __doc__).parse_args(arguments)
    page = without_failed(
        jobs.read_config(args.config, "table", args.ancestry_digest), args.results
    )
    measured = read_metrics(page, args.results)
    numbers = collect(page, measured)
    footnotes = notes(page, measured)
    for suffix, text in (
        ("md", markdown(page, numbers, footnotes)),
        ("csv", tidy(page, numbers)),
        ("html", webpage(page, numbers, footnotes)),
    ):
        with jobs.atomic(args.out.with_suffix(f".{suffix}")) as temporary:
            temporary.write_text(text, encoding="utf-8")


def page_parser(stage: str, doc: str) -> argparse.ArgumentParser:
    """The command line of a page."""
    p = jobs.parser(stage, doc, "out", threads=False)
    p.add_argument("--results", type=Path, required=True, help="the folder with the runs' metrics")
    return p


# --- numbers -----------------------------------------------------------------------------------------------------------------


def cells(page: dict) -> list[dict]:
    """All cells of a page, block by block, row by row."""
    return [cell for block in page["blocks"] for line in block["cells"] for cell in line if cell]


def without_failed(page: dict, results: Path) -> dict:
    """The page with the cells of runs that failed as missing ones, which name the run and its log; only where pages.allow_failed asks."""
    page = copy.deepcopy(page)
    for cell in cells(page):
        for run in (cell["run"], cell["plus"]):
            log = failed(page["may_have_failed"].get(run, []), results)
            if log:  # though metrics of a former run may still be there
                cell |= {"run": None, "source": "missing", "note": f"{run} failed; see {log}"}
                break
    return page


def place(cell: dict) -> Place:
    """Where a cell stands. Two of the paper's resolutions may be one of ours, so both are needed."""
    return cell["row"], cell["column"], cell["paper_row"], cell["paper_column"]


def read_metrics(page: dict, results: Path) -> dict[str, dict]:
    """run -> its metrics.json, for every run that a page shows. Raises JobError naming the run and file that is missing or damaged."""
    measured: dict[str, dict] = {}
    for cell, run in [(c, run) for c in cells(page) for run in (c["run"], c["plus"])]:
        if run is None or run in measured:
            continue
        file = results / metrics_of(run)
        try:
            measured[run] = {"file": str(file), **jobs.read_json(file)}
        except OSError as error:
            raise jobs.JobError(
                f"{_where(page, cell)}: {file} cannot be read ({error.strerror})"
            ) from None
        except ValueError as error:
            raise jobs.JobError(
                f"{_where(page, cell)}: {file} is damaged ({error}); delete it and let Snakemake make it again"
            ) from None
    return measured


def collect(page: dict, measured: dict[str, dict]) -> dict[Place, Number]:
    """place -> Number for every cell of a page. Raises JobError naming the run whose metrics lack a number."""
    numbers = {}
    for cell in cells(page):
        ours = std = None
        if cell["run"] is not None:
            metrics = measured[cell["run"]]
            try:
                if cell["metric"] == "parameters":
                    ours = metrics["parameters"] / 1e6
                elif cell["k_test"] is None:
                    ours, std = metrics[cell["metric"]], metrics.get(f"{cell['metric']}_std")
                    ours += measured[cell["plus"]][cell["metric"]] if cell["plus"] else 0
                else:
                    values = metrics["k_test"][str(cell["k_test"])]
                    std = (
                        values[f"{cell['metric']}_std"]
                        if cell["metric"].startswith("top1")
                        else None
                    )
                    ours = values[cell["metric"]]
            except (KeyError, TypeError) as error:
                raise jobs.JobError(
                    f"{_where(page, cell)}: {metrics['file']} is damaged or lacks {error}; delete it and let Snakemake make it again"
                ) from None
        numbers[place(cell)] = Number(ours, std, cell["paper"], cell["paper_std"])
    return numbers


def _where(page: dict, cell: dict) -> str:
    return f"{page['title']}, row {cell['row']}, column {cell['column']}"


def best(block: dict, numbers: dict[Place, Number], decimals: int) -> set[Place]:
    """The places of the cells that are, as printed, the largest of their column."""
    shown = {place(c): numbers[place(c)].ours for line in block["cells"] for c in line if c}
    rounded = {at: round(ours, decimals) for at, ours in shown.items() if ours is not None}
    top: dict[str, float] = {}
    for (_, column, *_), value in rounded.items():
        top[column] = max(top.get(column, value), value)
    return {at for at, value in rounded.items() if value == top[at[1]]}


def turned(page: dict, numbers: dict[Place, Number]) -> set[Place]:
    """The places of the cells most of whose trends are not the paper's."""
    places = [place(cell) for cell in cells(page)]
    return {places[i] for i in trends.turned_cells(frame(page, numbers))}


# --- what is said around the numbers -----------------------------------------------------------------------------------------


def headline(page: dict, any_turned: bool = False) -> str:
    """At which scale the numbers were measured, and how a cell reads."""
    ours, theirs = page["subject"]
    parts = [f"Measured at the {page['scale']} scale ({ours}); the paper: {theirs}."]
    labels = [
        label
        for block in page["blocks"]
        for label in [*block["columns"], *(x for row in block["rows"] for x in row["labels"])]
    ]
    if any(mine != paper for mine, paper in labels):
        parts.append("A resolution is followed by the paper's that it stands for, in parentheses.")
    reading = "Each cell: ours, then the paper's in parentheses"
    parts.append(
        f"{reading}; the best of ours in a column is bold." if page["bold"] else f"{reading}."
    )
    if any_turned:
        parts.append(
            f"{TURNED}: most of its differences within row and column go another way than the paper's."
        )
    if any(cell["source"] == "reported" for cell in cells(page)):
        parts.append("In italics: what the paper reports, not measured by us.")
    return " ".join(parts)


def missing(page: dict) -> list[str]:
    """The reasons why cells are missing, in order of appearance: footnote i + 1 is the i-th."""
    return list(dict.fromkeys(cell["note"] for cell in cells(page) if cell["source"] == "missing"))


def notes(page: dict, measured: dict[str, dict]) -> list[str]:
    """What stands below a page: its own remarks, then what the images that it used lack."""
    return [
        *page["notes"],
        *dict.fromkeys(note for metrics in measured.values() for note in metrics.get("notes", [])),
    ]


# --- formats -----------------------------------------------------------------------------------------------------------------


def amount(value: float, metric: str, decimals: int, std: float | None = None) -> str:
    """A number as it is printed: per cent, millions of parameters, hours (or seconds), milliseconds with their deviation."""
    if metric == "hours":
        return f"{value:.{decimals}f}" if value >= 0.1 else f"{3600 * value:.{decimals}f} s"
    if metric.endswith("_ms"):
        return f"{value:.1f} ± {std:.1f}"
    if metric == "parameters":
        return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}M"
    return f"{value:.{decimals}f}"


def _label(label: list[str], paper: str = " ({})") -> str:
    return label[0] if label[0] == label[1] else label[0] + paper.format(label[1])


def _grid(
    block: dict, text: Callable[[dict | None], str], label: Callable[[list[str]], str]
) -> list[list[str]]:
    """Rows of cell texts: the row's labels, then `text(cell)` of each cell."""
    return [
        [*(label(x) for x in row["labels"]), *(text(cell) for cell in line)]
        for row, line in zip(block["rows"], block["cells"], strict=True)
    ]


class Shown(NamedTuple):
    """How a cell reads."""

    kind: str  # "", "best", "reported" or "missing"
    ours: str  # the number, or "missing [i]"; of a reported cell the paper's
    paper: str  # the paper's beside it, or ""
    title: str  # more about it
    turned: bool = False


def shower(page: dict, numbers: dict[Place, Number]) -> Callable[[dict | None], Shown]:
    """How the cells of a page read: what both formats have in common."""
    reasons, other, decimals = missing(page), turned(page, numbers), page["decimals"]
    bold = (
        set().union(*(best(block, numbers, decimals) for block in page["blocks"]))
        if page["bold"]
        else set()
    )

    def shown(cell: dict | None) -> Shown:
        if cell is None:
            return Shown("", "", "", "")
        number, metric, at = numbers[place(cell)], cell["metric"], place(cell)
        paper = "" if number.paper is None else amount(number.paper, metric, 1, number.paper_std)
        if cell["source"] == "reported":
            return Shown("reported", paper, "", "")
        if number.ours is None:
            return Shown(
                "missing", f"missing [{reasons.index(cell['note']) + 1}]", paper, cell["note"]
            )
        spread = "" if number.std is None else f"± {number.std:.2f}"
        return Shown(
            "best" if at in bold else "",
            amount(number.ours, metric, decimals, number.std),
            paper,
            spread,
            at in other,
        )

    return shown


def markdown(page: dict, numbers: dict[Place, Number], footnotes: list[str]) -> str:
    """The page for a terminal or a code host: one table a block."""
    reasons, shown = missing(page), shower(page, numbers)
    parts = [f"# {page['title']}", page["caption"], headline(page, bool(turned(page, numbers)))]

    def text(cell: dict | None) -> str:
        s = shown(cell)
        ours = {"best": f"**{s.ours}**", "reported": f"*{s.ours}*"}.get(s.kind, s.ours)
        return ours + (f" {TURNED}" if s.turned else "") + (f" ({s.paper})" if s.paper else "")

    for block in page["blocks"]:
        head = [*block["heads"], *(_label(column) for column in block["columns"])]
        align = (
            ["right"] * len(head)
            if len(block["heads"]) == 1
            else ["left"] * len(block["heads"]) + ["right"] * len(block["columns"])
        )
        table = tabulate(
            _grid(block, text, lambda x: plain(_label(x))),
            head,
            tablefmt="pipe",
            disable_numparse=True,
            colalign=align,
        )
        parts += [f"**{block['title']}**", table]
    parts += (
        ["\n".join(f"{i}. Missing: {plain(reason)}" for i, reason in enumerate(reasons, 1))]
        if reasons
        else []
    )
    parts += ["\n".join(f"- {plain(note)}" for note in footnotes)] if footnotes else []
    return "\n\n".join(parts) + "\n"


def frame(page: dict, numbers: dict) -> pd.DataFrame:
    """One row a cell, full precision."""
    rows = []
    for cell in cells(page):
        number = numbers[place(cell)]
        row = {"table": page.get("name", ""), **{c: cell[c] for c in COLUMNS[1:6]}}
        rows.append(
            row
            | {
                "paper": number.paper,
                "ours": number.ours,
                "std": number.std,
                "source": cell["source"],
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def tidy(page: dict, numbers: dict) -> str:
    """The tidy CSV, for further computation."""
    out = io.StringIO()
    frame(page, numbers).to_csv(out, index=False, float_format="%.4f", lineterminator="\n")
    return out.getvalue()


STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1d2733; margin: 2rem auto; max-width: 78rem; padding: 0 1rem }
h1 { font-size: 1.4rem; margin-bottom: .3rem } p, li { max-width: 60rem }
.halves { display: flex; flex-wrap: wrap; gap: 1.5rem 2.5rem; align-items: start }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #dde3ea; white-space: nowrap }
th.name, th.name ~ th.label { text-align: left } th.label { font-weight: 400 }
thead th { border-bottom: 2px solid #1d2733 } .paper { color: #6b7885; font-size: .85em; font-weight: 400 } .best { font-weight: 700 }
.reported { font-style: italic } .missing, .turned { color: #8a5a00 } ol, ul { color: #3c4957; font-size: .9em; padding-left: 1.2rem }
"""


def webpage(page: dict, numbers: dict[Place, Number], footnotes: list[str]) -> str:
    """The page for a browser and for Snakemake's report: the halves side by side, as the paper prints them."""
    e, shown = html.escape, shower(page, numbers)

    def label(ours_and_paper: list[str]) -> str:
        return _label([e(x) for x in ours_and_paper], ' <span class="paper">({})</span>')

    def text(cell: dict | None) -> str:
        s = shown(cell)
        attributes = (f' class="{s.kind}"' if s.kind else "") + (
            f' title="{e(s.title)}"' if s.title else ""
        )
        mark = f' <span class="turned">{TURNED}</span>' if s.turned else ""
        return (
            f"<td{attributes}>{s.ours}{mark}"
            + (f' <span class="paper">({s.paper})</span>' if s.paper else "")
            + "</td>"
        )

    tables = []
    for block in page["blocks"]:
        names = (
            ["name"] + ["label"] * (len(block["heads"]) - 1) if len(block["heads"]) > 1 else [""]
        )
        kinds = [f' class="{name}"' if name else "" for name in names]
        head = "".join(
            f"<th{kind}>{e(head)}</th>" for kind, head in zip(kinds, block["heads"], strict=True)
        )
        head += "".join(f"<th>{label(column)}</th>" for column in block["columns"])
        lines = []
        for row in _grid(block, text, label):
            labels = "".join(f"<th{kind}>{x}</th>" for kind, x in zip(kinds, row, strict=False))
            lines.append(f"<tr>{labels}{''.join(row[len(kinds) :])}</tr>")
        body = "\n".join(lines)
        tables.append(
            f"<table><caption>{e(block['title'])}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
        )
    below = _listed("ol", [f"Missing: {reason}" for reason in missing(page)]) + _listed(
        "ul", footnotes
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{e(page["title"])}</title><style>{STYLE}</style></head>\n'
        f"<body>\n<h1>{e(page['title'])}</h1>\n<p>{e(page['caption'])}</p>\n<p>{e(headline(page, bool(turned(page, numbers))))}</p>\n"
        f'<div class="halves">\n{chr(10).join(tables)}\n</div>\n{below}</body>\n</html>\n'
    )


def _listed(kind: str, items: list[str]) -> str:
    lines = "".join(f"<li>{html.escape(item)}</li>\n" for item in items)
    return f"<{kind}>\n{lines}</{kind}>\n" if items else ""
