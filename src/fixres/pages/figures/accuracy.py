"""Figures 5 and 8: top-1 against the test resolution, a line for each train resolution."""

import matplotlib.pyplot as plt
import pandas as pd

from fixres.graph.pages import Page
from fixres.pages.figures import style
from fixres.pages.view import View

ADAPTED = " adapted"
PANELS = {False: "without adaptation", True: "after adaptation"}


def draw(view: View) -> tuple[plt.Figure, pd.DataFrame]:
    """Draw the cells of the figure, which are those of a table."""
    numbers = view.frame()
    return accuracy_over_resolution(numbers, view.page), numbers


def accuracy_over_resolution(numbers: pd.DataFrame, page: Page) -> plt.Figure:
    """A panel without adaptation, and one after it where the table has such columns.

    Solid lines are ours, with their 95% intervals as bands; dotted ones the paper's. A ring marks
    k_test = k_train. Where our resolutions stand for others of the paper, the upper axis shows the
    paper's.
    """
    adapted = numbers["column"].str.endswith(ADAPTED)
    k_train = numbers["column"].str.removesuffix(ADAPTED).astype(int)
    numbers = numbers.assign(adapted=adapted, k_train=k_train, row=numbers["row"].astype(int))
    shown = [p for p in PANELS if (numbers["adapted"] == p).any()]
    figure, axes = style.panels(len(shown), sharey=True)
    colours = style.colours(numbers["k_train"])
    stands_for = dict(zip(numbers["row"], numbers["paper_row"].astype(int), strict=True))
    for axis, panel in zip(axes, shown, strict=True):
        _draw_lines(axis, numbers[numbers["adapted"] == panel], colours)
        axis.set(xlabel="k_test (pixels)", xticks=sorted(stands_for))
        if len(shown) > 1:
            axis.set_title(PANELS[panel])
        axis.tick_params(axis="x", labelsize=7)
        style.papers_axis(axis, stands_for)
    axes[0].set_ylabel("top-1 accuracy (%)")
    lines = axes[0].get_legend_handles_labels()
    figure.legend(*lines, title="k_train", loc="outside right center")
    reading = "bands: 95% intervals; rings: k_test = k_train; dotted: the paper's"
    style.headline(figure, page, reading)
    return figure


def _draw_lines(axis: plt.Axes, numbers: pd.DataFrame, colours: dict) -> None:
    for k_train, line in numbers.groupby("k_train"):
        line, colour = line.sort_values("row"), colours[k_train]
        axis.plot(line["row"], line["ours"], "-o", color=colour, ms=3, lw=1.5, label=f"{k_train}")
        if line["low"].notna().all():
            axis.fill_between(line["row"], line["low"], line["high"], color=colour, alpha=0.2, lw=0)
        axis.plot(line["row"], line["paper"], ":", color=colour, lw=1, alpha=0.8)
        native = line[line["row"] == k_train]
        axis.plot(native["row"], native["ours"], "o", color=colour, ms=9, mfc="none")
