"""Learning curves: training loss over the epochs, and the learning rate below it.

A thin line is the loss of a row of a training's log.csv. A thick line is the mean of half an epoch,
over the seeds.
"""

import matplotlib.pyplot as plt
import pandas as pd

from fixres.artifacts import log_csv
from fixres.graph.pages import failed
from fixres.pages.figures import style
from fixres.pages.view import View

STEPS = 10  # a schedule of at most so many rates is one of steps
COLUMNS = ["k_train", "paper_k_train", "run", "step", "epoch", "rate", "loss"]


def draw(view: View) -> tuple[plt.Figure, pd.DataFrame]:
    """Draw the logs of the trainings. Speeds are left out: they differ from run to run."""
    logs = read(view)
    shape = {"figsize": (7.2, 5.2), "height_ratios": [3, 1]}
    figure, (above, below) = plt.subplots(2, 1, sharex=True, layout="constrained", **shape)
    colours = style.colours(logs["k_train"])
    for k_train, of_size in logs.groupby("k_train"):
        paper = of_size["paper_k_train"].iloc[0]
        label = f"{k_train}" if paper == k_train else f"{k_train} ({paper})"
        for _, one in of_size.groupby("run"):
            above.plot(one["epoch"], one["loss"], color=colours[k_train], lw=0.5, alpha=0.35)
        mean = smooth(of_size)
        above.plot(mean["epoch"], mean["loss"], color=colours[k_train], lw=1.6, label=label)
    for _, one in logs.groupby("run"):  # mostly the same for all: one line hides the others
        below.plot(one["epoch"], one["rate"], color=style.GREY, lw=1.2)
    above.set(ylabel="training loss (nats)", ylim=(0, None))
    below.set(xlabel="epochs", ylabel="learning rate")
    if logs["rate"].nunique() <= STEPS:  # of a step schedule the late steps are tiny
        below.set_yscale("log")
    else:
        below.set_ylim(bottom=0)
    title = "k_train" if (logs["k_train"] == logs["paper_k_train"]).all() else "k_train (paper's)"
    lines = above.get_legend_handles_labels()
    figure.legend(*lines, title=title, loc="outside right center")
    several = logs["run"].nunique() > logs["k_train"].nunique()
    reading = "thin: every row of the log; thick: mean over half an epoch"
    style.headline(figure, view.page, reading + " and over the seeds" * several)
    return figure, logs


def read(view: View) -> pd.DataFrame:
    """The logs of all trainings that did not fail, one below the other; columns: `COLUMNS`."""
    page, logs = view.page, []
    for run, file in page.files.items():
        if failed(page.may_have_failed.get(run, {}), view.results):
            continue
        about = page.settings["trainings"][run]
        rows = log_csv.read(view.results / file)
        rows = rows.assign(run=run, k_train=about["k_train"], paper_k_train=about["papers"])
        logs.append(rows[COLUMNS])
    return pd.concat(logs) if logs else pd.DataFrame(columns=COLUMNS)


def smooth(logs: pd.DataFrame) -> pd.DataFrame:
    """The mean loss of each half epoch, over all runs; `epoch` is the mean of its rows."""
    half = (2 * logs["epoch"]).apply(lambda epochs: -(-epochs // 1))
    return logs.groupby(half)[["epoch", "loss"]].mean()
