"""Timing: milliseconds of the forward and the backward pass of a batch, in base training or in fine-tuning (Table 7).

    python -m fixres time --config results/timing/pinhole/resnet10q-k56/config.json \\
        --manifest results/data/pinhole/manifest.npz --out results/timing/pinhole/resnet10q-k56/metrics.json

The network has random weights, which cost what trained ones cost. Batches lie in memory: decoding and cutting are timed by themselves, on
training images. In fine-tuning the forward pass is the whole network's and the backward pass the head's, as if nothing were cached.
The backward pass ends with the gradients; the optimiser's step is not counted. The total time is that of the job's whole schedule at these
speeds, on one device. Time it on an otherwise idle machine.
"""

import argparse
import itertools
import statistics
import time

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from fixres import jobs
from fixres.data import loader, manifest, regions
from fixres.jobs import processes
from fixres.jobs.device import Device, open_device
from fixres.jobs.ranks import Ranks
from fixres.models import zoo
from fixres.models.split import freeze

WARM_UP, BATCHES = 5, 30


def main(arguments: list[str]) -> None:
    p = jobs.device_options(jobs.parser("time", __doc__, "manifest", "out"))
    processes.run(measure, p.parse_args(arguments), ["time", *arguments])


def measure(args: argparse.Namespace, ranks: Ranks) -> None:
    config = jobs.read_config(args.config, "time", args.ancestry_digest)
    entry, data = zoo.ZOO[config["network"]], manifest.load(args.manifest)
    device = open_device(args.device, args.precision, args.threads, ranks, args.compile)
    network = zoo.build(config["network"], len(data.classes), 0).to(device.device)
    if config["layers"]:
        parts = freeze(network, config["layers"], entry, config["recipe"]["batch_norm"])
        trunk, head = device.prepare(parts.trunk), device.prepare(parts.head)
    else:
        network.train()
        head = device.prepare(network)
        trunk = None
    parameters = [p for p in network.parameters() if p.requires_grad]

    def forward(x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with device.autocast():
            if trunk is None:
                return F.cross_entropy(head(x), labels)
            with torch.no_grad():
                frontier = trunk(x)
            return F.cross_entropy(head(*frontier), labels)

    batches, loading = load(config, data, entry, device, args.loader, args.workers)
    times: dict[str, list[float]] = {"forward": [], "backward": []}
    for x, labels in itertools.islice(itertools.cycle(batches), WARM_UP + BATCHES):
        started = clock(device)
        loss = forward(x, labels)
        between = clock(device)
        torch.autograd.grad(loss, parameters)
        ended = clock(device)
        times["forward"].append(1000 * (between - started))
        times["backward"].append(1000 * (ended - between))
    metrics = {"loading_ms": loading} | {
        f"{name}_ms": statistics.fmean(t[WARM_UP:]) for name, t in times.items()
    }
    metrics |= {f"{name}_ms_std": statistics.stdev(t[WARM_UP:]) for name, t in times.items()}
    metrics["hours"] = (
        crops(config, data)
        / config["batch"]
        * (metrics["forward_ms"] + metrics["backward_ms"])
        / 3.6e6
    )
    what = (
        torch.cuda.get_device_name(device.device)
        if device.device.type == "cuda"
        else f"{args.threads} processor thread(s)"
    )
    note = f"Timed on {what}, {device.precision}."
    for name in ("forward", "backward"):
        jobs.log(
            f"{name}: {metrics[f'{name}_ms']:.2f} ± {metrics[f'{name}_ms_std']:.2f} ms a batch of {config['batch']}"
        )
    jobs.log(f"loading: {loading:.2f} ms a batch, not counted")
    jobs.write_json(
        args.out, {"run": config["run"], "batch": config["batch"], "notes": [note], **metrics}
    )


def load(
    config: dict,
    data: manifest.Manifest,
    entry: zoo.Network,
    device: Device,
    name: str,
    workers: int,
) -> tuple[list[tuple[torch.Tensor, torch.Tensor]], float]:
    """A few batches on the device, and the milliseconds that decoding and cutting one takes."""
    n, rows = config["batch"], data.rows("train")
    augmentation = regions.Augmentation(**config["augmentation"])

    def request(i: int) -> list[loader.Crops]:
        chosen = rows[np.arange(i * n, (i + 1) * n) % len(rows)]
        return [
            loader.Crops(
                regions.views(
                    augmentation, config["k"], chosen, data.height[chosen], data.width[chosen], 0, i
                ),
                config["k"],
            )
        ]

    wanted = (request(i) for i in range(2 * WARM_UP))
    batches, times, started = [], [], time.perf_counter()
    for [crops], [pixels] in loader.batches(data, wanted, name, workers, device.device):
        times.append(1000 * (time.perf_counter() - started))
        x = loader.to_device(pixels, crops.views, entry.mean, entry.std, device.device)
        batches.append(
            (x, torch.from_numpy(data.label[crops.views.image]).long().to(device.device))
        )
        started = time.perf_counter()
    return batches, statistics.fmean(times[WARM_UP:])


def crops(config: dict, data: manifest.Manifest) -> int:
    """How many crops the whole schedule sees."""
    recipe, images = config["recipe"], len(data.rows("train"))
    an_epoch = (
        min(recipe["images"] or images, images)
        if config["layers"]
        else recipe["samples_per_epoch"] or images
    )
    return recipe["epochs"] * an_epoch


def clock(device: Device) -> float:
    """Seconds, once the device has done what it was given."""
    if device.device.type == "cuda":
        torch.cuda.synchronize(device.device)
    return time.perf_counter()
