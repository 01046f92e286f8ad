"""Figures 3 and 4: CDFs of the pooled activations, a line for each test resolution.

Solid lines are ours, with their 95% intervals as bands. The diamonds of Figure 3 are the numbers
that the paper prints: how many activations are 0, and how many are below its bound of 2. Our curves
are drawn over our values, and a dotted line shows the bound that corresponds to the paper's.
"""

from collections.abc import Iterator
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from fixres.graph.pages import Cell
from fixres.graph.values import cdf
from fixres.pages.figures import style
from fixres.pages.view import View

SHOWN = 0.97  # of the widest distribution: the x-axis ends there


class Curve(NamedTuple):
    """A CDF at the edges of the bins, in per cent."""

    cell: Cell
    x: np.ndarray
    ours: np.ndarray
    low: np.ndarray
    high: np.ndarray


def draw(view: View) -> tuple[plt.Figure, pd.DataFrame]:
    """Draw the cells whose columns are panels."""
    found, page = list(curves(view)), view.page
    panels, k_train = page.settings["panels"], page.settings["k_train"]
    figure, axes = style.panels(len(panels), sharey=True)
    if len(panels) == 1:
        figure.set_size_inches(6.5, 4.3)
    colours = style.colours(int(curve.cell.row) for curve in found)
    (first, _), *_ = panels
    native = {(c.cell.column, int(c.cell.row)): c for c in found}.get((first, k_train))
    for axis, (column, title) in zip(axes, panels, strict=True):
        for curve in (c for c in found if c.cell.column == column):
            draw_curve(axis, curve, colours, k_train)
        if native and column != first:
            label = f"{style.resolution(native.cell)}, before"
            axis.plot(native.x, native.ours, "--", color="black", lw=1, label=label)
        axis.set(title=title, xlabel="activation after the average pooling")
    axes[0].set(ylabel="activations up to this value (%)", ylim=(0, 101))
    for axis in axes:
        first_x = min((curve.x[0] for curve in found), default=0)
        axis.set_xlim(min(first_x, 0), max((end(curve) for curve in found), default=1))
    if len(panels) == 1:
        draw_papers(axes[0], view, colours)
        # The diamonds are on the bound, which may be above all that the curves need.
        shown = max([*axes[0].get_xlim(), *(bound * 1.05 for bound in bounds(view))])
        axes[0].set_xlim(right=shown)
    for axis in axes:
        axis.legend(title=style.resolution_title(page), loc="lower right")
    style.headline(figure, page, "dots: the share of zeros; bands: 95% intervals")
    return figure, frame(found)


def curves(view: View, zeros: bool = True) -> Iterator[Curve]:
    """The measured CDFs of a figure, from its cells with histograms; `zeros`: zeros count."""
    for cell in view.page.cells():
        number = view.numbers[cell.place]
        if cell.metric != "pooled" or number.ours is None:
            continue
        edges = np.array(view.measured.metrics[cell.runs[0].run]["edges"])
        kept = np.ones(len(edges) + 1)
        kept[np.searchsorted(edges, 0.0, side="right")] = zeros
        ours = 100 * cdf(number.ours * kept)[:-1]
        drawn = 100 * cdf(view.replicas[cell.place] * kept)[:, :-1]
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
        # The part below 0 is drawn only if it is not empty.
        shown = (edges > 0) | (ours > 0) if zeros else edges > 0
        yield Curve(cell, *(values[shown] for values in (edges, ours, low, high)))


def draw_curve(axis: plt.Axes, curve: Curve, colours: dict, k_train: int) -> None:
    k = int(curve.cell.row)
    label = style.resolution(curve.cell) + (" = k_train" if k == k_train else "")
    axis.plot(curve.x, curve.ours, color=colours[k], lw=1.5, label=label)
    zeros = curve.ours[np.searchsorted(curve.x, 0, side="right")]
    axis.plot(0, zeros, "o", color=colours[k], ms=4, clip_on=False, zorder=3)
    axis.fill_between(curve.x, curve.low, curve.high, color=colours[k], alpha=0.2, lw=0)


def draw_papers(axis: plt.Axes, view: View, colours: dict) -> None:
    """What the paper prints of these curves (§3.2)."""
    found = bounds(view)
    bound = float(np.mean(found)) if found else None
    shown = False
    for cell in view.page.cells():
        at = {"zeros": 0.0, "above": bound}.get(cell.metric)
        if at is None or cell.paper is None:
            continue
        share = cell.paper if cell.metric == "zeros" else 100 - cell.paper
        colour, label = colours.get(int(cell.row), style.GREY), "" if shown else "the paper's"
        diamond = {"mec": colour, "mfc": "white", "ms": 5, "clip_on": False, "zorder": 4}
        axis.plot([at], [share], "D", ls="", label=label, **diamond)
        shown = True
    if bound is not None:
        axis.axvline(bound, color=style.GREY, ls=":", lw=1)
        words = f"{bound:.2g}, for the paper's 2 " if bound != 2 else "2 "
        axis.text(bound, 60, words, color=style.GREY, ha="right", fontsize=7)  # above the legend


def bounds(view: View) -> list[float]:
    """The activations that stand for the paper's 2, of each run."""
    return [found["bound"] for found in view.measured.metrics.values() if found["bound"]]


def frame(found: list[Curve]) -> pd.DataFrame:
    """One line for each point of a curve."""
    lines = []
    for cell, x, *numbers in found:
        about = {"panel": cell.column, "k_test": cell.row, "paper_k_test": cell.paper_row}
        values = dict(zip(Curve._fields[2:], numbers, strict=True))
        lines.append(pd.DataFrame(about | {"activation": x} | values))
    return pd.concat(lines, ignore_index=True) if lines else pd.DataFrame(columns=["panel"])


def end(curve: Curve) -> float:
    """The activation that all but a few do not exceed."""
    return float(curve.x[min(np.searchsorted(curve.ours, 100 * SHOWN), len(curve.x) - 1)])
