"""Apparent sizes: how large objects look in the crops of train DA and of test DA (§3.1).

No network takes part. The RoCs of train DA are those that the training with this seed draws, in its
first epochs; test DA is applied to the same training images. For each RoC the job knows how much it
magnifies (eq. 1). The ratio r_test/r_train of eq. (4) follows for every image, since the object's
own size cancels. Where the manifest knows that size, the job also gives r_train and r_test.

Where the manifest knows the box around the object, the job measures what this model leaves out: an
object is cut off at the edges of a RoC, and the network sees the visible part (objects.py).

samples.npz next to the result has the numbers of each image, means over its draws.
"""

import numpy as np

from fixres import jobs
from fixres.artifacts import manifest, metrics, per_image
from fixres.data import regions, sampling
from fixres.data.regions import area_shares, scales
from fixres.stages.objects import ratio_of_means, shown_of_objects

BINS = 100  # of the histograms of RoC area over image area, from 0 to 1
Pair = tuple[np.ndarray, np.ndarray]  # of train DA (draws, n), and of test DA (n,)


def main(arguments: list[str]) -> None:
    args = jobs.parser("sizes", __doc__, "manifest", "out", threads=False).parse_args(arguments)
    config = jobs.read_config(args.config, "sizes", args.ancestry_digest)

    # The images, and the RoCs that are drawn of them.
    data = manifest.load(args.manifest)
    everything = data.rows("train")
    rows = sampling.random_subset(everything, config["images"], 0)  # the same at every seed
    k_train, k_test = config["k_train"], config["k_test"]
    train = [train_rocs(config, data, rows, k_train, e) for e in range(config["epochs"])]
    test = test_rocs(config, data, rows, k_test)
    jobs.log(f"{config['run']}: {len(rows)} training images, {len(train)} RoCs of each")

    # What they make of the image.
    h, w = data.height[rows], data.width[rows]
    areas = np.stack([area_shares(rocs, h, w) for rocs in train]), area_shares(test, h, w)
    s_train, s_test = np.stack([scales(rocs, k_train) for rocs in train]), scales(test, k_test)
    found = of_each_image(data.object_size[rows], areas, (s_train, s_test))
    found["image_size"] = np.sqrt(h.astype(float) * w)  # sqrt(HW), pixels

    counts: dict[str, int | None] = {}
    if data.box is not None:
        seen_at = np.stack([rocs.box for rocs in train]), test.box
        s, sizes = (s_train, s_test), found["image_size"]
        of_boxes, counts = shown_of_objects(data.box[rows], sizes, seen_at, s)
        found |= of_boxes

    # Means over the images, and what is said of all images together.
    measured = counts | {name: float(v.mean(dtype=float)) for name, v in found.items()}
    measured |= {
        "train_areas": histogram(areas[0]),
        "test_areas": histogram(areas[1]),
        "least_ratio": float((s_test / s_train).min()),
        **expected(config),
        "seen": seen(config, len(everything)),
    }
    for name in ("expected_ratio", "ratio", "least_ratio"):
        jobs.log(f"{name}: {measured[name]:.4f}")
    about = {"run": config["run"], "images": len(rows), "notes": list(data.notes)}
    metrics.write(args.out, about | measured, samples=per_image.PerImage(data.path[rows], found))


def train_rocs(
    config: dict, data: manifest.Manifest, rows: np.ndarray, k: int, epoch: int
) -> regions.Rocs:
    """The crops that training draws of some images in an epoch; the first of its copies."""
    train_da = regions.Augmentation(**config["augmentation"])
    h, w = data.height[rows], data.width[rows]
    return regions.rocs(train_da, k, rows, h, w, config["seed"], epoch)


def test_rocs(config: dict, data: manifest.Manifest, rows: np.ndarray, k: int) -> regions.Rocs:
    """The crops of some images under test DA."""
    test_da = regions.Augmentation("test DA", test_resize=config["test_resize"])
    return regions.rocs(test_da, k, rows, data.height[rows], data.width[rows])


def of_each_image(object_size: np.ndarray, areas: Pair, s: Pair) -> dict[str, np.ndarray]:
    """Metric -> (n,) numbers, means over the draws of each image.

    Parameters
    ----------
    object_size : (n,) r in pixels of the input image; NaN where unknown. The apparent sizes are
        means over the known ones (`ratio_of_means`).
    areas : of the RoC, over that of the image.
    s : pixels of the crop for each pixel of the image (eq. 1).
    """
    (train_areas, test_areas), (s_train, s_test) = areas, s
    ratio = s_test / s_train  # eq. (4)
    found = {
        "ratio": ratio.mean(axis=0),
        "log_ratio": np.log(ratio).mean(axis=0),
        "train_area": train_areas.mean(axis=0),
        "test_area": test_areas,
    }
    if (known := np.isfinite(object_size)).any():
        r = object_size.astype(float)
        apparent = {"r_train": r * s_train.mean(axis=0), "r_test": r * s_test}  # eqs. (2) and (3)
        if not known.all():
            means = apparent.items()
            apparent = {name: ratio_of_means(np.where(known, v, 0), known) for name, v in means}
        found |= apparent
    return found


def histogram(shares: np.ndarray) -> list[float]:
    """The share of the numbers in each of `BINS` equal parts of [0, 1]."""
    counts, _ = np.histogram(shares, bins=BINS, range=(0, 1))
    return (counts / shares.size).tolist()


def expected(config: dict) -> dict[str, float]:
    """The numbers of §3.1.2 in closed form: E[r_test/r_train] (eq. 5), k_test_image / k_train."""
    k_train, k_test, area = config["k_train"], config["k_test"], config["augmentation"]["area"]
    return {
        "expected_ratio": regions.expected_size_ratio(k_train, k_test, tuple(area)),
        "margin": regions.test_image_size(k_test) / k_train,
    }


def seen(config: dict, images: int) -> float:
    """How many of the training images the first epoch of a training shows, in per cent."""
    samples, batch = config["samples_per_epoch"] or images, config["batch_size"]
    image, _ = sampling.order(config["seed"], 0, images, samples, config["repeated_augmentation"])
    return 100 * len(np.unique(image[: samples // batch * batch])) / images
