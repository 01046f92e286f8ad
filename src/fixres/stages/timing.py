"""Timing: milliseconds of the forward and the backward pass of one batch (Table 7).

    python -m fixres time --config results/timing/pinhole/resnet10q-k56/config.json \\
        --manifest results/data/pinhole/manifest.npz \\
        --out results/timing/pinhole/resnet10q-k56/metrics.json

Base training: both passes are those of the whole network. Fine-tuning: the forward pass is the
whole network's, as if no activations were cached, and the backward pass is the head's.

The weights are random: they cost what trained ones cost. Batches lie on the device: loading
(decoding and cutting) is timed by itself, on training images. The backward pass ends with the
gradients; the optimiser's step is not counted. The total time is that of the job's whole schedule
at these speeds, on one device. Time it on an otherwise idle machine.

Evaluation (a configuration with `passes: [forward]`): the forward pass in eval mode, without
gradients. It has no schedule.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from fixres import jobs
from fixres.artifacts import manifest
from fixres.data import loader, regions
from fixres.hardware import processes
from fixres.hardware.device import Device, open_device
from fixres.hardware.ranks import Ranks
from fixres.models.adapt import adapt_last_layers
from fixres.models.catalogue import zoo

WARM_UP, BATCHES = 5, 30  # batches before the clock counts, and batches that it counts

Batch = tuple[torch.Tensor, torch.Tensor]  # images (n, 3, k, k), labels (n,)


def main(arguments: list[str]) -> None:
    p = jobs.device_options(jobs.parser("time", __doc__, "manifest", "out"))
    processes.run(measure, p.parse_args(arguments), ["time", *arguments])


def measure(args: argparse.Namespace, ranks: Ranks) -> None:
    config = jobs.read_config(args.config, "time", args.ancestry_digest)

    # --- data and network
    data = manifest.load(args.manifest)
    device = open_device(args.device, args.precision, args.threads, ranks, args.compile)
    network = zoo.build(zoo.entry_of(config), len(data.classes), 0).to(device.device)
    loss_of = forward_pass(config, network, device)
    parameters = [p for p in network.parameters() if p.requires_grad]

    # --- times
    batches, loading = load(config, data, device, args.loader, args.workers)
    times: dict[str, list[float]] = {p: [] for p in config.get("passes", ["forward", "backward"])}
    for x, labels in itertools.islice(itertools.cycle(batches), WARM_UP + BATCHES):
        started = clock(device)
        loss = loss_of(x, labels)
        between = clock(device)
        times["forward"].append(1000 * (between - started))
        if "backward" in times:
            torch.autograd.grad(loss, parameters)
            times["backward"].append(1000 * (clock(device) - between))

    # --- result
    counted = {name: t[WARM_UP:] for name, t in times.items()}
    metrics = {"loading_ms": loading}
    metrics |= {f"{name}_ms": statistics.fmean(t) for name, t in counted.items()}
    metrics |= {f"{name}_ms_std": statistics.stdev(t) for name, t in counted.items()}
    if "backward" in times:
        batches_of_schedule = count_crops(config, data) / config["batch"]
        per_batch = metrics["forward_ms"] + metrics["backward_ms"]
        metrics["hours"] = batches_of_schedule * per_batch / 3.6e6
    for name in times:
        spread = f"{metrics[f'{name}_ms']:.2f} ± {metrics[f'{name}_ms_std']:.2f} ms"
        jobs.log(f"{name}: {spread} a batch of {config['batch']}")
    jobs.log(f"loading: {loading:.2f} ms a batch, not counted")
    note = f"Timed on {hardware(device, args.threads)}, {device.precision}."
    about = {"run": config["run"], "batch": config["batch"], "notes": [note]}
    jobs.write_json(args.out, about | metrics)


def forward_pass(
    config: dict, network: nn.Module, device: Device
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A function from a batch to its loss: of base training, or of fine-tuning `layers`.

    In evaluation there is no loss: the function returns the logits.
    """
    if "passes" in config:
        evaluated = device.prepare(network.eval())

        def evaluation(x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            with torch.no_grad(), device.autocast():
                return evaluated(x)

        return evaluation

    if not config["layers"]:
        model = device.prepare(network.train())

        def base_training(x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            with device.autocast():
                return F.cross_entropy(model(x), labels)

        return base_training

    entry, batch_norm = zoo.entry_of(config), config["recipe"]["batch_norm"]
    adaptation = adapt_last_layers(network, entry, config["layers"], config["k"], batch_norm)
    trunk, head = device.prepare(adaptation.trunk), device.prepare(adaptation.head)

    def fine_tuning(x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with device.autocast():
            with torch.no_grad():
                activations = trunk(x)
            return F.cross_entropy(head(*activations), labels)

    return fine_tuning


def load(
    config: dict, data: manifest.Manifest, device: Device, loader_name: str, workers: int
) -> tuple[list[Batch], float]:
    """Load a few batches of training crops.

    Returns
    -------
    The batches, on the device, and the mean time to decode and cut one, milliseconds.
    """
    entry, rows = zoo.entry_of(config), data.rows("train")
    n, k = config["batch"], config["k"]
    augmentation = regions.Augmentation(**config["augmentation"])

    def request(i: int) -> list[loader.Crops]:
        chosen = rows[np.arange(i * n, (i + 1) * n) % len(rows)]
        h, w = data.height[chosen], data.width[chosen]
        return [loader.Crops(regions.views(augmentation, k, chosen, h, w, 0, i), k)]

    wanted = (request(i) for i in range(2 * WARM_UP))
    batches, times, started = [], [], time.perf_counter()
    for [crops], [pixels] in loader.batches(data, wanted, loader_name, workers, device.device):
        times.append(1000 * (time.perf_counter() - started))
        x = loader.to_device(pixels, crops.views, entry.mean, entry.std, device.device)
        labels = torch.from_numpy(data.label[crops.views.image]).long().to(device.device)
        batches.append((x, labels))
        started = time.perf_counter()
    return batches, statistics.fmean(times[WARM_UP:])


def count_crops(config: dict, data: manifest.Manifest) -> int:
    """Count the crops of the whole schedule."""
    recipe, images = config["recipe"], len(data.rows("train"))
    if config["layers"]:
        return recipe["epochs"] * min(recipe["images"] or images, images)
    return recipe["epochs"] * (recipe["samples_per_epoch"] or images)


def hardware(device: Device, threads: int) -> str:
    if device.device.type == "cuda":
        return torch.cuda.get_device_name(device.device)
    return f"{threads} processor thread(s)"


def clock(device: Device) -> float:
    """Seconds, read when the device has finished its work."""
    if device.device.type == "cuda":
        torch.cuda.synchronize(device.device)
    return time.perf_counter()
