"""The choice: at which k_test and crop_pct to test a network, and what fixing it gains there.

One setting is chosen on all validation images (rule.py). Measured on the images that it was chosen
on, it would look better than it is. So gains are measured by choosing on one half of the images for
the other half, and the other way round. No image is lost, and none measures what was chosen on it.
Which half an image belongs to follows from its path (SHA-256), so further images move no other.

Each gain is paired: both sides have the same images and seeds. Its 95% interval is computed
as on all pages (pages/intervals.py).

A network that knows more classes than there are is compared with its logits masked, as it is and
fine-tuned: a fine-tuning that only unlearns absent classes gains nothing over that. Where more than
LEAKED of the validation images are training images, no fine-tuning is chosen.
"""

from pathlib import Path

import numpy as np

from fixres import jobs
from fixres.artifacts import choice, manifest, metrics, per_image
from fixres.artifacts.choice import AmongAll, Choice, Exported, Gain, Images, Point, Setting, Times
from fixres.graph.enough import check_halves, first_half
from fixres.graph.pages import Candidates
from fixres.graph.recommendation import AS_IS, LEAKED, METHODS, TRAINED
from fixres.pages import command
from fixres.pages.intervals import interval, resample
from fixres.pages.recommend.rule import Hits, Options, Picked, choose, digest_of


def main(arguments: list[str]) -> None:
    candidates, args = command.read(arguments, "choose", __doc__, Candidates, "manifest")
    hits, images = read_hits(candidates, args.results, candidates.masked)
    among_all = read_hits(candidates, args.results)[0] if candidates.masked else hits
    speed = metrics.read(args.results / candidates.speed.metrics)
    settings = sorted(hits, key=lambda s: (s.k_test, METHODS.index(s.method), s.crop_pct))
    of_k = {s.k_test: speed["k_test"][str(s.k_test)] for s in settings}
    disagree = disagreements(of_k, speed["batch"])
    known = about_images(manifest.load(args.manifest), candidates.dataset)
    may_fix = known.leaked <= LEAKED * known.validation

    # --- choose on all images, and on each half of them
    allowed = [s for s in settings if may_fix or s.method not in TRAINED]
    options = Options(
        {s: price(s, of_k, candidates, compare_times=not disagree) for s in allowed},
        Setting(method=AS_IS, k_test=candidates.native, crop_pct=candidates.native_crop_pct),
    )
    first = first_half(images)
    check_halves(first, candidates.dataset)
    picked = choose(hits, images, first, options)

    # --- measure what each half chose, on the other
    unseen = {name: one.unseen for name, one in picked._asdict().items() if isinstance(one, Picked)}
    measured = hits | unseen
    replicas = resample(measured, digest_of(images))

    def gain(setting: Setting, what: str, over: Setting | str) -> Gain:
        points = 100 * float(measured[what].mean() - measured[over].mean())
        low, high = interval(replicas[what] - replicas[over])
        halves = getattr(picked, what).halves
        return Gain(setting=setting, gain=points, low=low, high=high, halves=halves)

    def point(s: Setting) -> Point:
        low, high = interval(replicas[s])
        about = {"top1": 100 * hits[s].mean(), "low": low, "high": high}
        about |= {"not_told_apart": s in picked.not_told_apart}
        return Point(**s.model_dump(), **about, **prices(of_k[s.k_test], speed["batch"]))

    # --- the result
    chosen = gain(picked.recommended, "at_price", over=options.usual)
    recommended = options.usual if chosen.high < 0 else chosen.setting
    run = candidates.runs[recommended.method][recommended.k_test][0].run
    exported = {"top1": 100 * among_all[recommended][0].mean()}
    exported |= {"masked": 100 * hits[recommended][0].mean()} if candidates.masked else {}
    best_of = {}  # method -> k_test -> its best crop_pct, of equal ones the usual
    native_first = sorted(settings, key=lambda s: s.crop_pct != candidates.native_crop_pct)
    for s in sorted(native_first, key=lambda s: -hits[s].sum()):
        best_of.setdefault(s.method, {}).setdefault(s.k_test, s.crop_pct)
    choice.write(
        args.out,
        Choice(
            run=candidates.run,
            halves=(int(first.sum()), int((~first).sum())),
            usual=options.usual,
            recommended=recommended,
            chosen=chosen,
            most_accurate=gain(picked.most_accurate.setting, "most_accurate", over=recommended),
            as_it_is=gain(picked.as_it_is, "at_price_as_it_is", over=options.usual),
            fixing=gain(picked.recommended, "done", over="not_done"),
            may_fix=may_fix,
            masked=candidates.masked,
            images=known,
            times_as_long={k: times_as_long(of_k[k], of_k[options.usual.k_test]) for k in of_k},
            disagree=disagree,
            speed=candidates.speed.metrics,
            best_crop_pct=best_of,
            points=[point(s) for s in settings],
            among_all=[
                AmongAll(top1=100 * among_all[s].mean(), **s.model_dump())
                for s in settings
                if candidates.masked and s.method == AS_IS
            ],
            exported=Exported(run=run, **exported, **recommended.model_dump()),
            batch=speed["batch"],
            notes=speed["notes"],
        ),
    )
    won = f"{chosen.gain:+.1f} points ({chosen.low:.1f} to {chosen.high:.1f})"
    at = f"{recommended.method} at k_test {recommended.k_test}, crop_pct {recommended.crop_pct:g}"
    jobs.log(f"{at}: {won}")


# --- what was measured ---------------------------------------------------------------------------


def read_hits(
    candidates: Candidates, results: Path, masked: bool = False
) -> tuple[Hits, np.ndarray]:
    """Which images each setting is correct on, and the (n,) paths of the images.

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
                    others = "different images from the other runs"
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


def price(
    setting: Setting, of_k: dict[int, dict], candidates: Candidates, compare_times: bool
) -> tuple:
    """What sorts first is cheaper: it takes less time, or less is done to the network.

    compare_times : whether times can be told apart; if not, the smaller k_test is the cheaper one.
    """
    k, another = setting.k_test, setting.crop_pct != candidates.native_crop_pct
    time = of_k[k]["batch_ms"] if compare_times else 0
    return time, k, METHODS.index(setting.method), another
