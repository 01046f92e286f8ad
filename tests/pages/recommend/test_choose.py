"""The choice of k_test and crop_pct for a custom network, on made-up hits."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixres import jobs
from fixres.artifacts import choice, per_image
from fixres.artifacts.manifest import Manifest
from fixres.config import ConfigError
from fixres.graph.enough import part_of
from fixres.graph.pages import Measurement
from fixres.graph.recommendation import AS_IS, CLASSIFIER, FIXED
from fixres.pages.recommend import choose

SIZES, RATIOS = (32, 40), (0.875, 1.0)
USUAL = (AS_IS, 32, 0.875)


ALIKE = [10.0, 10.1, 10.2, 10.3, 19.0]  # times of five rounds; other work met one of them


def write(
    results: Path,
    share_right,
    n: int = 600,
    seeds: int = 1,
    share: float = 0.5,
    draw: int = 0,
    masked: bool = False,
    rounds: list[float] = ALIKE,
) -> Path:
    """Evaluations of made-up networks; share_right(method, k, ratio) of their images are right.

    `masked`: of those as they are, 0.3 less are right among all classes. `rounds`: times of a
    batch at 32 px, ms.
    Returns the resolved configuration of the choice.
    """
    rng = np.random.Generator(np.random.Philox(draw))
    paths = np.array([f"val/{i % 7}/{i}.jpg".encode() for i in range(n)])
    runs: dict = {}
    for method in (AS_IS, CLASSIFIER, FIXED):
        for k in SIZES:
            for seed in range(seeds):
                run = f"runs/photos/{method.replace(' ', '')}-k{k}-s{seed}"
                files = (f"{run}/evaluation/{name}" for name in ("metrics.json", "hits.npz"))
                found_in = Measurement(run, *files).content()
                runs.setdefault(method, {}).setdefault(str(k), []).append(found_in)
                hits = {}
                for ratio in RATIOS:
                    chance, right = rng.random(n), share_right(method, k, ratio)
                    names = [per_image.metric("top1", ratio, mask) for mask in (masked, False)]
                    hits[per_image.name(names[0], k)] = chance < right
                    if masked:
                        less = 0.3 if method == AS_IS else 0.0
                        hits[per_image.name(names[1], k)] = chance < right - less
                found = per_image.PerImage(paths, hits)
                folder = results / run / "evaluation"
                per_image.save(folder / "hits.npz", found)
                about = {"run": f"{run}/evaluation", "hits": found.digest}
                jobs.write_json(folder / "metrics.json", about)
    of_k = {"latency_ms": 1.0, "batch_ms": 10.0, "images_per_second": 3200.0, "megabytes": 50.0}
    of_k |= {"latency_ms_rounds": [1.0] * 5, "batch_ms_rounds": rounds}
    longer = {"latency_ms": 1.5, "batch_ms": 16.0, "batch_ms_rounds": [1.6 * t for t in ALIKE]}
    times = {"32": of_k, "40": of_k | longer}
    speed = {"run": "speed/photos/net", "batch": 32, "k_test": times, "notes": ["made up"]}
    jobs.write_json(results / "speed/photos/net/metrics.json", speed)
    config = {
        "stage": "choose",
        "run": "recommend/net/choice",
        "network": "net",
        "dataset": "photos",
        "runs": runs,
        "native": 32,
        "native_crop_pct": 0.875,
        "crop_pct": list(RATIOS),
        "share": share,
        "masked": masked,
        "speed": Measurement("speed/photos/net", "speed/photos/net/metrics.json").content(),
    }
    file = results / "recommend/net/choice/config.json"
    file.parent.mkdir(parents=True)
    file.write_text(jobs.canonical(config))
    return file


def listed(file: Path, leaked: int, classes: int = 2) -> Path:
    """A list of 600 validation images of two classes; the first `leaked` are training images."""
    paths = [*(f"val/{i}.jpg" for i in range(600)), *(f"train/{i}.jpg" for i in range(600))]
    size, sums = np.full(1200, 50, np.int32), np.arange(1, 1201, dtype=np.uint64)
    sums[600 : 600 + leaked] = sums[:leaked]
    columns = {"label": np.arange(1200, dtype=np.int32) % 2, "height": size, "width": size}
    columns |= {"path": np.array(paths, "S"), "split": np.repeat([1, 0], 600).astype(np.uint8)}
    columns |= {"checksum": sums, "object_size": np.zeros(1200, np.float32)}
    names, notes = tuple(f"class {i}" for i in range(classes)), ("left out as bad: 3 unreadable.",)
    Manifest(Path("/photos"), names, **columns, notes=notes).save(file)
    return file


def chosen(results: Path, share_right, leaked=0, classes=2, **how) -> choice.Choice:
    config, out = write(results, share_right, **how), results / "recommend/net/choice/choice.json"
    images = listed(results / "data/photos/manifest.npz", leaked, classes)
    options = {"--config": config, "--results": results, "--out": out, "--manifest": images}
    choose.main([str(word) for pair in options.items() for word in pair])
    return choice.read(out)


def of(setting: choice.Setting) -> tuple[str, int, float]:
    return setting.method, setting.k_test, setting.crop_pct


def better_fixed_at_40(method: str, k: int, ratio: float) -> float:
    if (method, k, ratio) == (FIXED, 40, 1.0):
        return 0.9
    return 0.7 if (method, k, ratio) == (AS_IS, 40, 0.875) else 0.4


def test_the_best_on_one_part_is_measured_on_the_other(tmp_path):
    found = chosen(tmp_path, better_fixed_at_40, draw=1)
    best, as_it_is, fixing = found.best, found.as_it_is.setting, found.fixing
    assert of(best.setting) == (FIXED, 40, 1.0)
    assert (as_it_is.k_test, as_it_is.crop_pct) == (40, 0.875)
    assert best.low < 50 < best.high  # what was put in, in points
    assert fixing.low < 20 < fixing.high
    assert {k: times.ratio for k, times in found.times_as_long.items()} == {32: 1, 40: 1.6}
    assert {point.latency_ms for point in found.points if point.k_test == 40} == {1.5}
    assert found.exported.run == "runs/photos/classifier+norm-k40-s0"
    assert found.exported.top1 == pytest.approx(90, abs=4)

    # The gain, counted by hand on the images that nothing was chosen on.
    def hits(run: str, ratio: float) -> np.ndarray:
        folder = tmp_path / run / "evaluation"
        found = per_image.load(folder / "hits.npz", jobs.read_json(folder / "metrics.json")["hits"])
        others = ~part_of(found.images, 0.5)
        k = int(run.split("-k")[1].split("-")[0])
        return found.values[per_image.name(per_image.metric("top1", ratio), k)][others]

    right = hits("runs/photos/classifier+norm-k40-s0", 1.0)
    usual = hits("runs/photos/asitis-k32-s0", 0.875)
    assert found.measured_on == len(right)
    assert best.gain == pytest.approx(100 * (right.mean() - usual.mean()))


def test_what_looks_best_by_chance_is_not_called_a_gain(tmp_path):
    """All settings are equally good. The best of twelve looks better where it was chosen only."""
    looked, measured = [], []
    for i in range(12):
        found = chosen(tmp_path / str(i), lambda *_: 0.5, n=200, draw=i)
        at = {of(point): point.chosen_on for point in found.points}
        looked.append(at[of(found.best.setting)] - at[of(found.usual)])
        measured.append(found.best.gain)
    assert np.mean(looked) > 5
    assert abs(np.mean(measured)) < 3


def test_of_equal_settings_the_cheapest_and_least_changed_is_taken(tmp_path):
    best = chosen(tmp_path, lambda *_: 1.0).best
    assert of(best.setting) == USUAL
    assert best.gain == 0


def test_too_few_images_are_an_error(tmp_path):
    message = r"custom\.choice: 0\.01 of the 600 .* leaves too few \(got \d+ to choose on"
    with pytest.raises(ConfigError, match=message):
        chosen(tmp_path, better_fixed_at_40, share=0.01)


def test_a_fine_tuning_that_unlearns_absent_classes_gains_nothing(tmp_path):
    """Masked, all are as good; among all classes, a fine-tuned one looks 30 points better."""
    found = chosen(tmp_path, lambda *_: 0.8, masked=True, classes=9)
    assert found.masked
    assert (found.images.classes, found.images.absent) == (9, 7)
    assert found.best.low <= 0
    assert {point.top1 > 70 for point in found.points} == {True}
    assert {one.top1 < 60 for one in found.among_all} == {True}
    assert len(found.among_all) == len(SIZES) * len(RATIOS)
    assert found.exported.masked == pytest.approx(80, abs=5)


@pytest.mark.parametrize(("leaked", "method"), [(0, FIXED), (6, FIXED), (7, AS_IS)])
def test_no_fine_tuning_is_chosen_on_images_that_it_has_seen(tmp_path, leaked, method):
    found = chosen(tmp_path, better_fixed_at_40, leaked=leaked)
    assert (found.images.leaked, found.images.validation) == (leaked, 600)
    assert found.best.setting.method == method
    assert {point.method for point in found.points} == {AS_IS, CLASSIFIER, FIXED}  # shown they are


def test_what_is_known_of_the_images_goes_to_the_page(tmp_path):
    assert chosen(tmp_path, better_fixed_at_40).images.notes == ("left out as bad: 3 unreadable.",)


@pytest.mark.parametrize(
    ("rounds", "disagree"),
    [(ALIKE, ()), ([0.25, 1.8, 1.9, 40, 110], ("32 px, 32 images: 0.25 to 110 ms",))],
)
def test_rounds_that_disagree_are_said(tmp_path, rounds, disagree):
    found = chosen(tmp_path, better_fixed_at_40, rounds=rounds)
    assert found.disagree == disagree
    [at_40] = {(p.images_per_second_low < p.images_per_second_high) for p in found.points}
    assert at_40
    assert found.times_as_long[40].low <= found.times_as_long[40].high


@settings(max_examples=30, deadline=None)
@given(st.sets(st.binary(min_size=1, max_size=30), min_size=1, max_size=60), st.data())
def test_an_image_stays_in_its_part_whatever_others_there_are(paths, data):
    some = sorted(data.draw(st.sets(st.sampled_from(sorted(paths)), min_size=1)))
    of_all = dict(zip(sorted(paths), part_of(as_array(sorted(paths)), 0.3), strict=True))
    assert [of_all[p] for p in some] == list(part_of(as_array(some), 0.3))


def as_array(paths: list[bytes]) -> np.ndarray:
    return np.array(paths, dtype=object)


def test_the_parts_have_the_shares_that_were_asked_for():
    paths = as_array([f"val/{i}.jpg".encode() for i in range(20_000)])
    assert part_of(paths, 0.3).mean() == pytest.approx(0.3, abs=0.02)
