"""TODO."""

from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import least_squares

from fixres import jobs

XI = 0.3  # ξ, the shape of the Fréchet distribution (A.1)
MANTISSA = 11  # bits of a float that a histogram tells apart: bins 1/2048 of their value wide
SHIFT = 23 - MANTISSA
ZERO = 1 << (31 - SHIFT)  # the bin of 0
INFINITE = ZERO + (0x7F800000 >> SHIFT)  # and the first that holds no number
GRID = 101  # points of the distributions in matching.json


# --- what is measured --------------------------------------------------------------------------------------------------------


class Moments(NamedTuple):
    """Mean and spread of each channel, exact to float64 however many activations there are."""

    count: int
    mean: np.ndarray  # (c,) float64
    squares: np.ndarray  # (c,) float64: summed squared deviations from the mean

    @classmethod
    def of(cls, x: torch.Tensor) -> "Moments":
        """x : (n, c, …)."""
        x = x.double()
        others = [d for d in range(x.ndim) if d != 1]
        variance, mean = torch.var_mean(x, dim=others, correction=0)
        count = x.numel() // x.shape[1]
        return cls(count, mean.cpu().numpy(), variance.cpu().numpy() * count)

    def __add__(self, other: "Moments") -> "Moments":
        """Of both together (Chan, Golub & LeVeque, 1979)."""
        count, apart = self.count + other.count, other.mean - self.mean
        mean = self.mean + apart * (other.count / count)
        return Moments(
            count,
            mean,
            self.squares + other.squares + apart**2 * (self.count * other.count / count),
        )


class Seen(NamedTuple):
    """The activations of one resolution."""

    moments: Moments  # of what is mapped, per channel
    pooled: np.ndarray  # (2 · ZERO,) int64: histogram of the pooled activations, see `histogram`


def histogram(x: torch.Tensor) -> torch.Tensor:
    """(2 · ZERO,) counts of the values of x in bins that are the floats of MANTISSA bits: no range to choose, and 0 has its own."""
    return torch.bincount(bins(x.flatten()), minlength=2 * ZERO)


def bins(x: torch.Tensor) -> torch.Tensor:
    """The bin of each value, in 0 … 2 · ZERO - 1."""
    bits = (x.float() + 0.0).view(torch.int32)  # + 0.0: of the two zeros the positive one
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)  # integers in the order of the floats
    return (ordered >> SHIFT) + ZERO


def upper_edges(which: np.ndarray) -> np.ndarray:
    """The end of each bin of `histogram`, which the values in it are below."""
    ordered = ((which.astype(np.int64) - ZERO + 1) << SHIFT).astype(np.int32)
    return (
        np.where(ordered < 0, ordered ^ 0x7FFFFFFF, ordered)
        .astype(np.int32)
        .view(np.float32)
        .astype(np.float64)
    )


def zeros(counts: np.ndarray) -> float:
    return float(counts[ZERO] / counts.sum())


def without_zeros(counts: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(counts)) == ZERO, 0, counts)


# --- what is fitted ----------------------------------------------------------------------------------------------------------

Fitted = tuple[np.ndarray, np.ndarray]  # μ and σ


def fit_gaussian(seen: Seen) -> Fitted:
    """Mean and standard deviation of each channel, (c, 1, 1) both (A.2)."""
    m = seen.moments
    return m.mean[:, None, None], np.sqrt(m.squares / m.count)[:, None, None]


def fit_frechet(seen: Seen) -> Fitted:
    """μ and σ of the Fréchet distribution of the non-zero pooled activations: least squares between the CDFs, at every activation (A.1)."""
    counts = without_zeros(seen.pooled)
    filled = np.flatnonzero(counts)
    if len(filled) < 2:
        raise jobs.JobError(
            f"matching 'frechet': found {len(filled)} distinct activations after the pooling, expected a distribution"
        )
    x, share = upper_edges(filled), counts[filled] / counts.sum()
    cdf = np.cumsum(share)
    low, high = (x[np.searchsorted(cdf, p)] for p in (0.25, 0.75))
    standard = [((-np.log(p)) ** -XI - 1) / XI for p in (0.25, 0.75)]  # quantiles for μ = 0, σ = 1
    spread = (high - low or abs(high)) / (standard[1] - standard[0])

    def residuals(p: np.ndarray) -> np.ndarray:
        return np.sqrt(share) * (frechet(x, p[0] * spread, np.exp(p[1]) * spread) - cdf)

    start = np.array([low / spread - standard[0], 0.0])
    mu, log_sigma = least_squares(residuals, start, xtol=1e-12, ftol=1e-12, gtol=1e-12).x
    return np.array(mu * spread), np.array(np.exp(log_sigma) * spread)


def frechet(x: np.ndarray, mu: float, sigma: float) -> np.ndarray:
    """P(x) = exp(-(1 + ξ/σ · (x - μ))^(-1/ξ)), and 0 left of where that is defined (A.1)."""
    return np.exp(-(np.maximum(1 + XI / sigma * (x - mu), 1e-9) ** (-1 / XI)))


def affine(reference: Fitted, found: Fitted) -> Fitted:
    """Scale and shift that bring what was found to the reference. Where nothing varies (a dead channel) it is shifted only."""
    (mu, sigma), (mu0, sigma0) = reference, found
    scale = np.divide(sigma, sigma0, out=np.ones_like(sigma), where=sigma0 > 0)
    return scale, mu - scale * mu0


# --- what is said about it ---------------------------------------------------------------------------------------------------


def distance(a: Seen, b: Seen, model: str) -> dict[str, float]:
    """How far two distributions are apart.

    Kolmogorov's distance (the largest between the CDFs) of the pooled activations, with and without their zeros; gaussian also the mean
    over the channels of the absolute differences in mean and standard deviation before the ReLU.
    """
    far = {"kolmogorov": kolmogorov(a.pooled, b.pooled)}
    far["kolmogorov without zeros"] = kolmogorov(without_zeros(a.pooled), without_zeros(b.pooled))
    if model == "gaussian":
        for name, x, y in zip(("mean", "std"), fit_gaussian(a), fit_gaussian(b), strict=True):
            far[name] = float(np.abs(x - y).mean())
    return far


def kolmogorov(a: np.ndarray, b: np.ndarray) -> float:
    cdfs = [np.cumsum(counts) / max(counts.sum(), 1) for counts in (a, b)]
    return float(np.abs(cdfs[0] - cdfs[1]).max())


def curves(pooled: dict[str, np.ndarray]) -> dict:
    """The CDFs of pooled activations at GRID values from 0 to the largest 99.9th percentile, and the shares of zeros."""
    cdfs = {name: np.cumsum(counts) / counts.sum() for name, counts in pooled.items()}
    last = max(float(upper_edges(np.searchsorted(cdf, [0.999]))[0]) for cdf in cdfs.values())
    grid = np.linspace(0, last, GRID)
    at = bins(torch.from_numpy(grid)).numpy()
    return {"x": grid.tolist()} | {
        name: {"cdf": cdf[at].tolist(), "zeros": zeros(pooled[name])} for name, cdf in cdfs.items()
    }


def described(values: np.ndarray, name: str) -> str:
    if values.ndim == 0:
        return f"{name} {values:.4f}"
    return f"{name} {values.mean():.4f} (mean of {len(values)} channels, {values.min():.4f} to {values.max():.4f})"


def parameters(fitted: Fitted) -> dict[str, float | list]:
    return {
        name: values.squeeze().tolist()
        for name, values in zip(("mu", "sigma"), fitted, strict=True)
    }
