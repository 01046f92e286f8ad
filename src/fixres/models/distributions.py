"""Measure, fit and compare distributions of activations: the numerics of distribution matching.

The measurements (`Moments` of every channel, a `histogram` of all activations) are merged batch by
batch, so memory does not grow with the number of images.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import least_squares

from fixres.jobs import JobError

XI = 0.3  # ξ, the shape of the Fréchet distribution (A.1)
MANTISSA = 11  # mantissa bits that a histogram keeps: bins are 1/2048 of their value wide
SHIFT = 23 - MANTISSA  # lowest bits of a float32, which a histogram drops
ZERO = 1 << (31 - SHIFT)  # the bin of 0
INFINITE = ZERO + (0x7F800000 >> SHIFT)  # the bin of infinity; NaN is above it
GRID = 101  # points of the distributions in matching.json


# --- measure -----------------------------------------------------------------------------------


class Moments(NamedTuple):
    """Mean and spread of each channel, exact to float64 for any number of activations."""

    count: int  # activations of one channel
    mean: np.ndarray  # (c,) float64
    squares: np.ndarray  # (c,) float64: sum of the squared deviations from the mean

    @classmethod
    def of(cls, x: torch.Tensor) -> "Moments":
        """The moments of activations (n, c, …), over all dimensions but the second."""
        x = x.double()
        others = [d for d in range(x.ndim) if d != 1]
        variance, mean = torch.var_mean(x, dim=others, correction=0)
        count = x.numel() // x.shape[1]
        return cls(count, mean.cpu().numpy(), variance.cpu().numpy() * count)

    def __add__(self, other: "Moments") -> "Moments":
        """The moments of both sets together (Chan, Golub & LeVeque, 1979)."""
        count, apart = self.count + other.count, other.mean - self.mean
        mean = self.mean + apart * (other.count / count)
        between = apart**2 * (self.count * other.count / count)
        return Moments(count, mean, self.squares + other.squares + between)


class ActivationStatistics(NamedTuple):
    """The activations of a network at one resolution."""

    moments: Moments  # of the activations that the map applies to
    pooled: np.ndarray  # (2 · ZERO,) int64: `histogram` of the activations after the pooling


def histogram(x: torch.Tensor) -> torch.Tensor:
    """The number of values of x in each bin, (2 · ZERO,) int64.

    A bin holds all floats that agree in sign, exponent and the first MANTISSA bits of the mantissa.
    So no range must be chosen, and 0 has its own bin.
    """
    return torch.bincount(bins(x.flatten()), minlength=2 * ZERO)


def bins(x: torch.Tensor) -> torch.Tensor:
    """The bin of each value, in 0 … 2 · ZERO - 1. Bins are ordered by their values."""
    bits = (x.float() + 0.0).view(torch.int32)  # + 0.0 turns -0.0 into 0.0
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)  # integers in the order of the floats
    return (ordered >> SHIFT) + ZERO


def upper_edges(which: np.ndarray) -> np.ndarray:
    """The upper ends of some bins. The values in a bin are below its upper end."""
    ordered = ((which.astype(np.int64) - ZERO + 1) << SHIFT).astype(np.int32)
    bits = np.where(ordered < 0, ordered ^ 0x7FFFFFFF, ordered).astype(np.int32)
    return bits.view(np.float32).astype(np.float64)


def all_finite(counts: torch.Tensor) -> bool:
    """Whether a histogram counts no infinity and no NaN."""
    return not (counts[INFINITE:].any() or counts[: 2 * ZERO - INFINITE].any())


def share_of_zeros(counts: np.ndarray) -> float:
    """The share of zeros in a histogram, in 0..1."""
    return float(counts[ZERO] / counts.sum())


def without_zeros(counts: np.ndarray) -> np.ndarray:
    """A histogram of the values other than 0."""
    return np.where(np.arange(len(counts)) == ZERO, 0, counts)


# --- fit ---------------------------------------------------------------------------------------

Fitted = tuple[np.ndarray, ...]  # μ and σ, and ξ if it is free


def fit_gaussian(seen: ActivationStatistics) -> Fitted:
    """Mean and standard deviation of each channel, both (c, 1, 1) (A.2)."""
    m = seen.moments
    return m.mean[:, None, None], np.sqrt(m.squares / m.count)[:, None, None]


def fit_frechet(seen: ActivationStatistics, *xi: float) -> Fitted:
    """The Fréchet distribution of the pooled activations other than 0 (A.1).

    Least squares between the fitted and the measured CDF, at every activation.

    Parameters
    ----------
    xi : the starting value of ξ, if ξ is free. The paper fixes ξ at 0.3 and calls it a positive
        constant. The fit may find any number: below 0, the distribution has an upper end, and at 0
        it is a Gumbel distribution.

    Returns
    -------
    μ and σ, and ξ if it is free, as arrays without dimensions.

    Raises
    ------
    JobError : fewer than two different activations.
    """
    x, share, cdf = steps(seen.pooled)
    if len(x) < 2:
        raise JobError(
            "Fréchet distribution: too few distinct activations after the pooling other than 0 "
            f"(got {len(x)}, expected 2 or more). Take other weights or images."
        )

    # Start from the μ and σ that give the measured quartiles.
    low, high = (x[np.searchsorted(cdf, p)] for p in (0.25, 0.75))
    standard = [((-np.log(p)) ** -XI - 1) / XI for p in (0.25, 0.75)]  # quartiles for μ = 0, σ = 1
    spread = (high - low or abs(high)) / (standard[1] - standard[0])
    start = np.array([low / spread - standard[0], 0.0, *xi])

    def residuals(p: np.ndarray) -> np.ndarray:
        law = (p[0] * spread, np.exp(p[1]) * spread, *p[2:])
        return np.sqrt(share) * (frechet(x, *law) - cdf)

    found = least_squares(residuals, start, xtol=1e-12, ftol=1e-12, gtol=1e-12).x
    return tuple(map(np.array, (found[0] * spread, np.exp(found[1]) * spread, *found[2:])))


def steps(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The CDF of a histogram's values other than 0: position, size and upper value of each step."""
    counts = without_zeros(counts)
    filled = np.flatnonzero(counts)
    share = counts[filled] / counts.sum()
    return upper_edges(filled), share, np.cumsum(share)


def frechet(x: np.ndarray, mu: float, sigma: float, xi: float = XI) -> np.ndarray:
    """The CDF exp(-(1 + ξ/σ · (x - μ))^(-1/ξ)) (A.1); 0 below its range, and 1 above (ξ < 0)."""
    return np.exp(-(np.maximum(1 + xi / sigma * (x - mu), 1e-9) ** (-1 / xi)))


def affine(reference: Fitted, found: Fitted) -> Fitted:
    """Scale and shift of the map that takes activations from the fit `found` to `reference`.

    A dead channel (σ = 0) is only shifted.
    """
    (mu, sigma), (mu0, sigma0) = reference, found
    scale = np.divide(sigma, sigma0, out=np.ones_like(sigma), where=sigma0 > 0)
    return scale, mu - scale * mu0


# --- compare -----------------------------------------------------------------------------------


def distance(a: ActivationStatistics, b: ActivationStatistics, model: str) -> dict[str, float]:
    """Distances between two distributions, by name.

    The Kolmogorov distance of the pooled activations, with and without their zeros. For the model
    "gaussian", also the absolute differences in "mean" and "std" before the ReLU, averaged over
    the channels.
    """
    far = {"kolmogorov": kolmogorov(a.pooled, b.pooled)}
    far["kolmogorov without zeros"] = kolmogorov(without_zeros(a.pooled), without_zeros(b.pooled))
    if model == "gaussian":
        for name, x, y in zip(("mean", "std"), fit_gaussian(a), fit_gaussian(b), strict=True):
            far[name] = float(np.abs(x - y).mean())
    return far


def kolmogorov(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference between the CDFs of two histograms."""
    cdfs = [np.cumsum(counts) / max(counts.sum(), 1) for counts in (a, b)]
    return float(np.abs(cdfs[0] - cdfs[1]).max())


def curves(pooled: dict[str, np.ndarray]) -> dict:
    """CDF and share of zeros of each histogram, for drawing.

    Returns
    -------
    {"x": GRID values from 0 to the largest of the 99.9th percentiles,
    name: {"cdf": its CDF at these values, "zeros": its share of zeros}}
    """
    cdfs = {name: np.cumsum(counts) / counts.sum() for name, counts in pooled.items()}
    last = max(float(upper_edges(np.searchsorted(cdf, [0.999]))[0]) for cdf in cdfs.values())
    grid = np.linspace(0, last, GRID)
    at = bins(torch.from_numpy(grid)).numpy()
    drawn: dict = {"x": grid.tolist()}
    for name, cdf in cdfs.items():
        drawn[name] = {"cdf": cdf[at].tolist(), "zeros": share_of_zeros(pooled[name])}
    return drawn


def describe(values: np.ndarray, name: str) -> str:
    """One number, or the mean and range of one number per channel, for the log."""
    if values.ndim == 0:
        return f"{name} {values:.4f}"
    mean, lowest, highest = (f"{v:.4f}" for v in (values.mean(), values.min(), values.max()))
    return f"{name} {mean} (mean of {len(values)} channels, {lowest} to {highest})"


def as_json(fitted: Fitted) -> dict[str, float | list]:
    """A fit as written to matching.json."""
    mu, sigma = fitted
    return {"mu": mu.squeeze().tolist(), "sigma": sigma.squeeze().tolist()}
