"""Figure 2: histograms of the area of the RoC over the area of the image."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from fixres.graph.pages import Page
from fixres.pages.figures import style
from fixres.pages.view import View

NAMES = {"train DA": "at train time (train DA)", "test DA": "at test time (test DA)"}


def draw(view: View) -> tuple[plt.Figure, pd.DataFrame]:
    """Draw the histograms, and the mean areas."""
    found = {cell.column: view.numbers[cell.place].ours for cell in view.page.cells()}
    shares = {name: np.asarray(found[name]) for name in NAMES}
    edges = np.linspace(0, 1, len(shares["train DA"]) + 1)
    table = pd.DataFrame({"area_from": edges[:-1], "area_to": edges[1:], **shares})
    means = {name: found[f"{name} mean"] for name in NAMES}
    return histograms(shares, means, edges, view.page), table


def histograms(
    shares: dict[str, np.ndarray], means: dict[str, float], edges: np.ndarray, page: Page
) -> plt.Figure:
    """Two panels with one axis: the areas at train time are many, those at test time are few.

    The peaks at test time would hide the flat histogram at train time in one panel.
    """
    figure, axes = style.panels(2, height=3.4, sharex=True)
    for axis, (name, values), colour in zip(axes, shares.items(), style.PAIR, strict=True):
        axis.stairs(100 * values, edges, fill=True, color=colour, alpha=0.75)
        axis.axvline(means[name], color="black", lw=1, ls="--")
        axis.annotate(
            f"mean {means[name]:.2f}",
            (means[name], 0.98),
            xycoords=("data", "axes fraction"),
            xytext=(-5, 0),
            textcoords="offset points",
            ha="right",
            va="top",
        )
        axis.set(title=NAMES[name], xlim=(0, 1), ylim=(0, 118 * values.max()))
        axis.set_xlabel("area of the RoC / area of the image")
        axis.set_ylabel(f"share of the crops (%), in steps of {edges[1]:g}")
    style.headline(figure, page)
    return figure
