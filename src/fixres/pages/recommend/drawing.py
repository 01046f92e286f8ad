"""The figure of the answer: accuracy over resolution, and accuracy over time."""

import matplotlib.pyplot as plt
import pandas as pd

from fixres.artifacts.choice import Choice
from fixres.graph.pages import Answer
from fixres.pages.figures import style

# Okabe and Ito's colours and a marker each: told apart in grey, too.
LOOKS = {
    "as it is": ("0.35", "o"),
    "statistics": ("#009E73", "^"),
    "classifier": ("#0072B2", "s"),
    "classifier + norm": ("#D55E00", "D"),
}


def draw(choice: Choice, points: pd.DataFrame, page: Answer) -> plt.Figure:
    """Two panels: a line for each method, with the crop_pct that is most accurate at each k_test.

    Full markers are not told apart from the best. The star is the recommendation, the ring the
    usual way to test. In the right panel the grey steps are the Pareto front: nothing that is as
    fast is more accurate. Where the rounds of the times disagree, there is no right panel.
    """
    figure, [over_k, *timed] = style.panels(1 if choice.disagree else 2, sharey=True)
    points = points.assign(ms=1000 / points["images_per_second"])
    methods = [method for method in LOOKS if method in page.runs]
    best = choice.best_crop_pct
    lines = {m: points.loc[[(m, k, best[m][k]) for k in sorted(best[m])]] for m in methods}
    for method, line in lines.items():
        colour, marker = LOOKS[method]
        look = {"color": colour, "marker": marker, "ms": 4, "lw": 1.4, "label": method}
        look |= {"mfc": "white"}
        full, equals = (
            {"color": colour, "marker": marker, "ms": 4, "ls": ""},
            line["not_told_apart"],
        )
        over_k.plot(line["k_test"], line["top1"], **look)
        over_k.plot(line["k_test"][equals], line["top1"][equals], **full)
        band = {"color": colour, "alpha": 0.15, "lw": 0}
        over_k.fill_between(line["k_test"], line["low"], line["high"], **band)
        for over_time in timed:
            over_time.plot(line["ms"], line["top1"], **look)
            over_time.plot(line["ms"][equals], line["top1"][equals], **full)
    front = pareto(pd.concat(lines.values()))
    for over_time in timed:
        over_time.step(front["ms"], front["top1"], where="post", color="0.6", lw=3, alpha=0.5)
        over_time.set(xlabel=f"time of an image in batches of {choice.batch} (ms)")
    for at, marker, size in ((choice.usual, "o", 13), (choice.recommended, "*", 15)):
        point = points.loc[at.method, at.k_test, at.crop_pct]
        hollow = {"ls": "", "ms": size, "mfc": "none", "mec": "k", "marker": marker, "zorder": 5}
        over_k.plot(point["k_test"], point["top1"], **hollow)
        for over_time in timed:
            over_time.plot(point["ms"], point["top1"], **hollow)
    among = " among the classes with images" if choice.masked else ""
    over_k.set(xlabel="k_test (pixels)", ylabel=f"top-1 accuracy (%){among}")
    over_k.set_xticks(lines["as it is"]["k_test"])
    over_k.tick_params(axis="x", labelsize=7)
    figure.legend(*over_k.get_legend_handles_labels(), loc="outside right center")
    reading = (
        "bands: 95% intervals; full markers: not told apart from the best\n"
        "ring: as it is used now; star: the recommendation"
    )
    title = page.title.replace("$", r"\$")  # no formula
    figure.suptitle(f"{title} on {page.dataset}\n{reading}", fontsize=8)
    return figure


def pareto(points: pd.DataFrame) -> pd.DataFrame:
    """The points that no other is at least as fast and more accurate than, fastest first."""
    points = points.sort_values(["ms", "top1"], ascending=[True, False])
    return points[points["top1"] > points["top1"].cummax().shift(fill_value=-1.0)]
