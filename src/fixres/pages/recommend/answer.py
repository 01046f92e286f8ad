"""The answer: at which resolution to test a custom network, at what gain and price.

The page comes as Markdown and HTML, its numbers as CSV, its figure as SVG and PNG
(docs/recommend.md).
"""

import pandas as pd

from fixres.artifacts import choice
from fixres.artifacts.choice import Choice, Gain, Setting
from fixres.graph.pages import Answer
from fixres.graph.recommendation import AS_IS, LEAKED, METHODS, TRAINED
from fixres.pages import command, lists
from fixres.pages.figures import style
from fixres.pages.numbers import csv
from fixres.pages.recommend.drawing import draw
from fixres.pages.recommend.rule import TOLERATED

MARK = "≈"  # marks the settings that are not told apart from the best
DONE = {  # what was done to the network, in a sentence
    "as it is": "as it is",
    "statistics": "with the statistics of its last normalisation estimated again there",
    "classifier": "with its classifier fine-tuned there",
    "classifier + norm": "with its classifier and last normalisation fine-tuned there",
}
UNFIXED = (
    "The weights were not changed, because there are no training images. Fixing the network at "
    "another resolution may gain more. To measure that, add training images of the same classes: "
    "{}. If the network was trained on any of these images, all accuracies here are too high."
)
FOUND = {
    "source": "built by",
    "weights": "weights",
    "classifier": "classifier",
    "last_norm": "last normalisation before the pooling",
    "mean": "mean of its input",
    "std": "standard deviation of its input",
    "native": "native resolution (px)",
    "crop_pct": "crop_pct of its usual evaluation",
    "stride": "stride (px)",
    "any_size": "takes crops of any size",
    "outputs": "classes as it comes",
}


def main(arguments: list[str]) -> None:
    page, args = command.read(arguments, "answer", __doc__, Answer)
    chosen = choice.read(args.results / "recommend" / page.network / "choice" / "choice.json")
    points = frame(chosen)

    title = f"{page.title}: at which resolution to test it"
    above = [*answer(chosen), *cautions(chosen, page.to_fix), *about_network(chosen, page)]
    above += [how(chosen, page), *([UNFIXED.format(page.to_fix)] if page.to_fix else [])]
    below = usage(chosen, page)
    tables = [
        accuracy(chosen, points, page),
        ratios(chosen, points, page),
        *among_all(chosen, page),
        found(page),
    ]
    notes = chosen.images.notes

    with style.plt.rc_context(style.RC):
        style.save(draw(chosen, points, page), args.out)
    picture = f"![Accuracy over resolution, and over time]({page.network}.svg)"
    svg = args.out.with_suffix(".svg").read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :]
    texts = {
        ".md": lists.markdown(title, [*above, picture, *below], tables, notes),
        ".html": lists.webpage(title, [*above, *below], tables, figure=svg, notes=notes),
        ".csv": csv(points),
    }
    command.write(args.out, texts)


def frame(chosen: Choice) -> pd.DataFrame:
    """The points, each to be found by its method, k_test and crop_pct, too."""
    points = pd.DataFrame([point.model_dump() for point in chosen.points]).sort_index(axis=1)
    return points.set_index(["method", "k_test", "crop_pct"], drop=False)


# --- sentences -----------------------------------------------------------------------------------


def answer(chosen: Choice) -> list[str]:
    """The recommendation, and what it consists of: a sentence each."""
    best, as_it_is, usual = chosen.recommended, chosen.as_it_is.setting, chosen.usual
    top, found = chosen.most_accurate, chosen.chosen
    said = [recommendation(chosen), not_told_apart(chosen)]
    if top.setting != best:
        adds = f"{gain(top)} points over the recommended setting{price(chosen, top.setting)}"
        said.append(f"The most accurate setting is {described(top.setting)}: {adds}.")
    if as_it_is != best:
        gained = f"{gain(chosen.as_it_is)} points{price(chosen, as_it_is)}"
        otherwise = f"test at {setting(as_it_is)}: {gained}"
        otherwise = "keep the usual setting" if as_it_is == usual else otherwise
        said.append(f"Without a change of weights, {otherwise}.")
    if best.method != AS_IS and best.k_test != usual.k_test:
        said.append(
            f"At {best.k_test} px, the change of weights alone gains {gain(chosen.fixing)} points "
            "over the network as it is there, with the crop_pct that is best for each."
        )
    if best != usual and set(found.halves) != {best}:
        first, second = map(described, found.halves)
        chose = f"Both halves of the images chose {first}"
        if first != second:
            chose = f"One half of the images chose {first}, the other {second}"
        said.append(f"{chose}. The gain above is the gain of these choices.")
    return said


def recommendation(chosen: Choice) -> str:
    """Which setting to use, with its gain and its price."""
    best, usual, found = chosen.recommended, chosen.usual, chosen.chosen
    points, over = f"{gain(found)} points", f"{setting(usual)} as it is"
    over += f", masked to these {present(chosen)} classes" if chosen.masked else ""
    if found.setting != best:
        return (
            f"Keep testing at {setting(usual)}, as it is. {described(found.setting)} looks better "
            "on all images, but what one half of them chose is worse on the other half: "
            f"{points}."
        )
    if best == usual:
        return (
            f"Keep testing at {setting(usual)}, as it is: for no other setting do these images "
            "show that the change is worth it."
        )
    if any(p.not_told_apart and p.alone == usual for p in chosen.points):
        costs = price(chosen, best).replace(", for", ":")
        return (
            f"Test at {described(best)}: it is cheaper{costs}, and these images do not tell it "
            f"apart from {over} ({points})."
        )
    doubt = " The interval contains 0, so the gain is not certain." * (found.low <= 0)
    return f"Test at {described(best)}: {points} over {over}{price(chosen, best)}.{doubt}"


def not_told_apart(chosen: Choice) -> str:
    """How many settings may be the best, and which of them is recommended."""
    allowed = [p for p in chosen.points if chosen.may_fix or p.method not in TRAINED]
    equals = [p.alone for p in allowed if p.not_told_apart]
    if len(allowed) == 1:
        return "No other setting was measured."
    if equals == [chosen.recommended]:
        return f"All other {len(allowed) - 1} settings are shown to be worse than the best."
    return (
        f"{len(equals)} of the {len(allowed)} settings are not told apart from the best by these "
        f"images (marked {MARK}). The cheapest of them is recommended, if the images show that "
        f"leaving the usual setting is worth it: a setting that costs more must be better, and a "
        f"cheaper one may lose at most {TOLERATED:g} point."
    )


def cautions(chosen: Choice, to_fix: str = "") -> list[str]:
    """What the images and the times do not allow to conclude: a sentence each, or nothing."""
    images, said = chosen.images, []
    if chosen.masked and to_fix:
        said.append(
            f"The network knows {images.classes:,} classes, of which {images.absent:,} have no "
            f"image here. All accuracies and gains use only the logits of the other "
            f"{present(chosen)} classes; a table below has the accuracies among all classes."
        )
    elif chosen.masked:
        said.append(
            f"The network knows {images.classes:,} classes, of which {images.absent:,} have no "
            "image here. All accuracies and gains use only the logits of the other "
            f"{present(chosen)} classes, because a network that is fine-tuned on these images "
            f"unlearns the {images.absent:,} classes, and would seem to gain by that. If you still "
            "need those classes, do not fine-tune the network on these images."
        )
    if images.leaked:
        share = 100 * images.leaked / images.validation
        rule = (
            "A fine-tuned network has seen them with their labels, so no fine-tuning is "
            f"recommended when they are more than {LEAKED:.0%}. Remove them from the training "
            "images"
        )
        if chosen.may_fix:
            rule = f"Above {LEAKED:.0%}, no fine-tuning would be recommended"
        said.append(
            f"{images.leaked:,} of the {images.validation:,} validation images ({share:.3g}%) are "
            f"byte-for-byte copies of training images. {rule}."
        )
    if chosen.disagree:
        said.append(
            "Times are not compared, and a smaller k_test counts as cheaper: the rounds of the "
            "measurement disagree, as they do when the machine does other work "
            f"({'; '.join(chosen.disagree)}). To measure them again on an idle machine, "
            f"delete results/{chosen.speed} and give the same command."
        )
    return said


def about_network(chosen: Choice, page: Answer) -> list[str]:
    """What to know of the network: sizes off its stride, and that nothing of it was normalised."""
    entry, said = page.entry, []
    if sizes := [k for k in sorted(chosen.times_as_long) if k % entry["stride"]]:
        said.append(
            f"k_test {', '.join(map(str, sizes))}: not a multiple of {entry['stride']}, the "
            "network's stride. Just above a multiple, where the last feature map gets another row, "
            "accuracy drops (Appendix B)."
        )
    if not entry["last_norm"] and not page.to_fix:
        said.append(
            "The network has no normalisation layer, so only its classifier was fine-tuned; the "
            "paper also fine-tunes the last normalisation."
        )
    return said


def how(chosen: Choice, page: Answer) -> str:
    """How the numbers came about."""
    over = "the images" if page.seeds == 1 else f"the images and {page.seeds} seeds"
    trained = f"The network was first trained on {page.dataset} at {page.native} px. "
    first, second = chosen.halves
    what = "k_test and crop_pct" if page.to_fix else "k_test, crop_pct and the change of weights"
    return (
        f"{trained if page.trained else ''}Accuracies are of all {first + second:,} validation "
        f"images of {page.dataset}, and {what} were chosen on them. Gains are measured on images "
        f"that nothing was chosen on: for each half of the images ({first:,} and {second:,}), the "
        f"choice was made again on the other half. Intervals are 95%, over {over}."
    )


def usage(chosen: Choice, page: Answer) -> list[str]:
    """How to use the network that was written."""
    folder, among = f"results/recommend/{page.network}/fixed", ""
    if chosen.exported.masked is not None:
        among = (
            f" among all its {chosen.images.classes:,} classes, and "
            f"{chosen.exported.masked:.{page.decimals + 1}f}% if the largest logit among the "
            f"{present(chosen)} classes that have images is taken"
        )
    holds = "the recommended network"
    if page.to_fix:
        holds = "the network with its weights as they are, to be tested as recommended"
    what = (
        f"{folder}/ holds {holds}; on all validation images it has "
        f"{chosen.exported.top1:.{page.decimals + 1}f}% top-1{among}."
    )
    if page.entry["source"].startswith("timm:"):
        load = f'timm.create_model("local-dir:{folder}", pretrained=True)'
        return [f"{what} Load it by {load}; its configuration holds k_test and crop_pct."]
    return [f"{what} example.py there loads it and classifies an image."]


def setting(at: Setting) -> str:
    return f"{at.k_test} px with crop_pct {at.crop_pct:g}"


def described(at: Setting) -> str:
    """A setting with what is done to the network."""
    return f"{setting(at)}, {DONE[at.method]}"


def gain(found: Gain) -> str:
    """A difference in points with its interval."""
    return f"{found.gain:+.1f} ({found.low:.1f} to {found.high:.1f})".replace("-", "−")


def price(chosen: Choice, at: Setting) -> str:
    """What an image costs in a batch, compared with the usual resolution; "": nobody can tell."""
    if at.k_test == chosen.usual.k_test:
        return ", for the same time"
    if chosen.disagree:
        return ""
    times = chosen.times_as_long[at.k_test]
    return f", for {times.ratio:.2g} ({times.low:.2g} to {times.high:.2g}) times the time"


def present(chosen: Choice) -> str:
    """How many of the network's classes have images."""
    return f"{chosen.images.classes - chosen.images.absent:,}"


# --- tables --------------------------------------------------------------------------------------


def accuracy(chosen: Choice, points: pd.DataFrame, page: Answer) -> lists.Table:
    """Top-1 of each method at each k_test, with the crop_pct that is most accurate there."""
    methods, rows = [method for method in METHODS if method in page.runs], []
    for k in sorted(chosen.times_as_long):
        best = [points.loc[method, k, chosen.best_crop_pct[method][k]] for method in methods]
        one = best[0]
        times = [spread(one, "latency_ms"), spread(one, "images_per_second")]
        numbers = [number(point, page) for point in best]
        rows.append([str(k), *numbers, *times, f"{one.megabytes:,.0f}"])
    batch = f"batches of {chosen.batch}", f"a batch of {chosen.batch}"
    costs = ["ms, one image", f"images/s, {batch[0]}", f"MB, {batch[1]}"]
    ratio = "best crop_pct" if len(page.crop_pct) > 1 else f"crop_pct {page.crop_pct[0]:g}"
    title = f"Top-1 (%), half of its interval, {ratio}; times with their shortest and longest round"
    title = f"{title}. {MARK}: not told apart from the best. {'; '.join(chosen.notes)}"
    return title, ["k_test", *methods, *costs], rows


def ratios(chosen: Choice, points: pd.DataFrame, page: Answer) -> lists.Table:
    """Top-1 of the network as it is over k_test and crop_pct."""
    rows = [
        [str(k), *(number(points.loc[AS_IS, k, c], page, ratio=False) for c in page.crop_pct)]
        for k in sorted(chosen.times_as_long)
    ]
    heads = ["k_test", *(f"crop_pct {c:g}" for c in page.crop_pct)]
    return "The network as it is: top-1 (%)", heads, rows


def among_all(chosen: Choice, page: Answer) -> list[lists.Table]:
    """Where the network is masked: top-1 of the network as it is among all of its classes."""
    if not chosen.masked:
        return []
    top1 = {(one.k_test, one.crop_pct): one.top1 for one in chosen.among_all}
    rows = [
        [str(k), *(f"{top1[k, ratio]:.{page.decimals}f}" for ratio in page.crop_pct)]
        for k in sorted(chosen.times_as_long)
    ]
    heads = ["k_test", *(f"crop_pct {ratio:g}" for ratio in page.crop_pct)]
    title = f"The network as it is, among all its {chosen.images.classes:,} classes: top-1 (%)"
    return [(title, heads, rows)]


def found(page: Answer) -> lists.Table:
    """What was found in the network, or said by the user."""
    heads = [page.entry["classifier"], *page.entry.get("other_heads", [])]
    entry = page.entry | {"classifier": heads}
    rows = [[name, _text(entry[key])] for key, name in FOUND.items()]
    return "What the suite knows of the network", ["", ""], rows


def number(point: pd.Series, page: Answer, ratio: bool = True) -> str:
    digits = page.decimals
    half = (point.high - point.low) / 2
    text = f"{point.top1:.{digits}f} ± {half:.{digits}f}"
    text = f"{text}, {point.crop_pct:g}" if ratio and len(page.crop_pct) > 1 else text
    return f"{text} {MARK}" if point.not_told_apart else text


def spread(point: pd.Series, what: str) -> str:
    """A time or a speed, with its lowest and highest round."""
    low, high = point[f"{what}_low"], point[f"{what}_high"]
    return f"{point[what]:.3g} ({low:.3g} to {high:.3g})"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
