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
from fixres.artifacts import metrics, per_image
from fixres.graph.pages import Candidates
from fixres.graph.recommendation import AS_IS, METHODS
from fixres.pages.command import page_parser
from fixres.pages.intervals import interval, resample

FEWEST = 20  # images of a part; with fewer, an interval says nothing


class Setting(NamedTuple):
    """One way to test: what was done to the network, and how it looks at an image."""

    k: int  # k_test, pixels
    ratio: float  # crop_pct
    method: str


Hits = dict[Setting, np.ndarray]  # (S, n) bool each: of each seed and image


def main(arguments: list[str]) -> None:
    args = page_parser("choose", __doc__).parse_args(arguments)
    candidates = Candidates.read(args.config, "choose", args.ancestry_digest)
    hits, images = read_hits(candidates, args.results)
    speed = metrics.read(args.results / candidates.speed.metrics)

    # --- the two parts of the validation images
    chosen_on = part_of(images, candidates.share)
    measured_on = ~chosen_on
    check_parts(chosen_on, candidates)

    # --- choose on the first
    mean = {setting: 100 * block[:, chosen_on].mean() for setting, block in hits.items()}
    settings = sorted(hits, key=lambda setting: order_of(setting, candidates))
    best = max(settings, key=mean.get)  # of equal ones the first: the cheapest, then the least done
    as_it_is = max((s for s in settings if s.method == AS_IS), key=mean.get)
    unfixed = max((s for s in settings if s.method == AS_IS and s.k == best.k), key=mean.get)
    usual = Setting(candidates.native, candidates.native_crop_pct, AS_IS)

    # --- measure on the second
    part = {setting: block[:, measured_on] for setting, block in hits.items()}
    image_set = jobs.digest(b"\n".join(images[measured_on].tolist()))
    replicas = resample(part, image_set)
    accuracy = {setting: 100 * float(block.mean()) for setting, block in part.items()}

    def gain(setting: Setting, over: Setting) -> dict:
        low, high = interval(replicas[setting] - replicas[over])
        return {"gain": accuracy[setting] - accuracy[over], "low": low, "high": high}

    points = []
    for setting in settings:
        low, high = interval(replicas[setting])
        of_k = speed["k_test"][str(setting.k)]
        times = {key: of_k[key] for key in ("latency_ms", "images_per_second", "megabytes")}
        number = {"top1": accuracy[setting], "low": low, "high": high, "chosen_on": mean[setting]}
        points.append({**described(setting), **number, **times})
    best_of = {}  # method -> k_test -> its best crop_pct
    for setting in sorted(settings, key=mean.get, reverse=True):  # of equal ones again the first
        best_of.setdefault(setting.method, {}).setdefault(str(setting.k), setting.ratio)

    # --- the result
    sizes = sorted({setting.k for setting in settings})
    run = candidates.runs[best.method][best.k][0].run
    result = {
        "run": candidates.run,
        "images": {"chosen_on": int(chosen_on.sum()), "measured_on": int(measured_on.sum())},
        "usual": described(usual),
        "best": described(best) | gain(best, usual),
        "as_it_is": described(as_it_is) | gain(as_it_is, usual),
        "fixing": described(unfixed) | gain(best, unfixed),
        "times_as_long": {str(k): slower(speed, k, usual.k) for k in sizes},
        "best_crop_pct": best_of,
        "points": points,
        "exported": {"run": run, "top1": 100 * float(hits[best][0].mean()), **described(best)},
        "speed": {"batch": speed["batch"], "notes": speed["notes"]},
    }
    jobs.write_json(args.out, result)
    jobs.log(f"{best.method} at k_test {best.k}, crop_pct {best.ratio:g}: {result['best']}")


# --- what was measured ---------------------------------------------------------------------------


def read_hits(
    candidates: Candidates, results: Path
) -> tuple[dict[Setting, np.ndarray], np.ndarray]:
    """Which images each setting is right about: (S, n) bool each; and the (n,) paths of the images.

    Raises
    ------
    JobError : hits cannot be read, or are of other images. The message names the file.
    """
    hits, images = {}, None
    again = "delete it, and give the same command again"
    for method, by_k in candidates.runs.items():
        for k, runs in by_k.items():
            found = []
            for run in runs:
                file = results / run.per_image
                of_run = metrics.read(results / run.metrics)
                try:
                    found.append(metrics.read_each_image(file, of_run))
                except (OSError, ValueError) as error:
                    raise jobs.JobError(f"{file}: {error}; {again}") from None
                images = found[0].images if images is None else images
                if not np.array_equal(found[-1].images, images):
                    others = "other images than those of the other runs"
                    raise jobs.JobError(f"{file}: {others}; {again}")
            for ratio in candidates.crop_pct:
                name = per_image.name(per_image.metric("top1", ratio), k)
                hits[Setting(k, ratio, method)] = np.stack([one.values[name] for one in found])
    return hits, images


def part_of(images: np.ndarray, share: float) -> np.ndarray:
    """(n,) bool: whether an image is one that things are chosen on.

    Parameters
    ----------
    images : (n,) bytes, their paths in the dataset.
    """
    # Salted: datasets.….split and limit draw by paths, too, and independently of this.
    firsts = (hashlib.sha256(b"choice " + path).digest()[:8] for path in images.tolist())
    return np.array([int.from_bytes(first, "big") < share * 2**64 for first in firsts])


def check_parts(chosen_on: np.ndarray, candidates: Candidates) -> None:
    """Raise JobError where one of the parts has too few images."""
    sizes = int(chosen_on.sum()), int((~chosen_on).sum())
    if min(sizes) < FEWEST:
        raise jobs.JobError(
            f"custom.choice {candidates.share:g} of {sum(sizes)} validation images of "
            f"{candidates.dataset} leaves {sizes[0]} to choose on and {sizes[1]} to measure on; "
            f"expected {FEWEST} of each at least; give more validation images"
        )


# --- how it is told ------------------------------------------------------------------------------


def order_of(setting: Setting, candidates: Candidates) -> tuple:
    """Which of two equal ones is taken: the smaller, then the usual crop_pct, then least done."""
    usual = setting.ratio != candidates.native_crop_pct
    return setting.k, METHODS.index(setting.method), usual, setting.ratio


def described(setting: Setting) -> dict:
    return {"method": setting.method, "k_test": setting.k, "crop_pct": setting.ratio}


def slower(speed: dict, k: int, usual: int) -> dict[str, float]:
    """By what factor a forward pass takes longer than at the usual k_test: alone, in a batch."""
    ours, theirs = (speed["k_test"][str(size)] for size in (k, usual))
    return {key: ours[key] / theirs[key] for key in ("latency_ms", "batch_ms")}
