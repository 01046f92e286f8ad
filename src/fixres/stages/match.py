"""Distribution matching: at k_test, bring the activations back to their distribution at k_train.

    python -m fixres match \\
        --config results/runs/pinhole/resnet10q-k56/match-k96-gaussian/config.json \\
        --manifest results/data/pinhole/manifest.npz \\
        --weights results/runs/pinhole/resnet10q-k56/weights.safetensors \\
        --out results/runs/pinhole/resnet10q-k56/match-k96-gaussian/weights.safetensors

§4.2, A.1, A.2. The activations are measured on training images under test DA, at both resolutions.
From these a map is fitted and put into the network (models/matching.py). Then they are measured
once more at k_test, with the map in place.

The result is the weights of the network, with the map among them. matching.json beside it holds
the fit, the distances between the distributions before and after, and the distribution of the
pooled activations (Figures 3, 4 and 6).
"""

import argparse
import time
from collections.abc import Callable
from functools import reduce
from pathlib import Path

import numpy as np
import torch

from fixres import jobs
from fixres.artifacts import manifest, weights
from fixres.data import regions, requests, sampling
from fixres.hardware import processes
from fixres.hardware.device import open_device
from fixres.hardware.ranks import Ranks
from fixres.models import distributions, matching
from fixres.models.catalogue import zoo
from fixres.models.distributions import Moments, Statistics

# The images are cut into about this many segments, whatever the number of processes. Moments are
# merged segment after segment, so always in the same order.
SEGMENTS = 64


def main(arguments: list[str]) -> None:
    p = jobs.device_options(jobs.parser("match", __doc__, "manifest", "weights", "out"))
    processes.run(match, p.parse_args(arguments), ["match", *arguments])


def match(args: argparse.Namespace, ranks: Ranks) -> None:
    config = jobs.read_config(args.config, "match", args.ancestry_digest)
    model, k_train, k_test = config["model"], config["k_train"], config["k_test"]

    # The images.
    data = manifest.load(args.manifest)
    device = open_device(args.device, args.precision, args.threads, ranks, args.compile)
    startup = time.process_time()
    rows = sampling.random_subset(data.rows("train"), config["images"], config["seed"])

    # The network, with a map that changes nothing yet.
    entry = zoo.entry_of(config)
    network = load_unmatched(config, len(data.classes), args.weights)
    network = matching.insert(network, model).to(device.device)
    probe = device.prepare(matching.probe(network))
    jobs.log(
        f"{config['run']}: {entry.title}, {model} matching of k_test {k_test} to k_train {k_train} "
        f"on {len(rows)} images"
    )
    for line in manifest.enlarged(data, "train", max(k_train, k_test)):
        jobs.log(line)

    # Measure, fit the map, measure again.
    loading = (device, args.loader, args.workers, ranks)
    reader = requests.CropReader(data, rows, entry.mean, entry.std, *loading)
    test_da = regions.Augmentation("test DA", test_resize=config.get("test_resize", "paper"))
    seen = measure(probe, reader, test_da, [k_train, k_test])
    measured = {"k_train": seen[k_train], "k_test": seen[k_test]}
    fit = distributions.fit_gaussian if model == "gaussian" else distributions.fit_frechet
    fits = {name: fit(statistics) for name, statistics in measured.items()}
    scale, shift = distributions.affine(fits["k_train"], fits["k_test"])
    network.matching.scale = torch.as_tensor(scale).float().to(device.device)
    network.matching.shift = torch.as_tensor(shift).float().to(device.device)
    measured["matched"] = measure(probe, reader, test_da, [k_test])[k_test]

    # One process writes.
    if not ranks.first:
        return
    for name, fitted in fits.items():
        log_fit(f"{name} {config[name]}", fitted, measured[name])
    distances = {
        when: distributions.distance(measured["k_train"], measured[name], model)
        for when, name in (("before", "k_test"), ("after", "matched"))
    }
    log_map(scale, shift, distances)
    about = {"run": config["run"], "matching": model, "k_train": k_train, "k_test": k_test}
    result = {
        **about,
        "images": len(rows),
        "parameters": {name: distributions.as_json(fitted) for name, fitted in fits.items()},
        "scale": scale.tolist(),
        "shift": shift.tolist(),
        "distance": distances,
        "pooled": distributions.curves({name: s.pooled for name, s in measured.items()}),
    }
    jobs.write_json(args.out.parent / "matching.json", result)
    weights.save(args.out, network.state_dict(), about | {"classes": list(data.classes)})
    jobs.log_times(startup)


def load_unmatched(config: dict, classes: int, file: Path) -> torch.nn.Module:
    """The network to match. Raises JobError where the file holds a matching already."""
    network = matching.load(zoo.entry_of(config), classes, config["seed"], file)
    about = matching.about(network)
    if about:
        raise jobs.JobError(
            f"{file}: matched already ({about['matching']}); expected a network without matching"
        )
    return network


def measure(
    probe: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
    reader: requests.CropReader,
    test_da: regions.Augmentation,
    resolutions: list[int],
) -> dict[int, Statistics]:
    """The activations of the images under test DA, by resolution.

    Memory does not grow with the images: moments are merged batch by batch, and histograms are
    counts. No two processes share a segment, so all numbers of processes give the same result.

    Parameters
    ----------
    probe : see `matching.probe`: images -> (activations of the map, pooled activations).
    """
    resolutions = list(dict.fromkeys(resolutions))
    ranks, device = reader.ranks, reader.device.device
    segment = requests.BATCH * -(-len(reader.rows) // (requests.BATCH * SEGMENTS))  # images
    part = ranks.share(len(reader.rows), segment)
    moments: dict[int, list[Moments]] = {k: [] for k in resolutions}
    bins = 2 * distributions.ZERO
    counts = {k: torch.zeros(bins, dtype=torch.int64, device=device) for k in resolutions}

    at = part.start
    bar = jobs.progress("activations", (part.stop - part.start) * len(resolutions), "crops")
    with bar, torch.no_grad(), reader.device.autocast():
        for batch in reader.batches(part, test_da, resolutions):
            for k, x in zip(resolutions, batch, strict=True):
                mapped, pooled = probe(x)
                new = Moments.of(mapped)
                if at % segment:
                    moments[k][-1] += new
                else:
                    moments[k].append(new)
                counts[k] += distributions.histogram(pooled)
                bar.update(len(x))
            at += len(x)

    by_rank = ranks.gather(moments)
    summed = ranks.sum([c.cpu() for c in counts.values()])
    if not all(map(distributions.all_finite, summed)):
        raise jobs.JobError(
            "some activations are not finite: the network does not compute numbers; "
            "check its weights and --precision"
        )
    merged = {k: reduce(Moments.__add__, [m for p in by_rank for m in p[k]]) for k in resolutions}
    return {k: Statistics(merged[k], c.numpy()) for k, c in zip(resolutions, summed, strict=True)}


def log_fit(name: str, fitted: distributions.Fitted, seen: Statistics) -> None:
    mu, sigma = (distributions.describe(v, n) for v, n in zip(fitted, "μσ", strict=True))
    zeros = distributions.share_of_zeros(seen.pooled)
    jobs.log(f"{name}: {mu}, {sigma}; {zeros:.2%} zeros after pooling")


def log_map(scale: np.ndarray, shift: np.ndarray, distances: dict[str, dict[str, float]]) -> None:
    described = (distributions.describe(scale, "scale"), distributions.describe(shift, "shift"))
    jobs.log(f"matching: {', '.join(described)}")
    for name, before in distances["before"].items():
        after = distances["after"][name]
        jobs.log(f"distance to k_train, {name}: {before:.4f} before, {after:.4f} after")
