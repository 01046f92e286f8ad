"""Activations: their statistics in one network at several k_test (§3.2, A.1, A.2).

The validation images are seen twice, under test DA. First all together: the distribution behind the
global average pooling, the Fréchet distributions that fit it, and the moments of each channel
before the last ReLU. Then each image by itself, for the intervals: samples.npz next to the result
(artifacts/per_image.py). The names of both are in `MEASURED`.
"""

from collections.abc import Callable

import numpy as np
import torch

from fixres import jobs
from fixres.artifacts import manifest, metrics, per_image
from fixres.artifacts.predictions import Cropping
from fixres.data import regions, requests, sampling
from fixres.models import distributions, matching, pooled
from fixres.models.distributions import ActivationStatistics
from fixres.stages.match import measure
from fixres.stages.opened import Opened, run
from fixres.stages.passes import one_pass

# What metrics.json has for each k_test.
MEASURED = {
    "pooled": "pooled activations of an image in each bin, mean over images; `edges` has the bins",
    "half": "the same, of a random half of the images alone; where k_test is k_train",
    "zeros": "pooled activations that are 0, %",
    "above": "pooled activations above `bound`, %",
    "map": "side of the map that is pooled, pixels",
    "negative": "activations below 0 before the last ReLU, %",
    "channel_mean": "before the last ReLU: |mean| of a channel over images and places, mean over "
    "channels",
    "channel_variance": "the same of its variance",
    "channel_means, channel_variances": "mean and variance of each channel",
    "mu, sigma, gap": "Fréchet distribution with ξ = 0.3, and its largest distance to the measured "
    "CDF, in points",
    "free_mu, free_sigma, free_xi, free_gap": "the same with ξ fitted, too",
}
BEFORE_RELU = ("negative", "channel_mean", "channel_variance")
Probe = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]  # `matching.watch`


def main(arguments: list[str]) -> None:
    run(activations, "activations", __doc__, arguments, "manifest", "weights", "out")


def activations(job: Opened) -> None:
    config, data = job.config, job.data
    k_tests, k_train, rows = config["k_test"], config["k_train"], data.rows("val")

    # The network.
    watched, has_relu = matching.watch(job.load())
    probe = job.device.prepare(watched)
    jobs.log(f"{config['run']}: k_test {', '.join(map(str, k_tests))} on {len(rows)} images")
    notes = [] if has_relu else [f"no ReLU before the pooling: no {', '.join(BEFORE_RELU)}"]
    for line in (*manifest.enlarged(data, "val", max(k_tests)), *notes):
        jobs.log(line)

    # All images together, then each by itself.
    reader, test_da = job.reader(rows), job.test_da
    seen = measure(probe, reader, test_da, k_tests)
    bound = bound_of(config, seen)
    found, sides = image_by_image(probe, reader, test_da, seen, np.inf if bound is None else bound)

    # One process writes.
    if not job.ranks.first:
        return
    absent = (() if has_relu else BEFORE_RELU) + (() if bound is not None else ("above",))
    samples: dict[str, np.ndarray] = {}
    measured: dict[str, dict] = {}
    for k in k_tests:
        mine = {name: values for name, values in found[k].items() if name not in absent}
        if k == k_train:
            mine["half"] = mine["pooled"] * random_half(len(rows))[:, None]
        fits, mine["free_xi"] = fitted(seen[k].pooled, mine["pooled"])
        samples |= {per_image.name(name, k): values for name, values in mine.items()}
        means = {name: values.mean(axis=0, dtype=float).tolist() for name, values in mine.items()}
        measured[str(k)] = dict.fromkeys(absent) | means | {"map": sides[k]} | fits
        if has_relu:
            measured[str(k)] |= channels(seen[k])
        log_measured(k, measured[str(k)])
    result = {"run": config["run"], "images": len(rows), "bound": bound, "notes": notes}
    result |= {"edges": pooled.EDGES.tolist(), "k_test": measured}
    metrics.write(job.args.out, result, samples=per_image.PerImage(data.path[rows], samples))


def bound_of(config: dict, seen: dict[int, ActivationStatistics]) -> float | None:
    """The bound whose excess is measured (§3.2); None: this job has none.

    The paper's is 2, for its network. For another network it is the bound that as many activations
    exceed at k_train as in the paper (config["share"], in %).
    """
    if config["bound"] is not None:
        return config["bound"]
    if config["k_train"] not in seen:
        return None
    counts = seen[config["k_train"]].pooled
    above = 100 * (1 - np.cumsum(counts) / counts.sum())
    return float(distributions.upper_edges(np.argmax(above <= config["share"])[None])[0])


def image_by_image(
    probe: Probe,
    reader: requests.CropReader,
    test_da: regions.Augmentation,
    seen: dict[int, ActivationStatistics],
    bound: float,
) -> tuple[dict[int, dict[str, np.ndarray]], dict[int, int]]:
    """The statistics of each image; its deviations are from the channel means of all, in `seen`.

    Returns
    -------
    k_test -> name (`MEASURED`) -> (n, BINS) uint16 counts, or (n,) float32; their means over the
    images are the numbers of all images. And k_test -> the side of the map that is pooled, pixels.
    """
    ranks, device, n = reader.ranks, reader.device.device, len(reader.rows)
    means = {k: torch.as_tensor(s.moments.mean, device=device) for k, s in seen.items()}
    numbers = ("zeros", "above", *BEFORE_RELU)
    counts = {k: torch.zeros(n, pooled.BINS, dtype=torch.int32, device=device) for k in seen}
    others = {k: torch.zeros(n, len(numbers), device=device) for k in seen}
    sides: dict[int, int] = {}
    with one_pass("image by image", reader, test_da, list(map(Cropping, seen))) as batches:
        for cropping, images, x in batches:
            k = cropping.k
            before, behind = probe(x)
            counts[k][images] = pooled.count(behind).int()
            excess = [share(behind == 0), share(behind > bound), share(before < 0)]
            columns = [*excess, *deviations(before, means[k])]
            others[k][images] = torch.stack(columns, dim=1).float()
            sides[k] = before.shape[-1]
    for whole in (*counts.values(), *others.values()):
        ranks.all_gather_rows(whole, requests.BATCH)
    sides = {k: side for of_rank in ranks.gather(sides) for k, side in of_rank.items()}
    found = {
        k: {"pooled": counts[k].cpu().numpy().astype(np.uint16)}
        | dict(zip(numbers, others[k].cpu().numpy().T, strict=True))
        for k in seen
    }
    return found, sides


def share(which: torch.Tensor) -> torch.Tensor:
    """The per cent of each image's activations that are so: (n, …) bool -> (n,) float64."""
    return 100 * which.flatten(1).double().mean(1)


def deviations(before: torch.Tensor, means: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What each image adds to the size of the channels' means, and to their variances.

    Parameters
    ----------
    before : (n, c, h, w), before the last ReLU.
    means : (c,) float64, of each channel over all images.

    Returns (n,) each. Over all images, their means are the mean over the channels of |mean|, and
    the mean of the variance.
    """
    places = before.flatten(2).double()
    sizes = (places.mean(2) * means.sign()).mean(1)
    return sizes, (places - means[:, None]).square().mean((1, 2))


def random_half(n: int) -> np.ndarray:
    """(n,) bool: whether an image is in a half that is always the same one."""
    half = sampling.random_subset(np.arange(n), n // 2, seed=0)
    return np.isin(np.arange(n), half)


def fitted(all_images: np.ndarray, counts: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
    """The Fréchet distributions that fit the pooled activations (A.1), without and with ξ free.

    They fit the `distributions.histogram` of all images; the counts are of each, (n, BINS). Returns
    name -> number, and (n,) float32 what each image adds to ξ.
    """
    seen = ActivationStatistics(None, all_images)
    mu, sigma = map(float, distributions.fit_frechet(seen))
    free = tuple(map(float, distributions.fit_frechet(seen, distributions.XI)))
    x, _, cdf = distributions.steps(all_images)
    fits = {"mu": mu, "sigma": sigma, "free_mu": free[0], "free_sigma": free[1]}
    for name, law in (("gap", (mu, sigma)), ("free_gap", free)):
        fits[name] = 100 * float(np.abs(distributions.frechet(x, *law) - cdf).max())
    return fits, pooled.xi_by_image(counts, free).astype(np.float32)


def channels(seen: ActivationStatistics) -> dict[str, list[float]]:
    """Mean and variance of each channel before the last ReLU."""
    mean, std = distributions.fit_gaussian(seen)
    return {"channel_means": mean.ravel().tolist(), "channel_variances": (std**2).ravel().tolist()}


def log_measured(k: int, found: dict) -> None:
    words = [f"{found['zeros']:.2f}% zeros after pooling a map of {found['map']}×{found['map']}"]
    if found["above"] is not None:
        words.append(f"{found['above']:.2f}% above the bound")
    if found["negative"] is not None:
        words.append(f"{found['negative']:.1f}% negative before the ReLU")
    words.append(f"ξ {found['free_xi']:.3f}, gap of ξ = {distributions.XI}: {found['gap']:.2f}")
    jobs.log(f"k_test {k}: {', '.join(words)}")
