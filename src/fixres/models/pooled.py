"""The pooled activations of each single image, counted in fixed bins.

`distributions.histogram` counts all images together, in fine bins. An interval needs the counts of
each image (docs/statistics.md), and a pair of networks needs the same bins. These bins are an
eighth of a power of two wide, which suits networks of any scale, and few enough to be kept for
every image.
"""

import numpy as np
import torch

from fixres.models import distributions

OCTAVE = 8  # bins of each power of two
_POSITIVE = 2.0 ** np.arange(-6, 5, 1 / OCTAVE)  # no ResNet's activations are larger
_NEGATIVE = -(2.0 ** np.arange(0, -6, -2 / OCTAVE))  # for networks without a ReLU, or matched
# 0 has its own bin: from 0 to the smallest number that float32 holds in full precision.
EDGES = np.array([*_NEGATIVE, 0.0, np.finfo(np.float32).tiny, *_POSITIVE])
BINS = len(EDGES) + 1  # bin i holds EDGES[i - 1] <= value < EDGES[i]; the first and last are open
ZERO = int(np.searchsorted(EDGES, 0.0, side="right"))  # the bin of 0


def count(x: torch.Tensor) -> torch.Tensor:
    """Count the activations of each image in each bin: (n, …) -> (n, BINS) int64."""
    x = x.flatten(1).float()
    edges = torch.as_tensor(EDGES, dtype=torch.float32, device=x.device)
    which = torch.bucketize(x, edges, right=True)
    which += BINS * torch.arange(len(x), device=x.device)[:, None]
    return torch.bincount(which.flatten(), minlength=len(x) * BINS).view(len(x), BINS)


def xi_by_image(counts: np.ndarray, law: tuple[float, float, float]) -> np.ndarray:
    """What each image contributes to a fitted ξ, (n,) float64; the mean over the images is ξ.

    The fit is not a mean over images, but it is to first order: if image i gets a little more
    weight, ξ changes by its influence on the fit (Efron's infinitesimal jackknife). So a bootstrap
    of these numbers approximates the bootstrap of ξ, without a fit for each replica.

    Parameters
    ----------
    counts : (n, BINS), from `count`.
    law : μ, σ and ξ of `distributions.fit_frechet`, fitted to all images.
    """
    others = counts.astype(float)
    others[:, ZERO] = 0  # only the activations other than 0 are fitted
    share = others.sum(axis=0) / others.sum()
    cdf, x = np.cumsum(share), EDGES  # the last bin is open: there both CDFs are 1
    slopes, residual = np.zeros((3, BINS)), np.zeros(BINS)
    residual[:-1] = distributions.frechet(x, *law) - cdf[:-1]
    for i, size in enumerate(1e-5 * np.array([law[1], law[1], 1.0])):
        step = size * np.eye(3)[i]
        rise = distributions.frechet(x, *(law + step)) - distributions.frechet(x, *(law - step))
        slopes[i, :-1] = rise / (2 * size)

    # The gradient of the squared error is 0 at the fit. An image shifts the gradient by adding to
    # the weight of each bin, and to the measured CDF above the bin.
    weighted = share * slopes
    above = np.cumsum(weighted[:, ::-1], axis=1)[:, ::-1]
    number = others.sum(axis=1, keepdims=True)
    shift = (others - number * share) / number.mean() @ (residual * slopes - above).T
    moved = -shift @ np.linalg.pinv(weighted @ slopes.T)
    return law[2] + moved[:, 2]
