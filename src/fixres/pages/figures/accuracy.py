"""Figures 5 and 8: top-1 against the test resolution, a line for each train resolution."""

import matplotlib.pyplot as plt
import pandas as pd

from fixres.graph.pages import Page
from fixres.pages import layout
from fixres.pages.figures import style
from fixres.pages.view import View

ADAPTED = " adapted"
PANELS = {False: "without adaptation", True: "after adaptation"}


def draw(view: View) -> tuple[plt.Figure, pd.DataFrame]:
    """Draw the cells of the figure, which come from a table."""
    numbers = view.frame()
    return accuracy_over_resolution(numbers, view.page), numbers


def accuracy_over_resolution(numbers: pd.DataFrame, page: Page) -> plt.Figure:
    """A panel without adaptation, and a panel with adaptation if the table has such columns.

    Our numbers are above, with their 95% intervals as bands. The paper's are below, in separate
    panels, because accuracies at another scale have another level, and the shapes are compared. A
    ring marks k_test = k_train. The paper's resolutions are drawn at the positions of the
    resolutions of ours that stand for them.
    """
    adapted = numbers["column"].str.endswith(ADAPTED)
    k_train = numbers["column"].str.removesuffix(ADAPTED).astype(int)
    numbers = numbers.assign(adapted=adapted, k_train=k_train, row=numbers["row"].astype(int))
    shown = [p for p in PANELS if (numbers["adapted"] == p).any()]
    printed = numbers["paper"].notna().any()
    figure, axes = style.rows(1 + printed, len(shown))
    colours = style.colours(numbers["k_train"])
    for panel, *column in zip(shown, *axes, strict=True):
        lines = numbers[numbers["adapted"] == panel]
        for axis, whose in zip(column, ("ours", "paper")[: len(column)], strict=True):
            _draw_lines(axis, lines, whose, colours)
        if len(shown) > 1:
            column[0].set_title(PANELS[panel])
        _name_resolutions(column, numbers)
    for row, whose in zip(axes, ("ours", "the paper"), strict=False):
        row[0].set_ylabel(f"{whose}: top-1 accuracy (%)")
    handles, names = axes[0][0].get_legend_handles_labels()
    theirs = numbers["paper_column"].str.removesuffix(ADAPTED)
    papers = dict(zip(k_train.astype(str), theirs, strict=True))
    names = [layout.label((name, papers[name])) for name in names]
    title = "k_train" if all(map(str.isdigit, names)) else "k_train (the paper's)"
    figure.legend(handles, names, title=title, loc="outside right center")
    style.headline(figure, page, "bands: 95% intervals; rings: k_test = k_train")
    return figure


def _draw_lines(axis: plt.Axes, numbers: pd.DataFrame, whose: str, colours: dict) -> None:
    """The accuracies of ours, or the paper's: a line for each train resolution."""
    for k_train, line in numbers.groupby("k_train"):
        line, colour = line[line[whose].notna()].sort_values("row"), colours[k_train]
        axis.plot(line["row"], line[whose], "-o", color=colour, ms=3, lw=1.5, label=f"{k_train}")
        if whose == "ours" and line["low"].notna().all():
            axis.fill_between(line["row"], line["low"], line["high"], color=colour, alpha=0.2, lw=0)
        native = line[line["row"] == k_train]
        axis.plot(native["row"], native[whose], "o", color=colour, ms=9, mfc="none")


def _name_resolutions(column: list[plt.Axes], numbers: pd.DataFrame) -> None:
    """The test resolutions of the upper panel, ours, and of the lower one, the paper's."""
    stands_for = dict(zip(numbers["row"], numbers["paper_row"], strict=True))
    places = sorted(stands_for)
    names = [places, [stands_for[place] for place in places]]
    for axis, labels in zip(column, names, strict=False):
        axis.set_xticks(places, [str(label) for label in labels])
        axis.tick_params(axis="x", labelsize=7)
        axis.set_xlabel("k_test (pixels)")
