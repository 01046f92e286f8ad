"""Distribution matching: at k_test, bring the activations back to their distribution at k_train.

§4.2, A.1, A.2. The activations are measured on training images under test DA, at both resolutions.
From these a map is fitted and put into the network (models/matching.py). Then they are measured
once more at k_test, with the map in place.

The result is the weights of the network, with the map among them. matching.json next to it holds
the fit, the distances between the distributions before and after, and the distribution of the
pooled activations (Figures 3, 4 and 6).
"""

from collections.abc import Callable

import numpy as np
import torch

from fixres import jobs
from fixres.artifacts import manifest
from fixres.artifacts.predictions import Cropping
from fixres.data import regions, requests, sampling
from fixres.models import distributions, matching
from fixres.models.distributions import ActivationStatistics, Moments
from fixres.stages.opened import Opened, run
from fixres.stages.passes import MergedMoments, one_pass


def main(arguments: list[str]) -> None:
    run(match, "match", __doc__, arguments, "manifest", "weights", "out")


def match(job: Opened) -> None:
    config, data, device = job.config, job.data, job.device.device
    model, k_train, k_test = config["model"], config["k_train"], config["k_test"]
    rows = sampling.random_subset(data.rows("train"), config["images"], config["seed"])

    # The network, with a map that changes nothing yet.
    network = matching.insert(load_unmatched(job), model).to(device)
    probe = job.device.prepare(matching.probe(network))
    jobs.log(
        f"{config['run']}: {job.entry.title}, {model} matching of k_test {k_test} "
        f"to k_train {k_train} on {len(rows)} images"
    )
    for line in manifest.enlarged(data, "train", max(k_train, k_test)):
        jobs.log(line)

    # Measure, fit the map, measure again.
    reader, test_da = job.reader(rows), job.test_da
    seen = measure(probe, reader, test_da, [k_train, k_test])
    measured = {"k_train": seen[k_train], "k_test": seen[k_test]}
    fit = distributions.fit_gaussian if model == "gaussian" else distributions.fit_frechet
    fits = {name: fit(statistics) for name, statistics in measured.items()}
    scale, shift = distributions.affine(fits["k_train"], fits["k_test"])
    network.matching.scale = torch.as_tensor(scale).float().to(device)
    network.matching.shift = torch.as_tensor(shift).float().to(device)
    measured["matched"] = measure(probe, reader, test_da, [k_test])[k_test]

    # One process writes.
    if not job.ranks.first:
        return
    for name, fitted in fits.items():
        log_fit(f"{name} {config[name]}", fitted, measured[name])
    distances = {
        when: distributions.distance(measured["k_train"], measured[name], model)
        for when, name in (("before", "k_test"), ("after", "matched"))
    }
    log_map(scale, shift, distances)
    resolutions = {"k_train": k_train, "k_test": k_test}
    result = {
        "run": config["run"],
        "matching": model,
        **resolutions,
        "images": len(rows),
        "parameters": {name: distributions.as_json(fitted) for name, fitted in fits.items()},
        "scale": scale.tolist(),
        "shift": shift.tolist(),
        "distance": distances,
        "pooled": distributions.curves({name: s.pooled for name, s in measured.items()}),
    }
    jobs.write_json(job.args.out.with_name("matching.json"), result)
    job.save(network, **resolutions)


def load_unmatched(job: Opened) -> torch.nn.Module:
    """The network to match. Raises JobError where the file holds a matching already."""
    network = job.load(job.config["seed"])
    about = matching.about(network)
    if about:
        raise jobs.JobError(
            f"{job.args.weights}: matched already ({about['matching']}); "
            "expected a network without matching"
        )
    return network


def measure(
    probe: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
    reader: requests.CropReader,
    test_da: regions.Augmentation,
    resolutions: list[int],
) -> dict[int, ActivationStatistics]:
    """The activations of the images under test DA, by resolution.

    Memory does not grow with the images: moments are merged batch by batch, and histograms are
    counts. `probe` is `matching.probe`: images -> (activations of the map, pooled activations).
    """
    resolutions = list(dict.fromkeys(resolutions))
    moments = MergedMoments(reader, resolutions)
    bins, device = 2 * distributions.ZERO, reader.device.device
    counts = {k: torch.zeros(bins, dtype=torch.int64, device=device) for k in resolutions}
    croppings = list(map(Cropping, resolutions))
    with one_pass("activations", reader, test_da, croppings, moments.segment) as batches:
        for cropping, images, x in batches:
            mapped, pooled = probe(x)
            moments.add(cropping.k, images, Moments.of(mapped))
            counts[cropping.k] += distributions.histogram(pooled)

    summed = reader.ranks.sum([c.cpu() for c in counts.values()])
    if not all(map(distributions.all_finite, summed)):
        raise jobs.JobError(
            "some activations are not finite: the network does not compute numbers; "
            "check its weights and --precision"
        )
    merged = moments.merged()
    return {
        k: ActivationStatistics(merged[k], c.numpy())
        for k, c in zip(resolutions, summed, strict=True)
    }


def log_fit(name: str, fitted: distributions.Fitted, seen: ActivationStatistics) -> None:
    mu, sigma = (distributions.describe(v, n) for v, n in zip(fitted, "μσ", strict=True))
    zeros = distributions.share_of_zeros(seen.pooled)
    jobs.log(f"{name}: {mu}, {sigma}; {zeros:.2%} zeros after pooling")


def log_map(scale: np.ndarray, shift: np.ndarray, distances: dict[str, dict[str, float]]) -> None:
    described = (distributions.describe(scale, "scale"), distributions.describe(shift, "shift"))
    jobs.log(f"matching: {', '.join(described)}")
    for name, before in distances["before"].items():
        after = distances["after"][name]
        jobs.log(f"distance to k_train, {name}: {before:.4f} before, {after:.4f} after")
