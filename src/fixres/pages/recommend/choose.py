"""The choice: at which k_test and crop_pct to test a network, and what fixing it gains there.

Everything is chosen on one part of the validation images, and measured on the others: the best of
many numbers looks better than it is on the images that it was chosen on. An image belongs to the
part that its path says (SHA-256), so further images move no other.

Each gain is paired: both sides have the same images and seeds. Its 95% interval is that of all
pages (pages/intervals.py).

A network that knows more classes than there are is compared with its logits masked, as it is and
fine-tuned: a fine-tuning that only unlearns absent classes gains nothing over that. Where more than
LEAKED of the validation images are training images, no fine-tuning is chosen.
"""

from pathlib import Path

import numpy as np

from fixres import jobs
from fixres.artifacts import choice, manifest, metrics, per_image
from fixres.artifacts.choice import AmongAll, Choice, Exported, Gain, Images, Point, Setting, Times
from fixres.graph.enough import check_parts, part_of
from fixres.graph.pages import Candidates
from fixres.graph.recommendation import AS_IS, LEAKED, METHODS, TRAINED
from fixres.pages import command
from fixres.pages.intervals import interval, resample

Hits = dict[Setting, np.ndarray]  # (S, n) bool each: of each seed and image


def main(arguments: list[str]) -> None:
    candidates, args = command.read(arguments, "choose", __doc__, Candidates, "manifest")
    hits, images = read_hits(candidates, args.results, candidates.masked)
    among_all = read_hits(candidates, args.results)[0] if candidates.masked else hits
    speed = metrics.read(args.results / candidates.speed.metrics)
    of_k = {int(k): measured for k, measured in speed["k_test"].items()}
    known = about_images(manifest.load(args.manifest), candidates.dataset)
    may_fix = known.leaked <= LEAKED * known.validation

    # --- the two parts of the validation images
    chosen_on = part_of(images, candidates.share)
    measured_on = ~chosen_on
    check_parts(chosen_on, candidates.share, candidates.dataset)

    # --- choose on the first
    mean = {setting: 100 * block[:, chosen_on].mean() for setting, block in hits.items()}
    settings = sorted(hits, key=lambda setting: order_of(setting, candidates))
    unchanged = [s for s in settings if s.method == AS_IS]
    allowed = [s for s in settings if may_fix or s.method not in TRAINED]
    best = max(allowed, key=mean.get)  # of equal ones the first: the cheapest, then the least done
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
        about |= prices(of_k[setting.k_test], speed["batch"])
        points.append(Point(**setting.model_dump(), **about))
    best_of = {}  # method -> k_test -> its best crop_pct
    for setting in sorted(settings, key=mean.get, reverse=True):  # of equal ones again the first
        best_of.setdefault(setting.method, {}).setdefault(setting.k_test, setting.crop_pct)

    # --- the result
    run = candidates.runs[best.method][best.k_test][0].run
    exported = {"top1": 100 * among_all[best][0].mean()}
    exported |= {"masked": 100 * hits[best][0].mean()} if candidates.masked else {}
    of_k = {k: of_k[k] for k in sorted({setting.k_test for setting in settings})}
    gained = gain(best, usual)
    found = Choice(
        run=candidates.run,
        chosen_on=int(chosen_on.sum()),
        measured_on=int(measured_on.sum()),
        usual=usual,
        best=gained,
        as_it_is=gain(as_it_is, usual),
        fixing=gain(best, unfixed),
        may_fix=may_fix,
        masked=candidates.masked,
        images=known,
        times_as_long={k: times_as_long(of_k[k], of_k[usual.k_test]) for k in of_k},
        disagree=disagreements(of_k, speed["batch"]),
        speed=candidates.speed.metrics,
        best_crop_pct=best_of,
        points=points,
        among_all=[
            AmongAll(top1=100 * among_all[s][:, measured_on].mean(), **s.model_dump())
            for s in (unchanged if candidates.masked else ())
        ],
        exported=Exported(run=run, **exported, **best.model_dump()),
        batch=speed["batch"],
        notes=speed["notes"],
    )
    choice.write(args.out, found)
    won = f"{gained.gain:+.1f} points ({gained.low:.1f} to {gained.high:.1f})"
    jobs.log(f"{best.method} at k_test {best.k_test}, crop_pct {best.crop_pct:g}: {won}")


# --- what was measured ---------------------------------------------------------------------------


def read_hits(
    candidates: Candidates, results: Path, masked: bool = False
) -> tuple[Hits, np.ndarray]:
    """Which images each setting is right about, and the (n,) paths of the images.

    masked : by its logits of the classes that have images alone.

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
                name = per_image.name(per_image.metric("top1", ratio, masked), k)
                setting = Setting(method=method, k_test=k, crop_pct=ratio)
                hits[setting] = np.stack([one.values[name] for one in found])
    return hits, images


def about_images(data: manifest.Manifest, name: str) -> Images:
    """What the list of the images of dataset `name` says of them."""
    leak = manifest.leak(data, name)
    return Images(
        validation=len(data.rows("val")),
        leaked=len(data.leaked),
        classes=len(data.classes),
        absent=int(data.absent.sum()),
        notes=[note for note in data.notes if note not in leak],  # the page says more of that
    )


def prices(measured: dict, batch: int) -> dict[str, float]:
    """What a k_test costs, with the shortest and the longest round of each time."""
    alone, many = measured["latency_ms_rounds"], measured["batch_ms_rounds"]
    found = {key: measured[key] for key in ("latency_ms", "images_per_second", "megabytes")}
    found |= {"latency_ms_low": min(alone), "latency_ms_high": max(alone)}
    found |= {"images_per_second_low": 1000 * batch / max(many)}
    return found | {"images_per_second_high": 1000 * batch / min(many)}


def times_as_long(measured: dict, usual: dict) -> Times:
    """How many times as long a batch takes as at the usual k_test, and in single rounds."""
    rounds = [
        a / b for a, b in zip(*(m["batch_ms_rounds"] for m in (measured, usual)), strict=True)
    ]
    ratio = measured["batch_ms"] / usual["batch_ms"]
    return Times(ratio=ratio, low=min(rounds), high=max(rounds))


def disagreements(of_k: dict[int, dict], batch: int) -> list[str]:
    """The times whose rounds disagree, with their shortest and longest round."""
    rounds = {
        f"{k} px, {what}": measured[key]
        for k, measured in of_k.items()
        for what, key in (
            ("one image", "latency_ms_rounds"),
            (f"{batch} images", "batch_ms_rounds"),
        )
    }
    apart = {what: times for what, times in rounds.items() if not metrics.agree(times)}
    return [f"{what}: {min(t):.3g} to {max(t):.3g} ms" for what, t in apart.items()]


def order_of(setting: Setting, candidates: Candidates) -> tuple:
    """Which of two equal ones is taken: the smaller, then the usual crop_pct, then least done."""
    another = setting.crop_pct != candidates.native_crop_pct
    return setting.k_test, METHODS.index(setting.method), another, setting.crop_pct
