"""Figure 1: one image with the RoCs of train DA and test DA on it, and the crops next to it."""

import math
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from fixres.graph.pages import Figure
from fixres.jobs import REMAKE, JobError, record_inputs
from fixres.pages.figures import style
from fixres.pages.view import View

COLOURS = dict(zip(("train", "test"), style.PAIR, strict=True))
DA = {"train": "train DA: a random region", "test": "test DA: the centre"}
COLUMNS = ["k_train", "k_test", "scale_train", "scale_test", "object_train", "object_test"]
COLUMNS += ["ratio", "mean_ratio"]
TITLES = (
    "as usual: train and test at {0} px",
    "a smaller k_train: {0} px",
    "a larger k_test: {1} px",
)
ACROSS = 1.55  # from the middle of a column to the next one's, in sides of the largest crop


class Crop(NamedTuple):
    """One crop of the sheet."""

    when: str  # train or test
    k: int
    pixels: np.ndarray  # (k, k, 3)
    scale: float  # pixels of the crop for each pixel of the image (eq. 1)
    object_size: float  # in the crop, pixels; NaN where unknown


def draw(view: View) -> tuple[plt.Figure, pd.DataFrame]:
    """Draw the crops that a job has cut, and what many images come to."""
    page = view.page
    found = read(view.results / page.files["crops"])
    shown = crops(found, page)
    ratios = [cell for cell in page.cells() if cell.metric == "ratio"]
    of_many = {cell.row: view.numbers[cell.place].ours for cell in ratios}
    means = [of_many[f"{train.k} {test.k}"] for train, test in shown]
    lines = [
        [a.k, b.k, a.scale, b.scale, a.object_size, b.object_size, b.scale / a.scale, mean]
        for (a, b), mean in zip(shown, means, strict=True)
    ]
    return sheet(found, means, page), pd.DataFrame(lines, columns=COLUMNS)


def read(file: Path) -> dict[str, np.ndarray]:
    """The file of the job `crops`. Raises JobError where it is missing or damaged."""
    record_inputs(file)
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # any exception: it depends on the byte that is broken
        raise JobError(f"{file}: cannot be read ({error}). {REMAKE}") from None


def crops(found: dict[str, np.ndarray], page: Figure) -> list[tuple[Crop, Crop]]:
    """The crops of each column of the sheet: at train time, at test time."""

    def crop(when: str, k: int) -> Crop:
        scale = float(found[f"{when} {k} scale"])
        return Crop(when, k, found[f"{when} {k}"], scale, float(found["object_size"]) * scale)

    return [(crop("train", a), crop("test", b)) for a, b in page.settings["shown"]]


def sheet(found: dict[str, np.ndarray], means: list[float], page: Figure) -> plt.Figure:
    """The image on the left, then a column for each pair of resolutions, train above test.

    All crops share one coordinate system, whose unit is a pixel of a crop. So what looks larger
    here is larger for the network. `found` is the file of the job `crops`; `means` has, for each
    column, the mean of r_test/r_train over many images.
    """
    shown = crops(found, page)
    figure = plt.figure(figsize=(10.5, 5.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 2.2])
    _draw_image(left, found)
    highest = [max(row, key=lambda c: c.k).k for row in zip(*shown, strict=True)]
    side = max(highest)
    bottoms = (highest[0], highest[0] + 0.4 * side + highest[1])  # of train, of test
    for column, (pair, mean) in enumerate(zip(shown, means, strict=True)):
        middle = side * (0.5 + ACROSS * column)
        for one, bottom in zip(pair, bottoms, strict=True):
            _draw_crop(right, one, side, middle, bottom)
        title = TITLES[column].format(pair[0].k, pair[1].k)
        _write(right, middle, -0.08 * side, title, va="bottom", fontsize=9)
        said = f"at test time {pair[1].scale / pair[0].scale:.2f} × as large"
        below = bottoms[1] + 0.32 * side
        _write(right, middle, below, said, fontsize=9, fontweight="bold")
        _write(right, middle, below + 0.12 * side, f"(mean of all images: {mean:.2f})")
    across, down = 1 + ACROSS * (len(shown) - 1), bottoms[1] + 0.52 * side
    right.set(xlim=(-0.25 * side, (across + 0.25) * side), ylim=(down, -0.2 * side))
    right.set_aspect("equal")
    right.set_axis_off()
    style.headline(figure, page, "all crops are drawn at one scale; bars: the object's size")
    return figure


def _write(axis: plt.Axes, x: float, y: float, text: str, **options: object) -> None:
    axis.text(x, y, text, **{"ha": "center", "va": "top", "fontsize": 8} | options)


def _draw_image(axis: plt.Axes, found: dict[str, np.ndarray]) -> None:
    """The input image with both RoCs."""
    image = found["image"]
    height, width = image.shape[:2]
    axis.imshow(image, extent=(0, width, height, 0), interpolation="nearest")
    for when, name in DA.items():
        x0, y0, x1, y1 = found[f"{when}_box"]
        _frame(axis, when, (x0, y0, x1 - x0, y1 - y0), name)
    if "object_box" in found:
        x0, y0, x1, y1 = found["object_box"]
        box = Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, lw=1.2, edgecolor="white")
        edge = withStroke(linewidth=2.4, foreground="black")  # seen on light and on dark
        box.set(label="the object's box", path_effects=[edge])
        axis.add_patch(box)
    axis.set_axis_off()
    r = float(found["object_size"])
    known = f", object: {r:.0f} px" if math.isfinite(r) else ""
    axis.set_title(f"the image: {width} × {height} px{known}")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.01), handlelength=2.5)


def _frame(axis: plt.Axes, when: str, box: tuple[float, float, float, float], name="") -> None:
    """A frame in the colour of train DA or test DA; dashes tell them apart without colour.

    box : x, y, width and height.
    """
    x, y, *sides = box
    frame = Rectangle((x, y), *sides, fill=False, lw=2.5, edgecolor=COLOURS[when])
    frame.set(linestyle="-" if when == "train" else "--", clip_on=False, label=name)
    axis.add_patch(frame)


def _draw_crop(axis: plt.Axes, one: Crop, side: int, middle: float, bottom: float) -> None:
    """A crop, with its lower edge at `bottom`; below it a bar and the object's size."""
    x0 = middle - one.k / 2
    extent = (x0, x0 + one.k, bottom, bottom - one.k)
    axis.imshow(one.pixels, extent=extent, interpolation="nearest")
    _frame(axis, one.when, (x0, bottom - one.k, one.k, one.k))
    what = f"objects × {one.scale:.2f}"
    if math.isfinite(one.object_size):
        what = f"object: {one.object_size:.1f} px"
        half, y = one.object_size / 2, bottom + 0.07 * side
        axis.plot([middle - half, middle + half], [y, y], "|-", color="black", lw=2.5)
    _write(axis, middle, bottom + 0.13 * side, f"k_{one.when} {one.k} px, {what}")
