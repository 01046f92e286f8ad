"""What crops show of objects whose boxes are known, for the job of apparent sizes (§3.1).

§3.1 takes objects that are far smaller than the image. A larger one is cut off at the edges of the
RoC, so its visible part cannot be larger than the crop.
"""

import numpy as np

from fixres.artifacts.per_image import OBJECTS, among
from fixres.data.regions import areas, overlaps

Pair = tuple[np.ndarray, np.ndarray]  # of train DA (draws, n, …), and of test DA (n, …)
METRICS = ("size_ratio", "visible_train", "visible_test", "visible_ratio", "visible_ratio_log")
METRICS += ("in_crop_ratio", "in_crop_ratio_log", "shown_train", "shown_test")


def shown_of_objects(
    box: np.ndarray, image_size: np.ndarray, rocs: Pair, s: Pair
) -> tuple[dict[str, np.ndarray], dict[str, int | None]]:
    """Measure what RoCs show of objects, for each group of `OBJECTS`.

    Parameters
    ----------
    box : (n, 4) x0, y0, x1, y1 in pixels of the input image; NaN where unknown.
    image_size : (n,) sqrt(HW), pixels.
    rocs : x0, y0, x1, y1, pixels of the input image.
    s : pixels of the crop for each pixel of the image (eq. 1).

    Returns
    -------
    Metric -> (n,) numbers, whose mean over all n images is the metric:

    size_ratio : eq. (4), per cent.
    visible_train, visible_test : sqrt(visible area) · s, pixels of the crop; means.
    visible_ratio : the second over the first, per cent. in_crop_ratio : the same, of crops that
        show something of the object. …_log : their logarithms.
    shown_train, shown_test : the visible share of the object's area, per cent.

    And metric -> number: objects, how many there are. Where nothing of them is ever shown, the
    other metrics are None.
    """
    (rocs_train, rocs_test), (s_train, s_test) = rocs, s
    known = np.isfinite(box).all(axis=1)
    box = np.where(known[:, None], box, [0, 0, 1, 1]).astype(float)
    area = areas(box)
    share = np.sqrt(area) / image_size
    train = np.stack([overlaps(roc, box) for roc in rocs_train])
    test = overlaps(rocs_test, box)
    of_each = {
        "size_ratio": 100 * (s_test / s_train).mean(axis=0),
        "visible_train": (np.sqrt(train) * s_train).mean(axis=0),
        "visible_test": np.sqrt(test) * s_test,
        "shown_train": 100 * (train / area).mean(axis=0),
        "shown_test": 100 * test / area,
    }
    in_crop = (train > 0).mean(axis=0), test > 0
    found: dict[str, np.ndarray] = {}
    counts: dict[str, int | None] = {}
    for name, (low, high) in OBJECTS.items():
        chosen = known & (low <= share) & (share < high)
        counts[among("objects", name)] = int(chosen.sum())
        if all((chosen & (shown > 0)).any() for shown in in_crop):
            of_group = _of_group(chosen, of_each, in_crop)
            found |= {among(metric, name): v.astype(np.float32) for metric, v in of_group.items()}
        else:
            counts |= {among(metric, name): None for metric in METRICS}
    return found, counts


def _of_group(
    chosen: np.ndarray, of_each: dict[str, np.ndarray], in_crop: Pair
) -> dict[str, np.ndarray]:
    """The metrics of some objects."""
    found = {metric: ratio_of_means(v * chosen, chosen) for metric, v in of_each.items()}
    visible = found["visible_train"], found["visible_test"]
    seen = [
        ratio_of_means(of_each[at] * chosen, shown * chosen)
        for at, shown in zip(("visible_train", "visible_test"), in_crop, strict=True)
    ]
    for name, (at_train, at_test) in (("visible_ratio", visible), ("in_crop_ratio", seen)):
        ratio = ratio_of_means(at_test, at_train)
        found[name] = 100 * ratio
        found[f"{name}_log"] = np.log(ratio.mean()) + ratio / ratio.mean() - 1
    return found


def ratio_of_means(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n,) numbers whose mean is mean(a) / mean(b), and which vary from image to image as it does.

    So their bootstrap over images is the bootstrap of the ratio (to first order: the delta method).
    With b = 1 for some images and 0 for the others, it is the mean of a over the former.
    """
    ratio = a.mean() / b.mean()
    return ratio + (a - ratio * b) / b.mean()
