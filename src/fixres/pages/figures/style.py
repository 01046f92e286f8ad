"""The style of all figures: readable in print, in grey and for the colour-blind.

Colours of resolutions run from dark (small) to light (large), so their order shows without hue.
Ours is solid, with its 95% interval as a band; the paper's is dotted.
"""

import textwrap
from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt

from fixres import jobs
from fixres.graph.pages import Cell, Page
from fixres.pages.layout import label

RC = {
    "svg.hashsalt": "fixres",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.fontsize": 8,
}
# No date and no version in the files: the same numbers give the same bytes.
METADATA = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}
# Two things that are set against each other, such as train DA and test DA (Okabe and Ito, 2008).
PAIR = ("#0072B2", "#D55E00")
GREY = "0.4"
DPI = 160


def colours(resolutions: Iterable[int]) -> dict[int, tuple]:
    """A colour for each resolution, dark to light, without the lightest yellow."""
    known = sorted(set(resolutions))
    palette = mpl.colormaps["viridis"]
    steps = max(len(known) - 1, 1)
    return {k: palette(0.9 * i / steps) for i, k in enumerate(known)}


def panels(
    count: int, height: float = 4.0, width: float = 4.9, **options: object
) -> tuple[plt.Figure, list[plt.Axes]]:
    """A figure with some panels side by side, each of that height and width in inches."""
    options |= {"figsize": (width * count, height), "squeeze": False, "layout": "constrained"}
    figure, axes = plt.subplots(1, count, **options)
    return figure, list(axes[0])


def rows(
    count: int, columns: int, height: float = 3.0, width: float = 4.9
) -> tuple[plt.Figure, list[list[plt.Axes]]]:
    """A figure with rows of panels, each of that height and width in inches.

    The panels of a row share their vertical axis.
    """
    options = {"figsize": (width * columns, height * count), "layout": "constrained"}
    figure, axes = plt.subplots(count, columns, sharey="row", squeeze=False, **options)
    return figure, [list(row) for row in axes]


def papers_axis(axis: plt.Axes, stands_for: dict[int, int]) -> None:
    """An upper axis with the resolutions of the paper, where ours stand for others of them."""
    if all(ours == paper for ours, paper in stands_for.items()):
        return
    upper = axis.secondary_xaxis("top")
    upper.set_xticks(sorted(stands_for), [str(paper) for _, paper in sorted(stands_for.items())])
    upper.tick_params(labelsize=7, colors=GREY)
    upper.set_xlabel("the paper's resolution", color=GREY)


def resolution(cell: Cell) -> str:
    """The test resolution of a cell's row, for a legend: "56", or "56 (224)" with the paper's."""
    return label((cell.row, cell.paper_row))


def resolution_title(page: Page) -> str:
    """The title of such a legend."""
    rows = [row.key for block in page.blocks for row in block.rows]
    return "k_test" if all(ours == paper for ours, paper in rows) else "k_test (the paper's)"


def headline(figure: plt.Figure, page: Page, remark: str = "") -> None:
    """What a figure shows, at which scale, and how to read it ("bands: 95% intervals")."""
    ours, theirs = page.subject
    about = f"{page.scale} scale: {ours}; the paper: {theirs}"
    lines = [page.caption, about, *([remark] if remark else [])]
    width = int(13 * figure.get_figwidth())  # letters of this size
    figure.suptitle("\n".join(textwrap.fill(line, width) for line in lines), fontsize=8)


def save(figure: plt.Figure, out: Path) -> None:
    """Write a figure as SVG and PNG, in the same folder."""
    for suffix, metadata in METADATA.items():
        with jobs.atomic(out.with_suffix(suffix)) as temporary:
            figure.savefig(temporary, metadata=metadata, dpi=DPI)
