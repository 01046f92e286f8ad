"""The choice: at which k_test and crop_pct to test a network, and what fixing it gains there.

Everything is chosen on one part of the validation images, and measured on the others: the best of
many numbers looks better than it is on the images that it was chosen on. An image belongs to the
part that its path says (SHA-256), so further images move no other.

Each gain is paired: both sides have the same images and seeds. Its 95% interval is that of all
pages (pages/intervals.py).
"""

import hashlib
from pathlib import Path

import numpy as np

from fixres import jobs
from fixres.artifacts import choice, metrics, per_image
from fixres.artifacts.choice import Choice, Exported, Gain, Point, Setting
from fixres.graph.pages import Candidates
from fixres.graph.recommendation import AS_IS, METHODS
from fixres.pages import command
from fixres.pages.intervals import interval, resample

PRICES = ("latency_ms", "images_per_second", "megabytes")
FEWEST = 20  # images of a part; with fewer, an interval says nothing

Hits = dict[Setting, np.ndarray]  # (S, n) bool each: of each seed and image


def main(arguments: list[str]) -> None:
    candidates, args = command.read(arguments, "choose", __doc__, Candidates)
    hits, images = read_hits(candidates, args.results)
    speed = metrics.read(args.results / candidates.speed.metrics)
    of_k = {int(k): measured for k, measured in speed["k_test"].items()}

    # --- the two parts of the validation images
    chosen_on = part_of(images, candidates.share)
    measured_on = ~chosen_on
    check_parts(chosen_on, candidates)

    # --- choose on the first
    mean = {setting: 100 * block[:, chosen_on].mean() for setting, block in hits.items()}
    settings = sorted(hits, key=lambda setting: order_of(setting, candidates))
    unchanged = [s for s in settings if s.method == AS_IS]
    best = max(settings, key=mean.get)  # of equal ones the first: the cheapest, then the least done
    as_it_is = max(unchanged, key=mean.get)
    unfixed = max((s for s in unchanged if s.k_test == best.k_test), key=mean.get)
    usual = Setting(method=AS_IS, k_test=candidates.native, crop_pct=candidates.native_crop_pct)

    # --- measure on the second
    part = {setting: block[:, measured_on] for setting, block in hits.items()}
    replicas = resample(part, jobs.digest(b"\n".join(images[measured_on].tolist())))
    accuracy = {setting: 100 * float(block.mean()) for setting, block in part.items()}

    def gain(setting: Setting, over: Setting) -> Gain:
        low, high = interval(replicas[setting] - replicas[over])
        return Gain(setting=setting, gain=accuracy[setting] - accuracy[over], low=low, high=high)

    points = []
    for setting in settings:
        low, high = interval(replicas[setting])
        about = {"top1": accuracy[setting], "low": low, "high": high, "chosen_on": mean[setting]}
        about |= {key: of_k[setting.k_test][key] for key in PRICES}
        points.append(Point(**setting.model_dump(), **about))
    best_of = {}  # method -> k_test -> its best crop_pct
    for setting in sorted(settings, key=mean.get, reverse=True):  # of equal ones again the first
        best_of.setdefault(setting.method, {}).setdefault(setting.k_test, setting.crop_pct)

    # --- the result
    run, top1 = candidates.runs[best.method][best.k_test][0].run, 100 * hits[best][0].mean()
    batch_ms = {k: of_k[k]["batch_ms"] for k in sorted({setting.k_test for setting in settings})}
    gained = gain(best, usual)
    found = Choice(
        run=candidates.run,
        chosen_on=int(chosen_on.sum()),
        measured_on=int(measured_on.sum()),
        usual=usual,
        best=gained,
        as_it_is=gain(as_it_is, usual),
        fixing=gain(best, unfixed),
        times_as_long={k: ms / batch_ms[usual.k_test] for k, ms in batch_ms.items()},
        best_crop_pct=best_of,
        points=points,
        exported=Exported(run=run, top1=top1, **best.model_dump()),
        batch=speed["batch"],
        notes=speed["notes"],
    )
    choice.write(args.out, found)
    won = f"{gained.gain:+.1f} points ({gained.low:.1f} to {gained.high:.1f})"
    jobs.log(f"{best.method} at k_test {best.k_test}, crop_pct {best.crop_pct:g}: {won}")


# --- what was measured ---------------------------------------------------------------------------


def read_hits(candidates: Candidates, results: Path) -> tuple[Hits, np.ndarray]:
    """Which images each setting is right about, and the (n,) paths of the images.

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
                setting = Setting(method=method, k_test=k, crop_pct=ratio)
                hits[setting] = np.stack([one.values[name] for one in found])
    return hits, images


def part_of(images: np.ndarray, share: float) -> np.ndarray:
    """(n,) bool: whether an image is one that things are chosen on. images : (n,) bytes, paths."""
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


def order_of(setting: Setting, candidates: Candidates) -> tuple:
    """Which of two equal ones is taken: the smaller, then the usual crop_pct, then least done."""
    another = setting.crop_pct != candidates.native_crop_pct
    return setting.k_test, METHODS.index(setting.method), another, setting.crop_pct
