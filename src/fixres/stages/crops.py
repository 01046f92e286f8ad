"""The crops of one image, for Figure 1: under train DA and under test DA, at several resolutions.

The image is a training image, with a RoC that its training draws. From many of them, the job takes
the most typical: the RoC shows the object, magnifies as train DA does on average (eq. 5), and is
nearly a square; and the object is of middling size.
"""

import numpy as np

from fixres import jobs
from fixres.artifacts import manifest
from fixres.data import loader, regions
from fixres.data.listed_files import ListedFiles
from fixres.data.pillow_loader import decode
from fixres.data.regions import areas, overlaps, scales
from fixres.stages.sizes import test_rocs, train_rocs

UNKNOWN = 0.25  # an object of unknown size is taken to be so large, as a share of sqrt(HW)
# From the middle of the image to the nearest edge of the RoC, in sizes of an object without a box:
# a long one, or an object off the middle, is then seen whole.
ROOM = 1.1
MARGIN = 0.04  # around the box of an object, as a share of sqrt(HW)
# An image is worse by so much where a RoC hides the whole object; and where the training crop is
# mirrored, or only other objects have boxes. Other differences come to less.
HIDDEN, UNFIT = 100.0, 1000.0
# How much the magnification and the size of the object count. Large objects, as most of those with
# boxes, leave room for no typical RoC: there, the magnification counts more.
WEIGHTS, WEIGHTS_OF_BOXES = (1.0, 1.0), (2.0, 0.5)


def main(arguments: list[str]) -> None:
    args = jobs.parser("crops", __doc__, "manifest", "out", threads=False).parse_args(arguments)
    config = jobs.read_config(args.config, "crops", args.ancestry_digest)
    data = manifest.load(args.manifest)
    row, epoch = most_typical(config, data)
    jobs.log(f"{config['run']}: {data.files(np.array([row]))[0]}, RoC of epoch {epoch}")
    found = sheet(config, data, row, epoch)
    with jobs.atomic(args.out) as temporary, open(temporary, "wb") as f:
        np.savez_compressed(f, **found)


def most_typical(config: dict, data: manifest.Manifest) -> tuple[int, int]:
    """Row of the image that the figure shows, and the epoch in which the training draws its RoC."""
    rows, k = _searched(data, config["images"]), config["k_train"]
    test = test_rocs(config, data, rows, k)
    expected = regions.expected_size_ratio(k, k, tuple(config["augmentation"]["area"]))
    around, known = _around_objects(data, rows)
    object_size = _relative_size(data, rows)
    of_scale, of_size = WEIGHTS_OF_BOXES if known.any() else WEIGHTS
    size = of_size * np.abs(np.log(object_size / np.median(object_size)))
    if known.any():  # an object that is about as wide as high has one size, and is in both crops
        x0, y0, x1, y1 = around.T
        size += np.abs(np.log((x1 - x0) / (y1 - y0)))
        size += np.where(known, HIDDEN * _hidden(test.box, around), UNFIT)
    best, least = (int(rows[0]), 0), np.inf
    for epoch in range(config["epochs"]):
        rocs = train_rocs(config, data, rows, k, epoch)
        x0, y0, x1, y1 = rocs.box.T
        off = of_scale * np.abs(np.log(scales(test, k) / scales(rocs, k) / expected))
        off += np.abs(np.log((x1 - x0) / (y1 - y0))) + size
        off += HIDDEN * _hidden(rocs.box, around) + UNFIT * rocs.flip
        if off.min() < least:
            best, least = (int(rows[off.argmin()]), epoch), off.min()
    return best


def _searched(data: manifest.Manifest, images: int) -> np.ndarray:
    """Rows of the training images that are looked at: of all classes, where objects have boxes."""
    rows = data.rows("train")
    if data.box is None:
        return rows[:images]
    return rows[np.unique(np.linspace(0, len(rows) - 1, images).astype(int))]


def _around_objects(data: manifest.Manifest, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, 4) what a RoC should show, x0, y0, x1, y1; and (n,) bool, whether the box is known.

    The box of the object with a margin. Without a box: a square in the middle of the image.
    """
    h, w = data.height[rows].astype(float), data.width[rows].astype(float)
    half = ROOM * _relative_size(data, rows) * np.sqrt(h * w)
    middle = np.stack([w / 2 - half, h / 2 - half, w / 2 + half, h / 2 + half], axis=1)
    if data.box is None:
        return middle, np.zeros(len(rows), bool)
    known = np.isfinite(data.box[rows]).all(axis=1)
    margin = MARGIN * np.sqrt(h * w)[:, None] * [-1, -1, 1, 1]
    return np.where(known[:, None], data.box[rows] + margin, middle), known


def _hidden(box: np.ndarray, around: np.ndarray) -> np.ndarray:
    """(n,) share of what a RoC should show that is outside it."""
    return 1 - overlaps(box, around) / areas(around)


def _relative_size(data: manifest.Manifest, rows: np.ndarray) -> np.ndarray:
    """(n,) size of the objects over sqrt(HW), that is k·r1 (§3.1.1)."""
    r = data.object_size[rows] / np.sqrt(data.height[rows].astype(float) * data.width[rows])
    return np.where(np.isfinite(r), r, UNKNOWN)


def sheet(config: dict, data: manifest.Manifest, row: int, epoch: int) -> dict[str, np.ndarray]:
    """What the figure draws of one image.

    Returns
    -------
    image : (H, W, 3) uint8. path : of the image. object_size : r in pixels, NaN where unknown.
    object_box : (4,) around the object, in pixels of the image; not there where unknown.
    train_box, test_box : (4,) x0, y0, x1, y1 of the RoCs, pixels of the image.
    "train 56", "test 72" … : the crops, (k, k, 3) uint8, and
    "train 56 scale" … : pixels of the crop for each pixel of the image (eq. 1).
    """
    rows = np.array([row])
    rocs = {("train", k): train_rocs(config, data, rows, k, epoch) for k in config["k_trains"]}
    rocs |= {("test", k): test_rocs(config, data, rows, k) for k in config["k_tests"]}
    [file], listed = data.files(rows), ListedFiles(data)
    [checksum] = listed.take(rows)
    found = {
        "image": np.asarray(decode(file, listed.read(file, checksum))),
        "path": data.path[row],
        "object_size": data.object_size[row],
        "train_box": rocs["train", config["k_train"]].box[0],
        "test_box": rocs["test", config["k_train"]].box[0],
    }
    if data.box is not None and np.isfinite(data.box[row]).all():
        found["object_box"] = data.box[row]
    request = [loader.Crops(view, k) for (_, k), view in rocs.items()]
    [(_, pixels)] = loader.batches(data, [request], "pillow")
    for ((when, k), view), crop in zip(rocs.items(), pixels, strict=True):
        found[f"{when} {k}"] = crop[0].numpy()
        found[f"{when} {k} scale"] = scales(view, k)[0]
    return found
