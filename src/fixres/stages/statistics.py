"""Estimate the statistics of the last batch-norm again at one k_test; nothing else changes.

A control for fine-tuning (§4.2), which needs neither labels nor gradients. Mean and variance of
what enters the batch-norm are measured on training images under test DA, exactly: over all pixels
of all images, and not as a running average.

statistics.json next to the result says how far they moved.
"""

import contextlib
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from fixres import jobs
from fixres.artifacts.predictions import Cropping
from fixres.data import requests, sampling
from fixres.data.regions import Augmentation
from fixres.models.distributions import Moments
from fixres.stages import left
from fixres.stages.opened import Opened, run
from fixres.stages.passes import MergedMoments, one_pass


def main(arguments: list[str]) -> None:
    run(estimate, "statistics", __doc__, arguments, "manifest", "weights", "out")


def estimate(job: Opened) -> None:
    config, data, entry, k = job.config, job.data, job.entry, job.config["k_test"]
    rows = sampling.random_subset(data.rows("train"), config["images"], config["seed"])

    # --- the network
    network = job.load(config["seed"])
    norms = {name: network.get_submodule(name) for name in entry.last_batch_norm}
    check(norms, entry.title)
    jobs.log(f"{config['run']}: statistics of {', '.join(norms)} at k_test {k}, {len(rows)} images")

    # --- what enters the batch-norms
    cropping = Cropping(k, crop_pct=config["crop_pct"])
    measured = left.moments(job, list(norms)) or measure(network, norms, job.reader(rows), cropping)

    # --- the result
    if not job.ranks.first:
        return
    moved = {name: put_in(norms[name], moments) for name, moments in measured.items()}
    result = {"run": config["run"], "k_test": k, "images": len(rows), "moved": moved}
    for distance in moved.values():
        jobs.log(
            f"means move by {distance['mean_in_deviations']:.3f} deviations on average; "
            f"deviations become {distance['deviation_ratio']:.3f} times theirs (median)"
        )
    jobs.write_json(job.args.out.with_name("statistics.json"), result)
    job.save(network)
    left.clear(job)


def check(norms: dict[str, nn.Module], title: str) -> None:
    """Raise JobError for a norm without running statistics, such as a LayerNorm."""
    for name, norm in norms.items():
        if getattr(norm, "running_var", None) is None:
            raise jobs.JobError(
                f"{name} of {title}: no running statistics (got {type(norm).__name__}, expected a "
                "batch-norm). Correct custom.network.last_norm."
            )


def measure(
    network: nn.Module, norms: dict[str, nn.Module], reader: requests.CropReader, cropping: Cropping
) -> dict[str, Moments]:
    """The moments of what enters each norm. Every number of processes gives the same ones."""
    moments, test_da = MergedMoments(reader, list(norms)), Augmentation("test DA")
    with one_pass("statistics", reader, test_da, [cropping], moments.segment) as batches:
        for _, images, x in batches:
            for name, of_batch in entering(norms, network, x).items():
                moments.add(name, images, Moments.of(of_batch))
    return moments.merged()


def entering(
    layers: dict[str, nn.Module], run: Callable[..., torch.Tensor], *inputs: torch.Tensor
) -> dict[str, torch.Tensor]:
    """What enters each of the layers when `run` is given these inputs."""
    entered: dict[str, torch.Tensor] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple], None]:
        return lambda _, given: entered.__setitem__(name, given[0].clone())

    with contextlib.ExitStack() as hooks:
        for name, layer in layers.items():
            hooks.enter_context(layer.register_forward_pre_hook(watch(name)))
        run(*inputs)
    return entered


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
    return {
        "mean_in_deviations": float(np.abs(shift).mean()),
        "deviation_ratio": float(np.median(scale)),
    }
