"""Figure 2: histograms of the area of the RoC over the area of the image."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from fixres.pages.figures import style
from fixres.pages.view import View

NAMES = {"train DA": "at train time (train DA)", "test DA": "at test time (test DA)"}


def draw(view: View) -> tuple[plt.Figure, pd.DataFrame]:
    """Two panels with one axis: the areas at train time are many, those at test time are few.

    The peaks at test time would hide the flat histogram at train time in one panel.
    """
    found = {cell.column: view.numbers[cell.place].ours for cell in view.page.cells()}
    shares = {name: np.asarray(found[name]) for name in NAMES}
    edges = np.linspace(0, 1, len(shares["train DA"]) + 1)
    table = pd.DataFrame({"area_from": edges[:-1], "area_to": edges[1:], **shares})
    figure, axes = style.panels(2, height=3.4, sharex=True)
    for axis, (name, values), colour in zip(axes, shares.items(), style.PAIR, strict=True):
        axis.stairs(100 * values, edges, fill=True, color=colour, alpha=0.75)
        mean = found[f"{name} mean"]
        axis.axvline(mean, color="black", lw=1, ls="--")
        where = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        where |= {"xytext": (-5, 0), "ha": "right", "va": "top"}
        axis.annotate(f"mean {mean:.2f}", (mean, 0.98), **where)
        axis.set(title=NAMES[name], xlim=(0, 1), ylim=(0, 118 * values.max()))
        axis.set_xlabel("area of the RoC / area of the image")
        axis.set_ylabel(f"share of the crops (%), in steps of {edges[1]:g}")
    style.headline(figure, view.page)
    return figure, table
