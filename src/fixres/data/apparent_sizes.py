"""How large things look in a crop: what a RoC makes of the image that it is cut from (§3.1)."""

import numpy as np

from fixres.data.regions import Views


def area_shares(views: Views, heights: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """(n,) area of each RoC over the area of its image.

    Parameters
    ----------
    heights, widths : (n,) of the images, pixels.
    """
    return _areas(views.box) / (np.asarray(heights, float) * widths)


def scales(views: Views, k: int) -> np.ndarray:
    """(n,) s of eq. (1): pixels of the crop for each pixel of the input image.

    It is the root of the crop's area over the RoC's area. A RoC that is no square is stretched to
    one; then s is the geometric mean of the two factors.

    Parameters
    ----------
    k : side of the crops, pixels. Where the RoC fills only a part of the crop (`Views.into`), this
        part counts.
    """
    filled = k * k if views.into is None else _areas(views.into)
    return np.sqrt(filled / _areas(views.box))


def _areas(boxes: np.ndarray) -> np.ndarray:
    """(n,) areas of (n, 4) rectangles x0, y0, x1, y1."""
    x0, y0, x1, y1 = boxes.T
    return (x1 - x0) * (y1 - y0)
