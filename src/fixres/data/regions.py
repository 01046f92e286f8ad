"""Where a crop comes from: the geometry of the region of classification (RoC, §3).

A RoC is a rectangle of the input image. Both loaders cut exactly the rectangles that this module
computes, so DALI and Pillow give the same crops, for any number of workers and ranks. The random
numbers come from `sampling.py`.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from fixres.data import sampling

TEN = 10  # crops per image: four corners and the centre, upright and flipped
# k_test_image / k_test. The ratio stays constant as k_test changes (§4.1).
TEST_MARGIN = (256, 224)


class Augmentation(NamedTuple):
    """How RoCs are drawn."""

    # train DA, test DA, test DA2 (§5, "Fine-tuning data-augmentation"), or resize + random crop
    # (Appendix D)
    name: str
    area: tuple[float, float] = (0.08, 1.0)  # range of σ², §3.1.2
    aspect: tuple[float, float] = (3 / 4, 4 / 3)  # range of α, §3.1.2
    jitter: float = 0.0  # brightness, contrast and saturation: U(1 - jitter, 1 + jitter) each
    # for test DA and test DA2: "paper" or "released", see `Resized`
    test_resize: str = "paper"
    crops: int = 1  # for test DA: 1 in the centre of the image, or TEN
    # for test DA and test DA2: crop over resized image, as timm's crop_pct; None: the paper's ratio
    crop_pct: float | None = None

    @property
    def deterministic(self) -> bool:
        """Whether the crop of an image is always the same."""
        return self.name == "test DA"


@dataclass(frozen=True)
class Rocs:
    """n crops to be cut. Every array has one row per crop; None means "not used"."""

    image: np.ndarray  # (n,) int64: row of the manifest
    box: np.ndarray  # (n, 4) float64: x0, y0, x1, y1 of the RoC in pixels of the input image
    flip: np.ndarray  # (n,) bool
    jitter: np.ndarray | None  # (n, 3) float32: factors of brightness, contrast and saturation
    jitter_order: np.ndarray | None  # (n,) int64 in 0..5: which of six orders they are applied in
    # True: cut, then resize (train DA). False: resize the whole image, then cut (test DA), so that
    # the resampling filter sees pixels outside the RoC.
    cut: bool
    # (n, 4) int64: x0, y0, x1, y1 of the RoC in the crop, surrounded by black. None: the RoC fills
    # the crop.
    into: np.ndarray | None = None
    # (n, 4) int64: width and height of the resized image, then left and top of the crop in it. If
    # given, Pillow resizes the whole image, bit-identical to timm and torchvision. None: Pillow
    # resizes only the RoC, which is faster, but a few of ten thousand values differ by a level.
    # DALI always resizes only the RoC.
    whole: np.ndarray | None = None

    def __getitem__(self, rows) -> "Rocs":
        arrays = {name: a[rows] for name, a in vars(self).items() if isinstance(a, np.ndarray)}
        return replace(self, **arrays)


# --- the test transform: resize, then cut -------------------------------------------------------


def test_image_size(k_test: int) -> int:
    """`k_test_image`, the shorter side of the resized image: floor(256/224 · k_test) (§4.1)."""
    return TEST_MARGIN[0] * k_test // TEST_MARGIN[1]


class Resized:
    """Images as resized by the test transform, which then cuts a k×k crop of each.

    One side becomes `k_test_image`. The other side follows in proportion and is floored.

    Parameters
    ----------
    heights, widths : (n,) of the input images, pixels.
    test_resize : the side that becomes `k_test_image`. "paper": the shorter side (§5). "released":
        the height, as in the authors' released code, with which the released weights were tuned. A
        portrait may then become narrower than the crop.
    crop_pct : replaces the paper's 224/256; `k_test_image` is then floor(k / crop_pct), as in
        timm.

    Attributes
    ----------
    height, width : (n,) of the resized images, whole pixels.
    across : (n,) columns of a crop that the resized image fills: k, or the width of the image.
    margins : (n,) columns and (n,) rows of the resized image outside a crop.
    """

    def __init__(
        self,
        heights: np.ndarray,
        widths: np.ndarray,
        k: int,
        test_resize: str = "paper",
        crop_pct: float | None = None,
    ):
        heights, widths = np.asarray(heights, np.int64), np.asarray(widths, np.int64)
        size = math.floor(k / crop_pct) if crop_pct else test_image_size(k)
        by_width = widths <= heights if test_resize == "paper" else np.zeros(len(heights), bool)
        fixed, other = np.where(by_width, widths, heights), np.where(by_width, heights, widths)
        follows = np.maximum((size * other / fixed).astype(np.int64), 1)
        self.height = np.where(by_width, follows, size)
        self.width = np.where(by_width, size, follows)
        self.across = np.minimum(k, self.width)
        self.margins = self.width - self.across, self.height - k
        self.k, self._test_resize = k, test_resize
        self._scales = widths / self.width, heights / self.height

    def boxes(self, left: np.ndarray, top: np.ndarray) -> np.ndarray:
        """RoCs of crops whose upper left corners are at `left`, `top` of the resized images.

        (n, 4) x0, y0, x1, y1 in pixels of the input image; in general not whole numbers. If the
        resized image is narrower than the crop, the RoC is as wide as the image (`places`).
        """
        sx, sy = self._scales
        right, bottom = left + self.across, top + self.k
        return np.stack([left * sx, top * sy, right * sx, bottom * sy], axis=1)

    @property
    def centre(self) -> tuple[np.ndarray, np.ndarray]:
        """Left and top of the crop in the centre, rounded half to even.

        RoCs at this position equal torchvision's Resize and CenterCrop to the pixel.
        """
        across, down = self.margins
        return np.rint(across / 2.0), np.rint(down / 2.0)

    @property
    def places(self) -> np.ndarray | None:
        """The position of the RoC in the crop, where a narrower image is between two black bars.

        (n, 4) int64: x0, y0, x1, y1 in pixels of the crop. If the number of black columns is odd,
        the right bar has one more, as in torchvision's CenterCrop. None: no image can be narrower.
        """
        if self._test_resize == "paper":
            return None
        left = (self.k - self.across) // 2
        top, bottom = np.zeros_like(left), np.full_like(left, self.k)
        return np.stack([left, top, left + self.across, bottom], axis=1)


def position(u: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """A whole number from 0 to `margin`, all equally likely for uniform `u` in [0, 1)."""
    return np.minimum(np.floor(u * (margin + 1)), margin)


def ten_crops(images: np.ndarray, resized: Resized) -> Rocs:
    """TEN crops of every image, one image after another, like torchvision's TenCrop.

    The first five come from the resized image, the last five from its mirror image.
    """
    right, bottom = resized.margins
    left, top = np.zeros_like(right), np.zeros_like(bottom)
    upright = [(left, top), (right, top), (left, bottom), (right, bottom), resized.centre]
    # The centre of an odd margin is rounded on the mirror image: one pixel further on this image.
    corners = upright + [(right - x, y) for x, y in upright]
    boxes = np.stack([resized.boxes(*corner) for corner in corners], axis=1).reshape(-1, 4)
    flip, into = np.tile(np.arange(TEN) >= len(upright), len(images)), resized.places
    if into is not None:
        into = _mirrored(np.repeat(into, TEN, axis=0), resized.k, flip)
    return Rocs(np.repeat(images, TEN), boxes, flip, None, None, cut=False, into=into)


def _mirrored(into: np.ndarray, k: int, flip: np.ndarray) -> np.ndarray:
    """The positions of RoCs in crops before they are flipped, given the positions `into` after."""
    x0, y0, x1, y1 = into.T
    return np.where(flip[:, None], np.stack([k - x1, y0, k - x0, y1], axis=1), into)


# --- random RoCs --------------------------------------------------------------------------------


def random_resized_boxes(
    heights: np.ndarray, widths: np.ndarray, u: np.ndarray, augmentation: Augmentation
) -> np.ndarray:
    """RoCs of RandomResizedCrop (§3.1.2): (n, 4) x0, y0, x1, y1, whole pixels inside the image.

    The area's share σ², the logarithm of the aspect ratio α, and the position are uniform; `u` has
    the (n, NUMBERS) uniform numbers. The text of §3.1.2 prints sqrt(σαHW), but by eq. (1) the area
    of the RoC is σ²HW. The code follows eq. (1), like torchvision.
    """
    heights, widths = np.asarray(heights, np.int64), np.asarray(widths, np.int64)
    area_low, area_high = augmentation.area
    log_low, log_high = (math.log(a) for a in augmentation.aspect)
    share = area_low + (area_high - area_low) * u[:, sampling.AREA]
    area = (heights * widths)[:, None] * share
    alpha = np.exp(log_low + (log_high - log_low) * u[:, sampling.ASPECT])
    w = np.rint(np.sqrt(area * alpha)).astype(np.int64)
    h = np.rint(np.sqrt(area / alpha)).astype(np.int64)
    fits = (w > 0) & (w <= widths[:, None]) & (h > 0) & (h <= heights[:, None])
    rows, first = np.arange(len(heights)), fits.argmax(axis=1)
    found = fits.any(axis=1)
    # If no attempt fits: the largest centre crop with an allowed aspect ratio, as in torchvision's
    # RandomResizedCrop.
    (narrowest, widest), ratio = augmentation.aspect, widths / heights
    fallback_w = np.where(ratio > widest, np.rint(heights * widest), widths).astype(np.int64)
    fallback_h = np.where(ratio < narrowest, np.rint(widths / narrowest), heights).astype(np.int64)
    w = np.where(found, w[rows, first], fallback_w)
    h = np.where(found, h[rows, first], fallback_h)
    top = np.where(found, np.floor(u[:, sampling.TOP] * (heights - h + 1)), (heights - h) // 2)
    left = np.where(found, np.floor(u[:, sampling.LEFT] * (widths - w + 1)), (widths - w) // 2)
    return np.stack([left, top, left + w, top + h], axis=1).astype(np.float64)


# --- one function for all augmentations ---------------------------------------------------------


def rocs(
    augmentation: Augmentation,
    k: int,
    images: np.ndarray,
    heights: np.ndarray,
    widths: np.ndarray,
    seed: int = 0,
    epoch: int = 0,
    repeats: np.ndarray | None = None,
) -> Rocs:
    """The k×k crops of some images under an augmentation.

    Parameters
    ----------
    images, heights, widths : (n,) rows of the manifest, and the sizes of these images in pixels.
    seed, epoch, repeats : with the image, the coordinates of the random numbers (`sampling.py`);
        `repeats` is (n,) and defaults to zeros.
    """
    name, n = augmentation.name, len(images)
    as_tested = name in ("test DA", "test DA2")
    how = (augmentation.test_resize, augmentation.crop_pct) if as_tested else ()
    resized = Resized(heights, widths, k, *how)
    if name == "test DA" and augmentation.crops == TEN:
        return ten_crops(images, resized)
    (left, top), (across, down), into = resized.centre, resized.margins, resized.places
    if name == "test DA":
        whole = None
        if augmentation.crop_pct:
            whole = np.stack([resized.width, resized.height, left, top], axis=1).astype(np.int64)
        boxes, upright = resized.boxes(left, top), np.zeros(n, bool)
        return Rocs(images, boxes, upright, None, None, cut=False, into=into, whole=whole)
    repeats = np.zeros(n, np.int64) if repeats is None else repeats
    u = sampling.uniforms(seed, epoch, images, repeats)
    if name == "train DA":
        boxes = random_resized_boxes(heights, widths, u, augmentation)
    elif name == "test DA2":  # moved sideways, from the left edge of the image to the right edge
        boxes = resized.boxes(position(u[:, sampling.SHIFT], across), top)
    elif name == "resize + random crop":  # every position is equally likely (Appendix D)
        left, top = position(u[:, sampling.LEFT], across), position(u[:, sampling.TOP], down)
        boxes = resized.boxes(left, top)
    else:
        raise ValueError(
            f"augmentation: unknown name (got '{name}', "
            "expected 'train DA', 'test DA', 'test DA2' or 'resize + random crop')."
        )
    jitter = jitter_order = None
    if augmentation.jitter:
        jitter = 1 + augmentation.jitter * (2 * u[:, sampling.JITTER] - 1)
        jitter = jitter.astype(np.float32)
        jitter_order = (u[:, sampling.JITTER_ORDER] * 6).astype(np.int64)
    flip = u[:, sampling.FLIP] < 0.5
    if into is not None:
        into = _mirrored(into, k, flip)  # the image is flipped before it is cut
    return Rocs(images, boxes, flip, jitter, jitter_order, cut=name == "train DA", into=into)


# --- the apparent size of things in a crop (§3.1) -------------------------------------------------


def area_shares(rocs: Rocs, heights: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """(n,) area of each RoC over the area of its image; `heights` and `widths` in pixels."""
    return areas(rocs.box) / (np.asarray(heights, float) * widths)


def scales(rocs: Rocs, k: int) -> np.ndarray:
    """(n,) s of eq. (1): pixels of the crop per pixel of the input image.

    This is the root of the area of the k×k crop over the area of the RoC. A RoC that is not square
    is stretched to a square; then s is the geometric mean of the two factors. If the RoC fills only
    a part of the crop (`Rocs.into`), the area of this part is used.
    """
    filled = k * k if rocs.into is None else areas(rocs.into)
    return np.sqrt(filled / areas(rocs.box))


def areas(boxes: np.ndarray) -> np.ndarray:
    """(n,) areas of (n, 4) rectangles x0, y0, x1, y1."""
    x0, y0, x1, y1 = boxes.T
    return (x1 - x0) * (y1 - y0)


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n,) areas of the intersections of (n, 4) rectangles; NaN if an edge is NaN."""
    first, last = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    return np.maximum(last - first, 0).prod(axis=1)


def expected_size_ratio(
    k_train: int, k_test: int, area: tuple[float, float] = (0.08, 1.0)
) -> float:
    """E[r_test / r_train], eq. (5): how much smaller an object looks at test time (0.81 at 224).

    The ratio is F · k_test_image / k_train with F = 2/3 · (σ₊³ - σ₋³) / (σ₊² - σ₋²), where σ₋²
    and σ₊² are the limits of `area`.
    """
    low, high = math.sqrt(area[0]), math.sqrt(area[1])
    f = 2 / 3 * (high**3 - low**3) / (high**2 - low**2) if high > low else low
    return f * test_image_size(k_test) / k_train
