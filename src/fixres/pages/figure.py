"""Figures, from the same cells as the tables.

    python -m fixres figure --config results/pages/figure5/config.json --results results \\
        --out results/figure5.svg

The PNG is written beside the SVG. The same numbers give the same bytes.
"""

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
import pandas as pd

from fixres import jobs
from fixres.pages.command import page_parser
from fixres.pages.numbers import collect, frame, read, resampled

ADAPTED = " adapted"
PANELS = {False: "without adaptation", True: "after adaptation"}
STYLE = {
    "svg.hashsalt": "fixres",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
}
# No date and no version in the files: the same numbers give the same bytes.
METADATA = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}


def main(arguments: list[str]) -> None:
    args = page_parser("figure", __doc__).parse_args(arguments)
    config = jobs.read_config(args.config, "figure", args.ancestry_digest)
    measured = read(config, args.results)
    numbers = frame(config, collect(config, measured, resampled(config, measured)))
    mpl.rcParams.update(STYLE)
    figure = accuracy_over_resolution(numbers, config)
    for suffix, metadata in METADATA.items():
        with jobs.atomic(args.out.with_suffix(suffix)) as temporary:
            figure.savefig(temporary, metadata=metadata, dpi=160)


def accuracy_over_resolution(numbers: pd.DataFrame, config: dict) -> plt.Figure:
    """Figure 5: top-1 against the test resolution, a line for each train resolution.

    Solid lines are ours, with their 95% intervals as bands; dotted ones the paper's. A ring marks
    k_test = k_train. Where our resolutions stand for others of the paper, the upper axis shows the
    paper's.
    """
    adapted = numbers["column"].str.endswith(ADAPTED)
    k_train = numbers["column"].str.removesuffix(ADAPTED).astype(int)
    numbers = numbers.assign(adapted=adapted, k_train=k_train, row=numbers["row"].astype(int))
    panels = [p for p in PANELS if (numbers["adapted"] == p).any()]
    palette = mpl.colormaps["viridis"].resampled(6).colors
    colours = dict(zip(sorted(numbers["k_train"].unique()), palette, strict=False))
    size = (4.9 * len(panels), 4.0)
    figure, axes = plt.subplots(
        1, len(panels), figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for axis, panel in zip(axes[0], panels, strict=True):
        _draw_lines(axis, numbers[numbers["adapted"] == panel], colours)
        ticks = sorted(numbers["row"].unique())
        axis.set(xlabel="k_test (pixels)", title=PANELS[panel], xticks=ticks)
        axis.tick_params(axis="x", labelsize=7)
        axis.grid(alpha=0.25)
        _add_papers_axis(axis, config)
    axes[0][0].set_ylabel("top-1 accuracy (%)")
    lines = axes[0][0].get_legend_handles_labels()
    figure.legend(*lines, title="k_train", fontsize=8, frameon=False, loc="outside right center")
    ours, theirs = config["subject"]
    about = f"{config['scale']} scale: {ours}; bands: 95% intervals; dotted: the paper's, {theirs}"
    figure.suptitle(f"{config['caption']}\n{about}", fontsize=8)
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


def _add_papers_axis(axis: plt.Axes, config: dict) -> None:
    """An upper axis with the resolutions of the paper, where ours are others."""
    keys = [row["key"] for block in config["blocks"] for row in block["rows"]]
    stands_for = {int(ours): int(paper) for ours, paper in keys}
    if all(ours == paper for ours, paper in stands_for.items()):
        return
    upper = axis.secondary_xaxis("top")
    upper.set_xticks(sorted(stands_for), [str(stands_for[k]) for k in sorted(stands_for)])
    upper.tick_params(labelsize=7, colors="0.4")
    upper.set_xlabel("the paper's resolution", color="0.4")
