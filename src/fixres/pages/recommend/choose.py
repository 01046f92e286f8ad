"""The choice: at which k_test and crop_pct to test a network, and what fixing it gains there.

    python -m fixres choose --config results/recommend/photos/choice/config.json \\
        --results results --out results/recommend/photos/choice/choice.json

Everything is chosen on one part of the validation images, and measured on the others: the best of
many numbers looks better than it is on the images that it was chosen on. An image belongs to the
part that its path says (SHA-256), so further images move no other.

Each gain is paired: both sides have the same images and seeds. Its 95% interval is that of all
pages (pages/intervals.py).
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fixres import jobs
from fixres.artifacts import per_image
from fixres.graph.custom import AS_IS, METHODS
from fixres.graph.outputs import metrics_of, per_image_of
from fixres.pages.command import page_parser
from fixres.pages.intervals import interval, resample

FEWEST = 20  # images of a part; with fewer, an interval says nothing


class View(NamedTuple):
    """One way to test: what was done to the network, and how it looks at an image."""

    k: int  # k_test, pixels
    ratio: float  # crop_pct
    method: str


def main(arguments: list[str]) -> None:
    args = page_parser("choose", __doc__).parse_args(arguments)
    config = jobs.read_config(args.config, "choose", args.ancestry_digest)
    hits, images = read_hits(config, args.results)
    speed = jobs.read_json(args.results / metrics_of(config["speed"]))

    # --- the two parts of the validation images
    chosen_on = part_of(images, config["share"])
    measured_on = ~chosen_on
    check_parts(chosen_on, config)

    # --- choose on the first
    mean = {view: 100 * block[:, chosen_on].mean() for view, block in hits.items()}
    views = sorted(hits, key=lambda view: order_of(view, config))
    best = max(views, key=mean.get)  # of equal ones the first: the cheapest, then the least done
    as_it_is = max((v for v in views if v.method == AS_IS), key=mean.get)
    unfixed = max((v for v in views if v.method == AS_IS and v.k == best.k), key=mean.get)
    usual = View(config["native"], config["native_crop_pct"], AS_IS)

    # --- measure on the second
    part = {view: block[:, measured_on] for view, block in hits.items()}
    image_set = jobs.digest(b"\n".join(images[measured_on].tolist()))
    replicas = resample(part, image_set)
    accuracy = {view: 100 * float(block.mean()) for view, block in part.items()}

    def gain(view: View, over: View) -> dict:
        low, high = interval(replicas[view] - replicas[over])
        return {"gain": accuracy[view] - accuracy[over], "low": low, "high": high}

    points = []
    for view in views:
        low, high = interval(replicas[view])
        of_k = speed["k_test"][str(view.k)]
        times = {key: of_k[key] for key in ("latency_ms", "images_per_second", "megabytes")}
        number = {"top1": accuracy[view], "low": low, "high": high, "chosen_on": mean[view]}
        points.append({**described(view), **number, **times})
    best_of = {}  # method -> k_test -> its best crop_pct
    for view in sorted(views, key=mean.get, reverse=True):  # of equal ones again the first
        best_of.setdefault(view.method, {}).setdefault(str(view.k), view.ratio)

    # --- the result
    run = config["runs"][best.method][str(best.k)][0]
    result = {
        "run": config["run"],
        "images": {"chosen_on": int(chosen_on.sum()), "measured_on": int(measured_on.sum())},
        "usual": described(usual),
        "best": described(best) | gain(best, usual),
        "as_it_is": described(as_it_is) | gain(as_it_is, usual),
        "fixing": described(unfixed) | gain(best, unfixed),
        "times_as_long": {str(k): slower(speed, k, usual.k) for k in sorted({v.k for v in views})},
        "best_crop_pct": best_of,
        "points": points,
        "exported": {"run": run, "top1": 100 * float(hits[best][0].mean()), **described(best)},
        "speed": {"batch": speed["batch"], "notes": speed["notes"]},
    }
    jobs.write_json(args.out, result)
    jobs.log(f"{best.method} at k_test {best.k}, crop_pct {best.ratio:g}: {result['best']}")


# --- what was measured ---------------------------------------------------------------------------


def read_hits(config: dict, results: Path) -> tuple[dict[View, np.ndarray], np.ndarray]:
    """Which images each view is right about: (S, n) bool each; and the (n,) paths of the images."""
    hits, images = {}, None
    for method, by_k in config["runs"].items():
        for k, runs in by_k.items():
            found = [of_run(run, results) for run in runs]
            images = found[0].images if images is None else images
            for one, run in zip(found, runs, strict=True):
                if not np.array_equal(one.images, images):
                    raise jobs.JobError(
                        f"{results / per_image_of(run)}: other images than those of the other "
                        "runs; delete it, and give the same command again"
                    )
            for ratio in config["crop_pct"]:
                name = per_image.name(per_image.metric("top1", ratio), int(k))
                hits[View(int(k), ratio, method)] = np.stack([one.values[name] for one in found])
    return hits, images


def of_run(run: str, results: Path) -> per_image.PerImage:
    """The hits that a run's evaluation has left. Raises JobError where they cannot be read."""
    file = results / per_image_of(run)
    digest = jobs.read_json(results / metrics_of(run))["hits"]
    try:
        return per_image.load(file, digest)
    except (OSError, ValueError) as error:
        raise jobs.JobError(
            f"{file}: {error}; delete it, and give the same command again"
        ) from None


def part_of(images: np.ndarray, share: float) -> np.ndarray:
    """(n,) bool: whether an image is one that things are chosen on.

    Parameters
    ----------
    images : (n,) bytes, their paths in the dataset.
    """
    # Salted: datasets.….split and limit draw by paths, too, and independently of this.
    firsts = (hashlib.sha256(b"choice " + path).digest()[:8] for path in images.tolist())
    return np.array([int.from_bytes(first, "big") < share * 2**64 for first in firsts])


def check_parts(chosen_on: np.ndarray, config: dict) -> None:
    """Raise JobError where one of the parts has too few images."""
    sizes = int(chosen_on.sum()), int((~chosen_on).sum())
    if min(sizes) < FEWEST:
        raise jobs.JobError(
            f"custom.choice {config['share']:g} of {sum(sizes)} validation images of "
            f"{config['dataset']} leaves {sizes[0]} to choose on and {sizes[1]} to measure on; "
            f"expected {FEWEST} of each at least; give more validation images"
        )


# --- how it is told ------------------------------------------------------------------------------


def order_of(view: View, config: dict) -> tuple:
    """Which of two equal views is taken: the smaller, then the usual crop_pct, then least done."""
    usual = view.ratio != config["native_crop_pct"]
    return view.k, METHODS.index(view.method), usual, view.ratio


def described(view: View) -> dict:
    return {"method": view.method, "k_test": view.k, "crop_pct": view.ratio}


def slower(speed: dict, k: int, usual: int) -> dict[str, float]:
    """By what factor a forward pass takes longer than at the usual k_test: alone, in a batch."""
    ours, theirs = (speed["k_test"][str(size)] for size in (k, usual))
    return {key: ours[key] / theirs[key] for key in ("latency_ms", "batch_ms")}
