"""Figure 6: the measured CDFs without zeros, the fitted Fréchet distributions, and their gaps."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from fixres.graph.pages import Cell
from fixres.models import distributions
from fixres.pages.figures import pooled_activations, style
from fixres.pages.figures.pooled_activations import Curve
from fixres.pages.view import View

FITS = {"fit": ("mu", "sigma"), "free_fit": ("free_mu", "free_sigma", "free_xi")}
GAPS = ("gap", "free_gap")


def draw(view: View) -> tuple[plt.Figure, pd.DataFrame]:
    """Left: the curves. Right: the measured curve minus the fitted curve."""
    found = list(pooled_activations.curves(view, zeros=False))
    figure, (left, right) = style.panels(2)
    colours = style.colours(int(curve.cell.row) for curve in found)
    lines = []
    for curve in found:
        laws = fitted(curve, view)
        of_row = numbers_of_row(view, curve.cell)
        lines.append(pooled_activations.frame([curve]).assign(**laws, **of_row))
        k, gap = int(curve.cell.row), of_row["gap"]
        label = f"{style.resolution(curve.cell)}: {gap:.1f} (ξ free: {of_row['free_gap']:.1f})"
        left.plot(curve.x, curve.ours, color=colours[k], lw=2, label=style.resolution(curve.cell))
        left.plot(curve.x, laws["fit"], "--", color=colours[k], lw=1.2)
        right.plot(curve.x, curve.ours - laws["fit"], color=colours[k], lw=1.5, label=label)
    left.plot([], [], "--", color=style.GREY, lw=1.2, label="fitted, ξ = 0.3")
    left.set(title="measured and fitted", ylabel="activations up to this value (%)", ylim=(0, 101))
    right.set(title="measured less fitted, ξ = 0.3", ylabel="points")
    right.axhline(0, color=style.GREY, lw=0.8)
    end = max((pooled_activations.end(curve) for curve in found), default=1)
    for axis in (left, right):
        axis.set(xlim=(0, end), xlabel="activation after the average pooling, other than 0")
    left.legend(title=style.resolution_title(view.page), loc="lower right")
    low, high = right.get_ylim()
    right.set_ylim(low, high + 0.5 * (high - low))  # room for the legend
    right.legend(title=f"{style.resolution_title(view.page)}: largest gap", loc="upper right")
    style.headline(figure, view.page)
    return figure, pd.concat(lines, ignore_index=True) if lines else pd.DataFrame()


def fitted(curve: Curve, view: View) -> dict[str, np.ndarray]:
    """The fitted CDFs at the points of a curve, in per cent; mean over the seeds."""
    k, metrics = str(curve.cell.k_test), view.measured.metrics
    found = [metrics[one.run]["k_test"][k] for one in curve.cell.runs]
    laws = {}
    for name, law in FITS.items():
        cdfs = [distributions.frechet(curve.x, *(one[part] for part in law)) for one in found]
        laws[name] = 100 * np.mean(cdfs, axis=0)
    return laws


def numbers_of_row(view: View, cell: Cell) -> dict[str, float | None]:
    """The parameters of the fits at a k_test, and their largest gaps."""
    wanted = {part for law in FITS.values() for part in law} | set(GAPS)
    of_row = [c for c in view.page.cells() if c.paper_row == cell.paper_row and c.metric in wanted]
    return {other.metric: view.numbers[other.place].ours for other in of_row}
