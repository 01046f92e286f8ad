"""Statistics: those of the last batch-norm, estimated again at one k_test; nothing else changes.

    python -m fixres statistics --config results/runs/photos/mine-pretrained/statistics-k288/config.json \\
        --manifest results/data/photos/manifest.npz \\
        --weights results/runs/photos/mine-pretrained/weights.safetensors --out …

A control for fine-tuning (§4.2), which needs neither labels nor gradients. Mean and variance of
what enters the batch-norm are measured on training images under test DA, exactly: over all pixels
of all images, and not as a running average.

statistics.json beside the result says how far they moved.
"""  # noqa: E501 (a command)

import argparse
import time
from functools import reduce

import numpy as np
import torch
from torch import nn

from fixres import jobs
from fixres.artifacts import manifest, weights
from fixres.data import regions, requests, sampling
from fixres.hardware import processes
from fixres.hardware.device import open_device
from fixres.hardware.ranks import Ranks
from fixres.models import matching
from fixres.models.catalogue import zoo
from fixres.models.distributions import Moments
from fixres.stages.match import SEGMENTS


def main(arguments: list[str]) -> None:
    p = jobs.device_options(jobs.parser("statistics", __doc__, "manifest", "weights", "out"))
    processes.run(estimate, p.parse_args(arguments), ["statistics", *arguments])


def estimate(args: argparse.Namespace, ranks: Ranks) -> None:
    config = jobs.read_config(args.config, "statistics", args.ancestry_digest)
    k = config["k_test"]

    # --- the images
    data = manifest.load(args.manifest)
    device = open_device(args.device, args.precision, args.threads, ranks, args.compile)
    startup = time.process_time()
    rows = sampling.random_subset(data.rows("train"), config["images"], config["seed"])

    # --- the network
    entry = zoo.entry_of(config)
    network = matching.load(entry, len(data.classes), config["seed"], args.weights)
    network.to(device.device).eval()
    norms = {name: network.get_submodule(name) for name in entry.last_batch_norm}
    check(norms, entry.title)
    jobs.log(f"{config['run']}: statistics of {', '.join(norms)} at k_test {k}, {len(rows)} images")

    # --- what enters the batch-norms
    reader = requests.CropReader(
        data, rows, entry.mean, entry.std, device, args.loader, args.workers, ranks
    )
    test_da = regions.Augmentation("test DA", crop_pct=config["crop_pct"])
    measured = measure(network, norms, reader, test_da, k)

    # --- the result
    if not ranks.first:
        return
    moved = {name: put_in(norms[name], moments) for name, moments in measured.items()}
    about = {"run": config["run"], "k_test": k, "images": len(rows)}
    jobs.write_json(args.out.parent / "statistics.json", about | {"moved": moved})
    about = {"run": config["run"], "classes": list(data.classes), **matching.about(network)}
    weights.save(args.out, network.state_dict(), about)
    jobs.log_times(startup)


def check(norms: dict[str, nn.Module], title: str) -> None:
    """Raise JobError for a norm without running statistics, such as a LayerNorm."""
    for name, norm in norms.items():
        if getattr(norm, "running_var", None) is None:
            raise jobs.JobError(
                f"{name} of {title} is a {type(norm).__name__}: found no running statistics, "
                "expected a batch-norm (custom.network.last_norm)"
            )


def measure(
    network: nn.Module,
    norms: dict[str, nn.Module],
    reader: requests.CropReader,
    test_da: regions.Augmentation,
    k: int,
) -> dict[str, Moments]:
    """The moments of what enters each norm. Every number of processes gives the same ones.

    As in stages/match.py, they are merged segment after segment of the images.
    """
    ranks, seen = reader.ranks, {}
    segment = requests.BATCH * -(-len(reader.rows) // (requests.BATCH * SEGMENTS))  # images
    part = ranks.share(len(reader.rows), segment)
    found: dict[str, list[Moments]] = {name: [] for name in norms}

    def watch(name: str):
        return lambda _, inputs: seen.__setitem__(name, Moments.of(inputs[0]))

    hooks = [norm.register_forward_pre_hook(watch(name)) for name, norm in norms.items()]
    at, bar = part.start, jobs.progress("statistics", part.stop - part.start, "images")
    with bar, torch.no_grad(), reader.device.autocast():
        for (x,) in reader.batches(part, test_da, [k]):
            network(x)
            for name, moments in seen.items():
                if at % segment:
                    found[name][-1] += moments
                else:
                    found[name].append(moments)
            at += len(x)
            bar.update(len(x))
    for hook in hooks:
        hook.remove()
    by_rank = ranks.gather(found)
    return {n: reduce(Moments.__add__, [m for of in by_rank for m in of[n]]) for n in norms}


def put_in(norm: nn.Module, moments: Moments) -> dict[str, float]:
    """Give a batch-norm these statistics. Returns how far they moved, over its channels.

    As torch does, the variance is the unbiased one.
    """
    variance = moments.squares / (moments.count - 1)
    deviation = norm.running_var.double().sqrt().cpu().numpy()
    shift = (moments.mean - norm.running_mean.double().cpu().numpy()) / np.maximum(deviation, 1e-12)
    scale = np.sqrt(variance) / np.maximum(deviation, 1e-12)
    norm.running_mean.copy_(torch.from_numpy(moments.mean))
    norm.running_var.copy_(torch.from_numpy(variance))
    moved = {
        "mean_in_deviations": float(np.abs(shift).mean()),
        "deviation_ratio": float(np.median(scale)),
    }
    jobs.log(
        f"means move by {moved['mean_in_deviations']:.3f} deviations on average; "
        f"deviations become {moved['deviation_ratio']:.3f} times theirs (median)"
    )
    return moved
