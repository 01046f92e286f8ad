"""Figure 1: one image with the RoCs of train DA and test DA on it, and the crops beside it."""

import math
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from fixres.jobs import JobError
from fixres.pages.figures import style
from fixres.pages.numbers import Measured, cells, collect, place, resampled

COLOURS = dict(zip(("train", "test"), style.PAIR, strict=True))
DA = {"train": "train DA: a random region", "test": "test DA: the centre"}
TITLES = (
    "as usual",
    "a smaller k_train",
    "a larger k_test",
)
ROOM = 0.42  # below a crop, for its texts, as a share of the largest crop


class Crop(NamedTuple):
    """One crop of the sheet."""

    when: str  # train or test
    k: int
    pixels: np.ndarray  # (k, k, 3)
    scale: float  # pixels of the crop for each pixel of the image (eq. 1)
    object_size: float  # in the crop, pixels; NaN where unknown


def draw(config: dict, measured: Measured, results: Path) -> tuple[plt.Figure, pd.DataFrame]:
    """Draw the crops that a job has cut, and what many images come to."""
    file = results / config["files"]["crops"]
    found = read(file)
    shown = [
        (crop(found, "train", a), crop(found, "test", b)) for a, b in config["settings"]["shown"]
    ]
    numbers = collect(config, measured, resampled(config, measured))
    of_many = {
        cell["row"]: numbers[place(cell)].ours
        for cell in cells(config)
        if cell["metric"] == "ratio"
    }
    means = [of_many[f"{train.k} {test.k}"] for train, test in shown]
    table = pd.DataFrame(
        [
            {
                "k_train": train.k,
                "k_test": test.k,
                "scale_train": train.scale,
                "scale_test": test.scale,
                "object_train": train.object_size,
                "object_test": test.object_size,
                "ratio": test.scale / train.scale,
                "mean_ratio": mean,
            }
            for (train, test), mean in zip(shown, means, strict=True)
        ]
    )
    return sheet(found, shown, means, config), table


def read(file: Path) -> dict[str, np.ndarray]:
    """The file of the job `crops`. Raises JobError where it is missing or damaged."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # any exception: it depends on the byte that is broken
        raise JobError(
            f"{file}: cannot be read ({error}); delete it and let Snakemake make it again"
        ) from None


def crop(found: dict[str, np.ndarray], when: str, k: int) -> Crop:
    """One of the crops of the file."""
    scale = float(found[f"{when} {k} scale"])
    return Crop(when, k, found[f"{when} {k}"], scale, float(found["object_size"]) * scale)


def sheet(
    found: dict[str, np.ndarray],
    shown: list[tuple[Crop, Crop]],
    means: list[float],
    config: dict,
) -> plt.Figure:
    """The image on the left; then a column for each pair of resolutions, train above test.

    All crops have one scale, so that what looks larger here is larger for the network.
    """
    figure = plt.figure(figsize=(10.5, 6.2), layout="constrained")
    grid = figure.add_gridspec(2, 4, width_ratios=[1.35, 1, 1, 1])
    _draw_image(figure.add_subplot(grid[:, 0]), found)
    side = max(c.k for pair in shown for c in pair)
    for column, (pair, mean) in enumerate(zip(shown, means, strict=True), 1):
        for row, one in enumerate(pair):
            axis = figure.add_subplot(grid[row, column])
            _draw_crop(axis, one, side)
            if row == 0:
                axis.set_title(TITLES[column - 1])
            else:
                ratio = pair[1].scale / pair[0].scale
                said = f"test / train: {ratio:.2f}\nmean of all images: {mean:.2f}"
                axis.text(side / 2, side * (1 + ROOM), said, ha="center", va="top", fontsize=8)
    style.headline(figure, config, "all crops at one scale; bars: the object's size")
    return figure


def _draw_image(axis: plt.Axes, found: dict[str, np.ndarray]) -> None:
    """The input image with both RoCs."""
    image = found["image"]
    axis.imshow(image, interpolation="nearest")
    for when, name in DA.items():
        x0, y0, x1, y1 = found[f"{when}_box"]
        frame = Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, lw=2.5)
        frame.set(edgecolor=COLOURS[when], linestyle="-" if when == "train" else "--", label=name)
        axis.add_patch(frame)
    axis.set_axis_off()
    size = f"{image.shape[1]} × {image.shape[0]} px"
    r = float(found["object_size"])
    known = f"; object: {r:.0f} px" if math.isfinite(r) else ""
    axis.set_title(f"an image ({size}{known})")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), handlelength=2.5)


def _draw_crop(axis: plt.Axes, one: Crop, side: int) -> None:
    """A crop, in a field that is as wide as the largest one; below it a bar and its size."""
    left, top = (side - one.k) / 2, side - one.k
    axis.imshow(one.pixels, extent=(left, left + one.k, side, top), interpolation="nearest")
    frame = Rectangle((left, top), one.k, one.k, fill=False, lw=2.5, edgecolor=COLOURS[one.when])
    frame.set_linestyle("-" if one.when == "train" else "--")
    axis.add_patch(frame)
    what = f"objects × {one.scale:.2f}"
    if math.isfinite(one.object_size):
        what = f"object: {one.object_size:.1f} px"
        ends = side / 2 - one.object_size / 2, side / 2 + one.object_size / 2
        axis.plot(ends, [side * 1.07] * 2, "|-", color="black", lw=2.5, ms=8, mew=2)
    said = f"k_{one.when} {one.k} px, {what}"
    axis.text(side / 2, side * 1.15, said, ha="center", va="top", fontsize=8)
    axis.set(
        xlim=(-0.02 * side, 1.02 * side), ylim=(side * (1.3 if one.when == "train" else 1.75), -1)
    )
    axis.set_aspect("equal")
    axis.set_axis_off()
