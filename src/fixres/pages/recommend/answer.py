"""The answer: at which resolution to test a custom network, at what gain and price.

    python -m fixres answer --config results/recommend/photos/config.json --results results \\
        --out results/recommend/photos.md

The page comes as Markdown and HTML, its numbers as CSV, its figure as SVG and PNG
(docs/recommend.md).
"""

import pandas as pd

from fixres import jobs
from fixres.graph.pages import Answer
from fixres.graph.recommendation import AS_IS, METHODS
from fixres.pages import lists
from fixres.pages.command import page_parser, write
from fixres.pages.figures import style
from fixres.pages.numbers import csv
from fixres.pages.recommend.drawing import draw

DONE = {  # what was done to the network, in a sentence
    "as it is": "as it is",
    "statistics": "with the statistics of its last normalisation estimated again there",
    "classifier": "with its classifier fine-tuned there",
    "classifier + norm": "with its classifier and last normalisation fine-tuned there",
}
FOUND = {
    "source": "built by",
    "weights": "weights",
    "classifier": "classifier",
    "last_norm": "last normalisation before the pooling",
    "mean": "mean of its input",
    "std": "standard deviation of its input",
    "native": "native resolution (px)",
    "crop_pct": "crop_pct of its own evaluation",
    "stride": "stride (px)",
    "any_size": "takes crops of any size",
    "outputs": "classes as it comes",
}


def main(arguments: list[str]) -> None:
    args = page_parser("answer", __doc__).parse_args(arguments)
    page = Answer.read(args.config, "answer", args.ancestry_digest)
    name = page.network
    choice = jobs.read_json(args.results / "recommend" / name / "choice" / "choice.json")
    points = pd.DataFrame(choice["points"])

    title = f"{page.title}: at which resolution to test it"
    above = [*answer(choice), how(choice, page)]
    tables = [accuracy(choice, points, page), ratios(points, page), found(page)]
    below = usage(choice, page)

    with style.plt.rc_context(style.RC):
        style.save(draw(choice, points, page), args.out)
    picture = f"![Accuracy over resolution, and over time]({name}.svg)"
    svg = args.out.with_suffix(".svg").read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :]
    texts = {
        ".md": lists.markdown(title, [*above, picture, *below], tables),
        ".html": lists.webpage(title, [*above, *below], tables, figure=svg),
        ".csv": csv(points),
    }
    write(args.out, texts)


# --- sentences -----------------------------------------------------------------------------------


def answer(choice: dict) -> list[str]:
    """The recommendation, and what it consists of: a sentence each."""
    best, usual, at = choice["best"], choice["usual"], setting
    over = f"over {at(usual)} as it is"
    if _same(best, usual):
        return [f"Go on testing at {at(usual)}, as it is: nothing was better where it was chosen."]
    if best["high"] < 0:
        first = (
            f"Go on testing at {at(usual)}, as it is. What was best where it was chosen, "
            f"{at(best)}, {DONE[best['method']]}, is worse on the other images: {gain(best)} "
            "points."
        )
    elif best["low"] <= 0:
        first = (
            f"These images do not tell whether anything is better than {at(usual)} as it is. Best "
            f"where it was chosen: {at(best)}, {DONE[best['method']]}: {gain(best)} points {over}, "
            f"for {price(choice, best)}."
        )
    else:
        first = (
            f"Test at {at(best)}, {DONE[best['method']]}: {gain(best)} points {over}, for "
            f"{price(choice, best)}."
        )
    sentences = [first]
    as_it_is = choice["as_it_is"]
    if not _same(as_it_is, best):
        gained = f"{gain(as_it_is)} points, for {price(choice, as_it_is)}"
        gained = "that is, nothing is gained without" if _same(as_it_is, usual) else gained
        sentences.append(f"Without a change of weights the best is {at(as_it_is)}: {gained}.")
    if best["method"] != AS_IS:
        fixing = choice["fixing"]
        sentences.append(
            f"At {best['k_test']} px, the change of weights alone gains {gain(fixing)} points over "
            f"the network as it is there, with the crop_pct that is best for each."
        )
    return sentences


def how(choice: dict, page: Answer) -> str:
    """How the numbers came about."""
    images, seeds = choice["images"], page.seeds
    over = "the images" if seeds == 1 else f"the images and {seeds} seeds"
    trained = f" The network was first trained on them at {page.native} px."
    return (
        f"k_test, crop_pct and what is done to the weights were chosen on "
        f"{images['chosen_on']:,} validation images of {page.dataset}; all accuracies here "
        f"are of the other {images['measured_on']:,}.{trained if page.trained else ''} "
        f"Intervals are 95%, over {over}."
    )


def usage(choice: dict, page: Answer) -> list[str]:
    """How to use the network that was written."""
    folder, exported = f"results/recommend/{page.network}/fixed", choice["exported"]
    what = (
        f"{folder}/ holds the recommended network; on all validation images it has "
        f"{exported['top1']:.{page.decimals + 1}f}% top-1."
    )
    if page.entry["source"].startswith("timm:"):
        load = f'timm.create_model("local-dir:{folder}", pretrained=True)'
        return [f"{what} Load it by {load}; its configuration holds k_test and crop_pct."]
    return [f"{what} example.py there loads it and classifies an image."]


def setting(at: dict) -> str:
    return f"{at['k_test']} px with crop_pct {at['crop_pct']:g}"


def gain(found: dict) -> str:
    """A difference in points with its interval."""
    low, high = (f"{found[key]:.1f}".replace("-", "−") for key in ("low", "high"))
    return f"{found['gain']:+.1f} ({low} to {high})".replace("-", "−")


def price(choice: dict, at: dict) -> str:
    """What an image costs in a batch, compared with the usual resolution."""
    if at["k_test"] == choice["usual"]["k_test"]:
        return "the same time"
    times = f"{choice['times_as_long'][str(at['k_test'])]['batch_ms']:.2g}"
    return "about the same time" if times == "1" else f"{times} times the time"


def _same(a: dict, b: dict) -> bool:
    return all(a[key] == b[key] for key in ("method", "k_test", "crop_pct"))


# --- tables --------------------------------------------------------------------------------------


def accuracy(choice: dict, points: pd.DataFrame, page: Answer) -> lists.Table:
    """Top-1 of each method at each k_test, with the crop_pct that was best where it was chosen."""
    methods, batch = [m for m in METHODS if m in page.runs], choice["speed"]["batch"]
    rows = []
    for k, at_k in points.groupby("k_test"):
        cells = [number(_at(at_k, m, choice["best_crop_pct"][m][str(k)]), page) for m in methods]
        one = at_k.iloc[0]
        times = [f"{one.latency_ms:.3g}", f"{one.images_per_second:.3g}", f"{one.megabytes:,.0f}"]
        rows.append([str(k), *cells, *times])
    costs = ["ms, one image", f"images/s, batches of {batch}", f"MB, a batch of {batch}"]
    title = f"Top-1 (%), half of its interval, crop_pct. {'; '.join(choice['speed']['notes'])}"
    return title, ["k_test", *methods, *costs], rows


def ratios(points: pd.DataFrame, page: Answer) -> lists.Table:
    """Top-1 of the network as it is over k_test and crop_pct."""
    as_it_is = points[points["method"] == AS_IS]
    rows = [
        [str(k), *(number(_at(at_k, AS_IS, c), page, ratio=False) for c in page.crop_pct)]
        for k, at_k in as_it_is.groupby("k_test")
    ]
    heads = ["k_test", *(f"crop_pct {c:g}" for c in page.crop_pct)]
    return "The network as it is: top-1 (%)", heads, rows


def found(page: Answer) -> lists.Table:
    """What was found in the network, or said by the user."""
    rows = [[name, _text(page.entry[key])] for key, name in FOUND.items()]
    return "What the suite knows of the network", ["", ""], rows


def number(point: pd.Series, page: Answer, ratio: bool = True) -> str:
    digits = page.decimals
    half = (point.high - point.low) / 2
    text = f"{point.top1:.{digits}f} ± {half:.{digits}f}"
    return f"{text}, {point.crop_pct:g}" if ratio and len(page.crop_pct) > 1 else text


def _at(points: pd.DataFrame, method: str, ratio: float) -> pd.Series:
    wanted = (points["method"] == method) & (points["crop_pct"] == ratio)
    return points[wanted].iloc[0]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
