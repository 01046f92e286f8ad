"""Figure 7: top-1 of one network against the test resolution, pixel by pixel."""

import matplotlib.pyplot as plt
import pandas as pd

from fixres.pages.figures import style
from fixres.pages.view import View


def draw(view: View) -> tuple[plt.Figure, pd.DataFrame]:
    """One line. Vertical lines mark the multiples of the network's stride.

    Just above such a line, the network's last map has one more row and one more column. The paper's
    numbers are drawn only if they are in the range of ours, because a larger range would flatten
    the drops.
    """
    settings, numbers = view.page.settings, view.frame()
    line = numbers.assign(column=numbers["column"].astype(int)).sort_values("column")
    stride, k_test = settings["stride"], line["column"]
    figure, [axis] = style.panels(1, width=8.4)
    multiples = [k for k in range(k_test.min(), k_test.max() + 1) if k % stride == 0]
    for k in multiples:
        axis.axvline(k, color=style.GREY, lw=0.8, ls="--", alpha=0.6, zorder=0)
    colour = style.PAIR[0]
    if line["low"].notna().all():
        axis.fill_between(k_test, line["low"], line["high"], color=colour, alpha=0.18, lw=0)
    axis.plot(k_test, line["ours"], "-", color=colour, lw=1.2, marker=".", ms=4, label="ours")
    at = line[k_test.isin(multiples)]
    axis.plot(at["column"], at["ours"], "o", color=colour, ms=6, label=f"multiples of {stride}")
    native = line[k_test == settings["k_train"]]
    axis.plot(native["column"], native["ours"], "o", color=colour, ms=11, mfc="none")
    printed = line[line["paper"].notna()]
    if printed["paper"].between(line["ours"].min(), line["ours"].max()).any():
        paper = "the paper's (§3.3)"
        axis.plot(printed["column"], printed["paper"], "s:", color=style.PAIR[1], ms=4, label=paper)
    axis.set(xlabel="k_test (pixels)", ylabel="top-1 accuracy (%)", xticks=multiples)
    style.papers_axis(axis, {k: settings["papers"][str(k)] for k in multiples})
    axis.grid(axis="x", visible=False)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside right center")
    reading = f"dashed: multiples of the network's stride, {stride}; ring: k_test = k_train; "
    reading += "band: 95% intervals"
    style.headline(figure, view.page, reading)
    return figure, numbers
