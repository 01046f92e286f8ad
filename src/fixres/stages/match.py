"""Distribution matching: activations at k_test brought back to how they are distributed at k_train (§4.2, A.1, A.2).

    python -m fixres match --config results/runs/pinhole/resnet10q-k56/match-k96-gaussian/config.json \\
        --manifest results/data/pinhole/manifest.npz --weights results/runs/pinhole/resnet10q-k56/weights.safetensors --out …

The distributions are measured on training images under test DA at both resolutions, then once more at k_test with the map in place. The
result is the network's weights with the map among them (models/matching.py); matching.json beside it says what was fitted, how far the
distributions are apart before and after, and the distribution of the pooled activations (Figures 3, 4 and 6).
"""

import argparse
import time
from collections.abc import Callable
from functools import reduce

import numpy as np
import torch

from fixres import jobs
from fixres.data import loader, manifest, regions, sampling
from fixres.jobs import processes
from fixres.jobs.device import Device, open_device
from fixres.jobs.ranks import Ranks
from fixres.models import matching, weights, zoo
from fixres.models.distributions import (
    INFINITE,
    ZERO,
    Moments,
    Seen,
    affine,
    curves,
    described,
    distance,
    fit_frechet,
    fit_gaussian,
    histogram,
    parameters,
    zeros,
)
from fixres.stages.evaluate import BATCH, requests

SEGMENTS = 64  # parts of the images whose moments are merged in one order, whatever the number of processes


def main(arguments: list[str]) -> None:
    p = jobs.device_options(jobs.parser("match", __doc__, "manifest", "weights", "out"))
    processes.run(match, p.parse_args(arguments), ["match", *arguments])


def match(args: argparse.Namespace, ranks: Ranks) -> None:
    config = jobs.read_config(args.config, "match", args.ancestry_digest)
    model, entry, ks = (
        config["model"],
        zoo.ZOO[config["network"]],
        (config["k_train"], config["k_test"]),
    )
    data = manifest.load(args.manifest)
    device = open_device(args.device, args.precision, args.threads, ranks, args.compile)
    startup = time.process_time()

    network = matching.load(config["network"], len(data.classes), config["seed"], args.weights)
    if matching.about(network):
        raise jobs.JobError(
            f"{args.weights}: matched already ({matching.about(network)['matching']}); expected a network without matching"
        )
    network = matching.insert(network, model).to(device.device)
    probe = device.prepare(matching.probe(network))
    rows = sampling.random_subset(data.rows("train"), config["images"], config["seed"])
    jobs.log(
        f"{config['run']}: {entry.title}, {model} matching of k_test {ks[1]} to k_train {ks[0]} on {len(rows)} images"
    )
    for line in manifest.enlarged(data, "train", max(ks)):
        jobs.log(line)
    reading = (data, rows, entry, device, args.loader, ranks.portion(args.workers), ranks)

    seen = measure(probe, *reading, ks)
    fit = fit_gaussian if model == "gaussian" else fit_frechet
    reference, found = (fit(seen[k]) for k in ks)
    scale, shift = affine(reference, found)
    network.matching.scale, network.matching.shift = (
        torch.as_tensor(a).float().to(device.device) for a in (scale, shift)
    )
    after = measure(probe, *reading, ks[1:])[ks[1]]
    if not ranks.first:
        return

    for k, (mu, sigma) in zip(("k_train", "k_test"), (reference, found), strict=True):
        rate = zeros(seen[config[k]].pooled)
        jobs.log(
            f"{k} {config[k]}: {described(mu, 'μ')}, {described(sigma, 'σ')}; {rate:.2%} zeros after pooling"
        )
    jobs.log(f"matching: {described(scale, 'scale')}, {described(shift, 'shift')}")
    distances = {
        when: distance(seen[ks[0]], s, model)
        for when, s in (("before", seen[ks[1]]), ("after", after))
    }
    for name, before in distances["before"].items():
        jobs.log(
            f"distance to k_train, {name}: {before:.4f} before, {distances['after'][name]:.4f} after"
        )
    about = {"run": config["run"], "matching": model, "k_train": ks[0], "k_test": ks[1]}
    named = {"k_train": seen[ks[0]], "k_test": seen[ks[1]], "matched": after}
    fitted = {"k_train": parameters(reference), "k_test": parameters(found)}
    whole = {
        "images": len(rows),
        "parameters": fitted,
        "scale": scale.tolist(),
        "shift": shift.tolist(),
        "distance": distances,
    }
    jobs.write_json(
        args.out.parent / "matching.json",
        about | whole | {"pooled": curves({n: s.pooled for n, s in named.items()})},
    )
    weights.save(args.out, network.state_dict(), about | {"classes": list(data.classes)})
    jobs.log_times(startup)


def measure(
    probe: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
    data: manifest.Manifest,
    rows: np.ndarray,
    entry: zoo.Network,
    device: Device,
    loader_name: str,
    workers: int,
    ranks: Ranks,
    resolutions: tuple[int, ...],
) -> dict[int, Seen]:
    """The activations of the images under test DA, at every resolution; the same on all ranks, whatever their number.

    Memory does not grow with the images: moments are merged batch by batch, in segments that no two ranks share, and histograms are counts.
    """
    resolutions = tuple(dict.fromkeys(resolutions))
    segment = BATCH * -(-len(rows) // (BATCH * SEGMENTS))
    share = ranks.share(len(rows), segment)
    moments: dict[int, list[Moments]] = {k: [] for k in resolutions}
    counts = {
        k: torch.zeros(2 * ZERO, dtype=torch.int64, device=device.device) for k in resolutions
    }
    wanted = requests(data, rows[share], regions.Augmentation("test DA"), list(resolutions))
    cut = loader.batches(data, wanted, loader_name, workers, device.device)
    at = share.start
    bar = jobs.progress("activations", (share.stop - share.start) * len(resolutions), "crops")
    with bar, torch.no_grad(), device.autocast():
        for crops, pixels in cut:
            for (views, k), part in zip(crops, pixels, strict=True):
                mapped, pooled = probe(
                    loader.to_device(part, views, entry.mean, entry.std, device.device)
                )
                new = Moments.of(mapped)
                if at % segment:
                    moments[k][-1] += new
                else:
                    moments[k].append(new)
                counts[k] += histogram(pooled)
                bar.update(len(part))
            at += len(pixels[0])
    parts = ranks.gather(moments)
    whole = ranks.sum([c.cpu() for c in counts.values()])
    if any(c[INFINITE:].any() or c[: 2 * ZERO - INFINITE].any() for c in whole):
        raise jobs.JobError(
            "some activations are not finite: the network does not compute numbers; check its weights and --precision"
        )
    return {
        k: Seen(reduce(Moments.__add__, [m for part in parts for m in part[k]]), c.numpy())
        for k, c in zip(resolutions, whole, strict=True)
    }
