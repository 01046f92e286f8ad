"""Where a crop comes from: the geometry of the region of classification (RoC, §3) and every random number of the data.

A RoC is a rectangle of the input image. Both loaders cut exactly the rectangles computed here, so DALI and Pillow, any number of
workers and any number of ranks see the same crops.

Random numbers are counter-based: Philox keyed by (seed, purpose) with the counter (epoch, image, repeat). They depend on nothing
else, so a run resumed at any step draws what the undisturbed run would have drawn.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fixres.data.sampling import (
    AREA,
    ASPECT,
    ATTEMPTS,
    FLIP,
    JITTER,
    JITTER_ORDER,
    LEFT,
    SHIFT,
    TOP,
    uniforms,
)

TEN = 10  # crops of an image: its four corners and its centre, as they are and flipped
TEST_MARGIN = (
    256,
    224,
)  # k_test_image / k_test at test time, kept constant when k_test changes (§4.1)


class Augmentation(NamedTuple):
    """How RoCs are drawn. `name` is the paper's: train DA, test DA or test DA2 (§5, "Fine-tuning data-augmentation"), resize + random crop
    (Appendix D)."""

    name: str
    area: tuple[float, float] = (0.08, 1.0)  # σ², §3.1.2
    aspect: tuple[float, float] = (3 / 4, 4 / 3)  # α, §3.1.2
    jitter: float = (
        0.0  # brightness, contrast and saturation each scale by U(1 - jitter, 1 + jitter)
    )
    test_resize: str = "paper"  # of test DA: "paper" or "released", see `resized_sizes`
    crops: int = 1  # of an image, of test DA: 1 in the centre, or TEN

    @property
    def deterministic(self) -> bool:
        """Whether an image always gives the same crop."""
        return self.name == "test DA"


@dataclass(frozen=True)
class Views:
    """n crops to be cut, one row each."""

    image: np.ndarray  # (n,) int64: row of the manifest
    box: np.ndarray  # (n, 4) float64: x0, y0, x1, y1 of the RoC in pixels of the input image
    flip: np.ndarray  # (n,) bool
    jitter: (
        np.ndarray | None
    )  # (n, 3) float32: factors of brightness, contrast, saturation; None: no jitter
    jitter_order: np.ndarray | None  # (n,) int64 in 0..5: which permutation of the three
    cut: bool  # True: cut, then resize (train DA). False: resize the whole image, then cut (test DA): filters see past the RoC
    into: np.ndarray | None = (
        None  # (n, 4) int64: x0, y0, x1, y1 of the RoC in the crop, black around it; None: it fills the crop
    )

    def __getitem__(self, rows) -> "Views":
        jitter, order, into = (
            None if a is None else a[rows] for a in (self.jitter, self.jitter_order, self.into)
        )
        return Views(
            self.image[rows], self.box[rows], self.flip[rows], jitter, order, self.cut, into
        )


def test_image_size(k_test: int) -> int:
    """`k_test_image`, the shorter side of the resized image: floor(256/224 · k_test) (§4.1 keeps the ratio constant)."""
    return TEST_MARGIN[0] * k_test // TEST_MARGIN[1]


def resized_sizes(
    heights: np.ndarray, widths: np.ndarray, k_test: int, test_resize: str = "paper"
) -> tuple[np.ndarray, np.ndarray]:
    """(heights, widths) of the resized images that the test transform cuts from, whole pixels; the side that follows is floored.

    Parameters
    ----------
    test_resize : which side becomes `k_test_image`: "paper", the shorter one (§5); "released", the height, as in the authors' released
        code, whose weights are tuned with it: a portrait may come out narrower than the crop.
    """
    heights, widths = np.asarray(heights, np.int64), np.asarray(widths, np.int64)
    size = test_image_size(k_test)
    by_width = widths <= heights if test_resize == "paper" else np.zeros(len(heights), bool)
    fixed, other = np.where(by_width, widths, heights), np.where(by_width, heights, widths)
    follows = np.maximum((size * other / fixed).astype(np.int64), 1)
    return np.where(by_width, follows, size), np.where(by_width, size, follows)


def centre_boxes(
    heights: np.ndarray,
    widths: np.ndarray,
    k_test: int,
    shift: np.ndarray | None = None,
    test_resize: str = "paper",
) -> np.ndarray:
    """RoCs of the test transform: resize to `k_test_image`, then cut a k_test × k_test crop.

    Follows torchvision's Resize and CenterCrop to the pixel: the long side is floored and the crop's offset rounds half to even. Where
    the resized image is narrower than the crop (`placed`), the RoC is as wide as the image.

    Parameters
    ----------
    shift : (n,) in [0, 1], test DA2: where the crop lies between the left (0) and the right (1) edge; None: in the centre.
    test_resize : "paper" or "released", see `resized_sizes`.

    Returns
    -------
    (n, 4) x0, y0, x1, y1 in pixels of the input image; not whole numbers in general.
    """
    resized_h, resized_w = resized_sizes(heights, widths, k_test, test_resize)
    across = np.minimum(k_test, resized_w)
    left = (
        np.rint((resized_w - across) / 2.0)
        if shift is None
        else position(shift, resized_w - across)
    )
    return boxes_at(heights, widths, k_test, left, np.rint((resized_h - k_test) / 2.0), test_resize)


def position(u: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """One of the whole numbers 0 … margin, each as likely as another for uniform `u` in [0, 1)."""
    return np.minimum(np.floor(u * (margin + 1)), margin)


def boxes_at(
    heights: np.ndarray,
    widths: np.ndarray,
    k: int,
    left: np.ndarray,
    top: np.ndarray,
    test_resize: str = "paper",
) -> np.ndarray:
    """(n, 4) RoCs of k×k crops whose corner lies at (left, top), in pixels of the resized image."""
    resized_h, resized_w = resized_sizes(heights, widths, k, test_resize)
    across = np.minimum(k, resized_w)
    sx, sy = widths / resized_w, heights / resized_h
    return np.stack([left * sx, top * sy, (left + across) * sx, (top + k) * sy], axis=1)


def random_crop_boxes(heights: np.ndarray, widths: np.ndarray, k: int, u: np.ndarray) -> np.ndarray:
    """RoCs of a resize to floor(256/224 · k) and a random k×k crop of it (Appendix D), anywhere with the same probability.

    Parameters
    ----------
    u : (n, NUMBERS) uniform numbers.
    """
    resized_h, resized_w = resized_sizes(heights, widths, k)
    return boxes_at(
        heights, widths, k, position(u[:, LEFT], resized_w - k), position(u[:, TOP], resized_h - k)
    )


def ten_crops(
    images: np.ndarray,
    heights: np.ndarray,
    widths: np.ndarray,
    k_test: int,
    test_resize: str = "paper",
) -> Views:
    """TEN crops of every image, one image after another: of the resized image and of its mirror image, as torchvision's TenCrop."""
    resized_h, resized_w = resized_sizes(heights, widths, k_test, test_resize)
    right, bottom = np.maximum(resized_w - k_test, 0), resized_h - k_test
    left, top, centre = (
        np.zeros_like(right),
        np.zeros_like(bottom),
        (np.rint(right / 2.0), np.rint(bottom / 2.0)),
    )
    upright = [(left, top), (right, top), (left, bottom), (right, bottom), centre]
    # The centre of an odd margin is rounded on the mirror image: a pixel further on this one.
    corners = upright + [(right - x, y) for x, y in upright]
    boxes = np.stack(
        [boxes_at(heights, widths, k_test, x, y, test_resize) for x, y in corners], axis=1
    ).reshape(-1, 4)
    flip = np.tile(np.arange(TEN) >= len(upright), len(images))
    into = None
    if test_resize == "released":
        into = np.repeat(placed(heights, widths, k_test), TEN, axis=0)
        into[flip] = np.stack(
            [k_test - into[flip, 2], into[flip, 1], k_test - into[flip, 0], into[flip, 3]], axis=1
        )
    return Views(np.repeat(images, TEN), boxes, flip, None, None, cut=False, into=into)


def placed(heights: np.ndarray, widths: np.ndarray, k_test: int) -> np.ndarray:
    """Where the RoC of the released test transform lies in the crop: an image narrower than it stands between black bars.

    Returns
    -------
    (n, 4) int64: x0, y0, x1, y1 in pixels of the crop. Of an odd number of black columns the right bar has one more, as torchvision's
    CenterCrop pads.
    """
    across = np.minimum(k_test, resized_sizes(heights, widths, k_test, "released")[1])
    left = (k_test - across) // 2
    return np.stack([left, np.zeros_like(left), left + across, np.full_like(left, k_test)], axis=1)


def random_resized_boxes(
    heights: np.ndarray, widths: np.ndarray, u: np.ndarray, augmentation: Augmentation
) -> np.ndarray:
    """RoCs of RandomResizedCrop (§3.1.2): area share σ² uniform, ln α uniform, position uniform; whole pixels.

    The text of §3.1.2 prints sqrt(σαHW); with eq. (1) the area of the RoC is σ²HW, which is what torchvision does and this follows.

    Parameters
    ----------
    u : (n, NUMBERS) uniform numbers.

    Returns
    -------
    (n, 4) x0, y0, x1, y1, whole numbers, inside the image.
    """
    heights, widths = np.asarray(heights, np.int64), np.asarray(widths, np.int64)
    area_low, area_high = augmentation.area
    log_low, log_high = (math.log(a) for a in augmentation.aspect)
    area = (heights * widths)[:, None] * (
        area_low + (area_high - area_low) * u[:, AREA : AREA + ATTEMPTS]
    )
    alpha = np.exp(log_low + (log_high - log_low) * u[:, ASPECT : ASPECT + ATTEMPTS])
    w, h = (
        np.rint(np.sqrt(area * alpha)).astype(np.int64),
        np.rint(np.sqrt(area / alpha)).astype(np.int64),
    )
    fits = (w > 0) & (w <= widths[:, None]) & (h > 0) & (h <= heights[:, None])
    rows, first = np.arange(len(heights)), fits.argmax(axis=1)
    w, h, found = w[rows, first], h[rows, first], fits.any(axis=1)

    # No attempt fitted: the largest centre crop within the allowed aspect ratios, as torchvision does.
    ratio = widths / heights
    narrow, wide = ratio < augmentation.aspect[0], ratio > augmentation.aspect[1]
    fallback_w = np.where(wide, np.rint(heights * augmentation.aspect[1]), widths).astype(np.int64)
    fallback_h = np.where(narrow, np.rint(widths / augmentation.aspect[0]), heights).astype(
        np.int64
    )
    w, h = np.where(found, w, fallback_w), np.where(found, h, fallback_h)
    top = np.where(found, np.floor(u[:, TOP] * (heights - h + 1)), (heights - h) // 2)
    left = np.where(found, np.floor(u[:, LEFT] * (widths - w + 1)), (widths - w) // 2)
    return np.stack([left, top, left + w, top + h], axis=1).astype(np.float64)


def views(
    augmentation: Augmentation,
    k: int,
    images: np.ndarray,
    heights: np.ndarray,
    widths: np.ndarray,
    seed: int = 0,
    epoch: int = 0,
    repeats: np.ndarray | None = None,
) -> Views:
    """The crops of `images` (rows of the manifest, whose sizes are given) under an augmentation, at k×k pixels."""
    n = len(images)
    if augmentation.name == "test DA" and augmentation.crops == TEN:
        return ten_crops(images, heights, widths, k, augmentation.test_resize)
    if augmentation.name == "test DA":
        boxes = centre_boxes(heights, widths, k, test_resize=augmentation.test_resize)
        into = placed(heights, widths, k) if augmentation.test_resize == "released" else None
        return Views(images, boxes, np.zeros(n, bool), None, None, cut=False, into=into)
    u = uniforms(seed, epoch, images, np.zeros(n, np.int64) if repeats is None else repeats)
    flip = u[:, FLIP] < 0.5
    jitter = order_ = None
    if augmentation.jitter:
        jitter = (1 + augmentation.jitter * (2 * u[:, JITTER : JITTER + 3] - 1)).astype(np.float32)
        order_ = (u[:, JITTER_ORDER] * 6).astype(np.int64)
    if augmentation.name == "test DA2":
        return Views(
            images, centre_boxes(heights, widths, k, u[:, SHIFT]), flip, jitter, order_, cut=False
        )
    if augmentation.name == "resize + random crop":
        return Views(
            images, random_crop_boxes(heights, widths, k, u), flip, jitter, order_, cut=False
        )
    if augmentation.name == "train DA":
        return Views(
            images,
            random_resized_boxes(heights, widths, u, augmentation),
            flip,
            jitter,
            order_,
            cut=True,
        )
    raise ValueError(
        f"augmentation '{augmentation.name}': expected 'train DA', 'test DA', 'test DA2' or 'resize + random crop'"
    )


def expected_size_ratio(
    k_train: int, k_test: int, area: tuple[float, float] = (0.08, 1.0)
) -> float:
    """E[r_test / r_train] of eq. (5): F · k_test_image / k_train, F = 2/3 · (σ₊³ - σ₋³) / (σ₊² - σ₋²)."""
    low, high = math.sqrt(area[0]), math.sqrt(area[1])
    f = 2 / 3 * (high**3 - low**3) / (high**2 - low**2) if high > low else low
    return f * test_image_size(k_test) / k_train
