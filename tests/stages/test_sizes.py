"""The job of apparent sizes, and the job that cuts Figure 1's crops."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from bench import TRAIN, Bench
from fixres.artifacts import per_image
from fixres.data import regions
from fixres.hardware.ranks import ALONE
from fixres.stages import crops, objects, sgd, sizes, train
from shared import fixres

DRAWING = {
    "seed": 0,
    "epochs": 3,
    "augmentation": {"name": "train DA", "area": [0.08, 1.0], "aspect": [0.75, 4 / 3]},
    "test_resize": "paper",
}
SIZES = DRAWING | {
    "stage": "sizes",
    "version": 1,
    "run": "sizes/tiny/k32-k48",
    "k_train": 32,
    "k_test": 48,
    "images": 50_000,
    "samples_per_epoch": 96,
    "batch_size": 12,
    "repeated_augmentation": 3,
}
CROPS = DRAWING | {
    "stage": "crops",
    "version": 1,
    "run": "sizes/tiny/crops-k32",
    "k_train": 32,
    "k_trains": [24, 32],
    "k_tests": [32, 48],
    "images": 500,
}


def run(bench: Bench, config: dict, out: str):
    """Run a stage that takes no threads."""
    words = bench.command(config, out=out)
    at = words.index("--threads")
    result = fixres(*words[:at], *words[at + 2 :])
    assert result.returncode == 0, result.stderr
    return result


def measured(bench: Bench, config: dict = SIZES) -> tuple[dict, per_image.PerImage]:
    run(bench, config, "metrics.json")
    metrics = json.loads((bench.folder / "metrics.json").read_text())
    return metrics, per_image.load(bench.folder / "samples.npz", metrics["samples"])


@pytest.fixture(scope="module")
def found(tmp_path_factory, tiny):
    return measured(Bench(tmp_path_factory.mktemp("sizes"), tiny))


def test_the_rocs_are_those_that_the_training_cuts(found, tiny):
    """Each image's mean ratio over three epochs, from the requests of the training itself."""
    plain = {"recipe": TRAIN["recipe"] | {"repeated_augmentation": 1}}
    batch = sgd.batching(plain["recipe"], ALONE, "base_training")
    ratios: dict[bytes, list[float]] = {}
    shares: list[float] = []
    for [request] in train.requests(TRAIN | plain, tiny, 0, batch, ALONE):
        rows, box = request.rocs.image, request.rocs.box
        h, w = tiny.height[rows], tiny.width[rows]
        for row, (x0, y0, x1, y1), height, width in zip(rows, box, h, w, strict=True):
            # Eqs. (1) and (3): the test transform scales the shorter side to 256/224 · 48 = 54.
            s_test = 54 / min(height, width)
            s_train = 32 / np.sqrt((x1 - x0) * (y1 - y0))
            ratios.setdefault(tiny.path[row], []).append(s_test / s_train)
            shares.append((x1 - x0) * (y1 - y0) / (height * width))
    metrics, samples = found
    assert {len(r) for r in ratios.values()} == {3}
    expected = [np.mean(ratios[path]) for path in samples.images.tolist()]
    # The longer side is floored to whole pixels.
    assert samples.values["ratio"] == pytest.approx(expected, rel=0.01)
    assert metrics["ratio"] == pytest.approx(np.mean(expected), rel=0.005)
    logs = [np.log(r).mean() for r in ratios.values()]
    assert metrics["log_ratio"] == pytest.approx(np.mean(logs), abs=0.005)
    assert metrics["least_ratio"] == pytest.approx(min(map(min, ratios.values())), rel=0.01)
    assert metrics["train_area"] == pytest.approx(np.mean(shares))
    edges = np.linspace(0, 1, 101)
    assert metrics["train_areas"] == pytest.approx(np.histogram(shares, edges)[0] / len(shares))


def test_true_sizes_are_scaled_as_the_crops_are(found, tiny):
    metrics, samples = found
    rows = tiny.rows("train")
    r = tiny.object_size[rows]
    shorter = np.minimum(tiny.height[rows], tiny.width[rows])
    assert samples.values["r_test"] == pytest.approx(r * 54 / shorter, rel=0.01)
    assert metrics["r_train"] == pytest.approx(samples.values["r_train"].mean())
    assert metrics["expected_ratio"] == pytest.approx(regions.expected_size_ratio(32, 48))
    assert metrics["margin"] == 54 / 32
    area = tiny.height[rows].astype(float) * tiny.width[rows]
    assert samples.values["image_size"] == pytest.approx(np.sqrt(area))
    assert sum(metrics["test_areas"]) == pytest.approx(1)


def test_an_epoch_with_repeated_augmentation_shows_a_third_of_the_images(found):
    """96 crops, each image three times: 32 of 96 images."""
    assert found[0]["seen"] == pytest.approx(100 / 3)


def test_images_without_true_sizes_have_the_same_ratio(found, tiny, bench):
    """Photographs: the object's size cancels (eq. 4)."""
    blind = replace(tiny, object_size=np.full_like(tiny.object_size, np.nan))
    metrics, samples = measured(Bench(bench.folder, blind))
    assert set(found[1].values) - set(samples.values) == {"r_train", "r_test"}
    assert metrics["ratio"] == found[0]["ratio"]
    assert "NaN" not in (bench.folder / "metrics.json").read_text()


# --- objects with boxes -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def boxed(tiny):
    """The tiny set with a box around every second object, of all sizes and places."""
    rng, n = np.random.default_rng(0), len(tiny.path)
    ends = np.sort(rng.uniform(-0.3, 1.3, (n, 2, 2)).clip(0, 1), axis=1)  # image, end, axis
    box = ends.reshape(n, 4) * np.stack([tiny.width, tiny.height] * 2, axis=1)
    box[::2] = np.nan
    size = np.sqrt((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]))
    box[size < 1], size[size < 1] = np.nan, np.nan
    return replace(tiny, box=box.astype(np.float32), object_size=size.astype(np.float32))


def looks(data, row: int, rocs: regions.Rocs, at: int, k: int) -> tuple[float, float]:
    """The visible size of an object in a crop, and the visible share of its area."""
    x0, y0, x1, y1 = data.box[row].astype(float)
    a0, b0, a1, b1 = rocs.box[at]
    across, down = max(min(x1, a1) - max(x0, a0), 0), max(min(y1, b1) - max(y0, b0), 0)
    area, roc = (x1 - x0) * (y1 - y0), (a1 - a0) * (b1 - b0)
    return np.sqrt(across * down * k * k / roc), across * down / area


def test_what_crops_show_of_objects_with_boxes(boxed, tmp_path, found):
    """Object by object, draw by draw, for each group of objects. The rest is as without boxes."""
    metrics, samples = measured(Bench(tmp_path, boxed))
    assert samples.values["ratio"] == pytest.approx(found[1].values["ratio"])
    assert all(np.isfinite(values).all() for values in samples.values.values())
    rows = boxed.rows("train")
    train = [sizes.train_rocs(SIZES, boxed, rows, 32, epoch) for epoch in range(3)]
    test = sizes.test_rocs(SIZES, boxed, rows, 48)
    groups = {name: ([], []) for name in per_image.OBJECTS}
    for at, row in enumerate(rows):
        if np.isfinite(boxed.box[row]).all():
            share = boxed.object_size[row] / np.sqrt(boxed.height[row] * boxed.width[row])
            for name, (low, high) in per_image.OBJECTS.items():
                if low <= share < high:
                    groups[name][0].append([looks(boxed, row, rocs, at, 32) for rocs in train])
                    groups[name][1].append([looks(boxed, row, test, at, 48)])
    assert sum(metrics[f"objects, {name}"] for name in list(groups)[1:]) == len(groups["all"][0])
    for name, (in_training, in_testing) in groups.items():
        (a, shown_a), (b, shown_b) = (
            np.moveaxis(np.array(of), 2, 0) for of in (in_training, in_testing)
        )
        expected = {
            "objects": len(a),
            "visible_train": a.mean(),
            "visible_test": b.mean(),
            "visible_ratio": 100 * b.mean() / a.mean(),
            "visible_ratio_log": np.log(b.mean() / a.mean()),
            "in_crop_ratio": 100 * b[b > 0].mean() / a[a > 0].mean(),
            "shown_train": 100 * shown_a.mean(),
            "shown_test": 100 * shown_b.mean(),
        }
        of_group = {key: metrics[per_image.among(key, name)] for key in expected}
        assert of_group == pytest.approx(expected, rel=1e-4)
    assert metrics["r_test"] == pytest.approx(
        np.nanmean(boxed.object_size[rows] * regions.scales(test, 48))
    )


def test_groups_without_objects_have_no_numbers(boxed, tmp_path):
    """Boxes of validation images alone, as in copies that lack the lists of the training images."""
    blind = boxed.box.copy()
    blind[boxed.rows("train")] = np.nan
    nothing = np.full_like(boxed.object_size, np.nan)
    bench = Bench(tmp_path, replace(boxed, box=blind, object_size=nothing))
    metrics, samples = measured(bench)
    assert metrics["objects, all"] == 0
    assert metrics["visible_ratio, all"] is None
    assert not any("," in name for name in samples.values)


def test_a_ratio_of_means_varies_as_its_linear_form():
    """The bootstrap of the numbers against the bootstrap of the ratio itself."""
    rng = np.random.default_rng(1)
    b = rng.uniform(1, 3, 400) * (rng.random(400) < 0.5)
    a = b * rng.uniform(0.5, 1.5, 400)
    drawn = rng.integers(400, size=(2000, 400))
    ratios, numbers = a[drawn].sum(axis=1) / b[drawn].sum(axis=1), objects.ratio_of_means(a, b)
    assert numbers.mean() == pytest.approx(a.sum() / b.sum())
    assert numbers[drawn].mean(axis=1).std() == pytest.approx(ratios.std(), rel=0.05)


def test_few_of_many_images_are_the_same_at_every_seed(tiny, bench):
    few = [measured(bench, SIZES | {"images": 20, "seed": seed})[1] for seed in (0, 1)]
    assert len(few[0].images) == 20
    assert few[0].image_set == few[1].image_set
    assert not np.array_equal(few[0].values["ratio"], few[1].values["ratio"])


def test_the_crops_of_figure_1_are_cut_from_the_image(tiny, bench):
    """The test crop against torchvision's transform; the train crop against Pillow."""
    from torchvision.transforms import v2

    run(bench, CROPS, "crops.npz")
    with np.load(bench.folder / "crops.npz") as archive:
        made = {name: archive[name] for name in archive.files}
    file = tiny.folder / made["path"].item().decode()
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    assert np.array_equal(made["image"], np.asarray(image))
    box = tuple(int(v) for v in made["train_box"])
    for k in (24, 32):
        cut = image.crop(box).resize((k, k), Image.Resampling.BILINEAR)
        assert np.array_equal(made[f"train {k}"], np.asarray(cut))
        side = np.sqrt((box[2] - box[0]) * (box[3] - box[1]))
        assert made[f"train {k} scale"] == pytest.approx(k / side)
    for k in (32, 48):
        theirs = v2.Compose([v2.Resize(256 * k // 224), v2.CenterCrop(k)])(image)
        difference = np.abs(made[f"test {k}"].astype(int) - np.asarray(theirs).astype(int))
        assert difference.max() <= 2
    row = int(np.flatnonzero(tiny.path == made["path"])[0])
    assert tiny.split[row] == 0
    assert made["object_size"] == tiny.object_size[row]


@pytest.mark.parametrize("known", [True, False])
def test_the_image_of_figure_1_is_typical(tiny, known):
    """Its RoC holds the middle of the image and is nearly square.

    It magnifies as eq. (5) says, if the object leaves room: those of this set are large.
    """
    data = tiny
    if not known:
        data = replace(tiny, object_size=np.full_like(tiny.object_size, np.nan))
    row, epoch = crops.most_typical(CROPS | {"epochs": 10}, data)
    train_da, rows = regions.Augmentation(**CROPS["augmentation"]), np.array([row])
    view = regions.rocs(train_da, 32, rows, data.height[rows], data.width[rows], 0, epoch)
    x0, y0, x1, y1 = view.box[0]
    h, w = tiny.height[row], tiny.width[row]
    reach = tiny.object_size[row] if known else 0.25 * np.sqrt(h * w)
    assert x0 <= w / 2 - reach < w / 2 + reach <= x1
    assert y0 <= h / 2 - reach < h / 2 + reach <= y1
    assert 0.8 < (x1 - x0) / (y1 - y0) < 1.25
    assert not view.flip[0]
    ratio = 36 / min(h, w) / (32 / np.sqrt((x1 - x0) * (y1 - y0)))
    assert ratio == pytest.approx(regions.expected_size_ratio(32, 32), rel=0.4 if known else 0.1)


def test_where_no_roc_shows_an_object_the_best_is_taken(tiny):
    small = CROPS | {"augmentation": CROPS["augmentation"] | {"area": [0.01, 0.02]}}
    row, epoch = crops.most_typical(small, tiny)
    assert row in tiny.rows("train")
    assert 0 <= epoch < 3


def test_the_crops_of_figure_1_show_an_object_with_its_box(boxed, tmp_path):
    """Most boxes are far from the middle. Both RoCs hold the one that is chosen."""
    bench = Bench(tmp_path, boxed)
    run(bench, CROPS | {"epochs": 10}, "crops.npz")
    with np.load(tmp_path / "crops.npz") as archive:
        made = {name: archive[name] for name in archive.files}
    [row] = np.flatnonzero(boxed.path == made["path"])
    assert np.array_equal(made["object_box"], boxed.box[row])
    assert made["object_size"] == boxed.object_size[row]
    for when in ("train", "test"):
        x0, y0, x1, y1 = made[f"{when}_box"]
        a0, b0, a1, b1 = made["object_box"]
        assert x0 <= a0 <= a1 <= x1
        assert y0 <= b0 <= b1 <= y1


def test_figure_1_looks_at_images_of_all_classes_where_objects_have_boxes(boxed, tiny):
    rows = tiny.rows("train")
    assert np.array_equal(crops._searched(tiny, 20), rows[:20])
    found = crops._searched(boxed, 20)
    assert len(found) == 20
    assert (found[0], found[-1]) == (rows[0], rows[-1])
    assert np.array_equal(crops._searched(boxed, 500), rows)
