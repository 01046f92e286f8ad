"""Figures, from the same cells as the table.

    python -m fixres figure --config results/pages/figure5/config.json --results results --out results/figure5.svg

Writes the SVG and, beside it, the PNG. The same numbers give the same bytes.
"""

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
import pandas as pd

from fixres import jobs
from fixres.pages import table

ADAPTED = " adapted"
PANELS = {False: "without adaptation", True: "after adaptation"}


def main(arguments: list[str]) -> None:
    args = table.page_parser("figure", __doc__).parse_args(arguments)
    config = jobs.read_config(args.config, "figure", args.ancestry_digest)
    numbers = table.frame(config, table.collect(config, table.read_metrics(config, args.results)))
    mpl.rcParams.update(
        {"svg.hashsalt": "fixres", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False}
    )
    figure = accuracy_over_resolution(numbers, config)
    for suffix, metadata in (
        (".svg", {"Date": None, "Creator": None}),
        (".png", {"Software": None}),
    ):
        with jobs.atomic(args.out.with_suffix(suffix)) as temporary:
            figure.savefig(temporary, metadata=metadata, dpi=160)


def accuracy_over_resolution(numbers: pd.DataFrame, config: dict) -> plt.Figure:
    """Figure 5: top-1 against the test resolution, a line a train resolution; solid ours, dotted the paper's.

    A ring marks k_test = k_train. Where our resolutions stand for others of the paper, the upper axis shows the paper's.
    """
    adapted = numbers["column"].str.endswith(ADAPTED)
    numbers = numbers.assign(
        adapted=adapted,
        k_train=numbers["column"].str.removesuffix(ADAPTED).astype(int),
        row=numbers["row"].astype(int),
    )
    panels = [p for p in PANELS if (numbers["adapted"] == p).any()]
    colours = dict(
        zip(
            sorted(numbers["k_train"].unique()),
            mpl.colormaps["viridis"].resampled(6).colors,
            strict=False,
        )
    )
    figure, axes = plt.subplots(
        1,
        len(panels),
        figsize=(4.9 * len(panels), 4.0),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    stands_for = {
        int(ours): int(paper)
        for block in config["blocks"]
        for ours, paper in (row["key"] for row in block["rows"])
    }
    for axis, panel in zip(axes[0], panels, strict=True):
        for k_train, line in numbers[numbers["adapted"] == panel].groupby("k_train"):
            line = line.sort_values("row")
            axis.plot(
                line["row"],
                line["ours"],
                "-o",
                color=colours[k_train],
                ms=3,
                lw=1.5,
                label=f"{k_train}",
            )
            axis.plot(line["row"], line["paper"], ":", color=colours[k_train], lw=1, alpha=0.8)
            native = line[line["row"] == k_train]
            axis.plot(native["row"], native["ours"], "o", color=colours[k_train], ms=9, mfc="none")
        axis.set(
            xlabel="k_test (pixels)", title=PANELS[panel], xticks=sorted(numbers["row"].unique())
        )
        axis.tick_params(axis="x", labelsize=7)
        axis.grid(alpha=0.25)
        if any(ours != paper for ours, paper in stands_for.items()):
            upper = axis.secondary_xaxis("top")
            upper.set_xticks(sorted(stands_for), [str(stands_for[k]) for k in sorted(stands_for)])
            upper.tick_params(labelsize=7, colors="0.4")
            upper.set_xlabel("the paper's resolution", color="0.4")
    axes[0][0].set_ylabel("top-1 accuracy (%)")
    figure.legend(
        *axes[0][0].get_legend_handles_labels(),
        title="k_train",
        fontsize=8,
        frameon=False,
        loc="outside right center",
    )
    ours, theirs = config["subject"]
    figure.suptitle(
        f"{config['caption']}\n{config['scale']} scale: {ours}; dotted: the paper's, {theirs}",
        fontsize=8,
    )
    return figure
