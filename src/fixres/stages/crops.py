"""The crops of one image, for Figure 1: under train DA and under test DA, at several resolutions.

The image is a training image, with a RoC that its training draws. Of many, the job takes the one
that is most typical: it magnifies as train DA does on average (eq. 5), it is nearly a square, it
shows the middle of the image, where the object is, and the object is of middling size.
"""

import numpy as np

from fixres import jobs
from fixres.artifacts import manifest
from fixres.data import loader, regions
from fixres.data.listed_files import ListedFiles
from fixres.data.pillow_loader import decode
from fixres.data.regions import scales
from fixres.stages.sizes import test_rocs, train_rocs

UNKNOWN = 0.25  # an object of unknown size is taken to be so large, as a share of sqrt(HW)
# From the middle of the image to the nearest edge of the RoC, in sizes of the object: a long one,
# or one that lies off the middle, is then seen whole.
ROOM = 1.1


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
    """Row of the image that the figure shows, and the epoch in which the training draws its RoC.

    Raises JobError where no RoC shows the middle of its image.
    """
    rows, k = data.rows("train")[: config["images"]], config["k_train"]
    test = scales(test_rocs(config, data, rows, k), k)
    expected = regions.expected_size_ratio(k, k, tuple(config["augmentation"]["area"]))
    object_size = _relative_size(data, rows)
    size = np.abs(np.log(object_size / np.median(object_size)))
    best, least = None, np.inf
    for epoch in range(config["epochs"]):
        rocs = train_rocs(config, data, rows, k, epoch)
        x0, y0, x1, y1 = rocs.box.T
        off = np.abs(np.log(test / scales(rocs, k) / expected))
        off += np.abs(np.log((x1 - x0) / (y1 - y0))) + size
        off[rocs.flip | ~_shows_the_middle(rocs.box, data, rows)] = np.inf
        if off.min() < least:
            best, least = (int(rows[off.argmin()]), epoch), off.min()
    if best is None:
        raise jobs.JobError(
            f"{config['run']}: no RoC of {len(rows)} training images shows the middle of its "
            "image; give base_training.augmentation.area an upper bound nearer to 1"
        )
    return best


def _shows_the_middle(box: np.ndarray, data: manifest.Manifest, rows: np.ndarray) -> np.ndarray:
    """(n,) bool: whether a RoC has room for the object in the middle of the image."""
    h, w = data.height[rows].astype(float), data.width[rows].astype(float)
    half = ROOM * _relative_size(data, rows) * np.sqrt(h * w)
    x0, y0, x1, y1 = box.T
    across = (x0 <= w / 2 - half) & (x1 >= w / 2 + half)
    return across & (y0 <= h / 2 - half) & (y1 >= h / 2 + half)


def _relative_size(data: manifest.Manifest, rows: np.ndarray) -> np.ndarray:
    """(n,) size of the objects over sqrt(HW), that is k·r1 (§3.1.1)."""
    r = data.object_size[rows] / np.sqrt(data.height[rows].astype(float) * data.width[rows])
    return np.where(np.isfinite(r), r, UNKNOWN)


def sheet(config: dict, data: manifest.Manifest, row: int, epoch: int) -> dict[str, np.ndarray]:
    """What the figure draws of one image.

    Returns
    -------
    image : (H, W, 3) uint8. path : of the image. object_size : r in pixels, NaN where unknown.
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
    request = [loader.Crops(view, k) for (_, k), view in rocs.items()]
    [(_, pixels)] = loader.batches(data, [request], "pillow")
    for ((when, k), view), crop in zip(rocs.items(), pixels, strict=True):
        found[f"{when} {k}"] = crop[0].numpy()
        found[f"{when} {k} scale"] = scales(view, k)[0]
    return found
