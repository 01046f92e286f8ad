"""Timing: milliseconds of the forward and the backward pass of one batch (Table 7).

Base training: both passes go through the whole network. Fine-tuning: the forward pass is the
whole network's, as if no activations were cached, and the backward pass is the head's.

The weights are random: they cost what trained ones cost. Batches are on the device: loading
(decoding and cutting) is timed by itself, on training images. The backward pass ends with the
gradients; the optimiser's step is not counted. The total time is the time of the job's whole
schedule at these speeds, on one device. Time it on an otherwise idle machine.

Evaluation (a configuration with `passes: [forward]`): the forward pass in eval mode, without
gradients. It has no schedule.
"""

import itertools
import time
from collections.abc import Callable
from statistics import fmean, stdev

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from fixres import jobs
from fixres.artifacts import metrics
from fixres.artifacts.manifest import Manifest
from fixres.data import loader, regions
from fixres.hardware.device import Device
from fixres.models import construct
from fixres.stages.memory import what_trains
from fixres.stages.opened import Opened, run

WARM_UP, BATCHES = 5, 30  # batches before the clock counts, and batches that it counts

Batch = tuple[torch.Tensor, torch.Tensor]  # images (n, 3, k, k), labels (n,)


def main(arguments: list[str]) -> None:
    run(measure, "time", __doc__, arguments, "manifest", "out")


def measure(job: Opened) -> None:
    config, data, device = job.config, job.data, job.device

    # --- the network
    network = construct.build(job.entry, len(data.classes), 0).to(device.device)
    loss_of = forward_pass(config, network, device)
    parameters = [p for p in network.parameters() if p.requires_grad]

    # --- times
    batches, loading = load(job)
    times: dict[str, list[float]] = {p: [] for p in config.get("passes", ["forward", "backward"])}
    for x, labels in itertools.islice(itertools.cycle(batches), WARM_UP + BATCHES):
        started = device.clock()
        loss = loss_of(x, labels)
        between = device.clock()
        times["forward"].append(1000 * (between - started))
        if "backward" in times:
            torch.autograd.grad(loss, parameters)
            times["backward"].append(1000 * (device.clock() - between))

    # --- result
    counted = {name: t[WARM_UP:] for name, t in times.items()}
    found = {"loading_ms": loading}
    found |= {f"{name}_ms": fmean(t) for name, t in counted.items()}
    found |= {f"{name}_ms_std": stdev(t) for name, t in counted.items()}
    if "backward" in times:
        batches_of_schedule = count_crops(config, data) / config["batch"]
        per_batch = found["forward_ms"] + found["backward_ms"]
        found["hours"] = batches_of_schedule * per_batch / 3.6e6
    for name in times:
        spread = f"{found[f'{name}_ms']:.2f} ± {found[f'{name}_ms_std']:.2f} ms"
        jobs.log(f"{name}: {spread} a batch of {config['batch']}")
    jobs.log(f"loading: {loading:.2f} ms a batch, not counted")
    note = f"Timed on {device.described(job.args.threads)}."
    job.write_measured(note, *disagreements(config["run"], counted), **found)


def disagreements(run: str, times: dict[str, list[float]]) -> list[str]:
    """A note for each kind of pass whose batches disagree: the machine did other work, too."""
    return [
        f"{run}: {name} passes took {min(t):.3g} to {max(t):.3g} ms; no conclusion can be drawn "
        "from times that disagree so."
        for name, t in times.items()
        if not metrics.agree(t)
    ]


def forward_pass(config: dict, network: nn.Module, device: Device) -> Callable[..., torch.Tensor]:
    """A function from a batch to its loss: of base training, or of fine-tuning `layers`.

    In evaluation there is no loss: the function returns the logits.
    """
    if "passes" in config:
        evaluated = device.prepare(network.eval())

        def evaluation(x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            with torch.no_grad(), device.autocast():
                return evaluated(x)

        return evaluation

    model, _ = what_trains(config, network, device)

    def training(x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with device.autocast():
            return F.cross_entropy(model(x), labels)

    return training


def load(job: Opened) -> tuple[list[Batch], float]:
    """Load a few batches of training crops.

    Returns the batches, on the device, and the mean time to decode and cut one, milliseconds.
    """
    args, config, data, device = job.args, job.config, job.data, job.device.device
    entry, rows = job.entry, data.rows("train")
    n, k = config["batch"], config["k"]
    augmentation = regions.Augmentation(**config["augmentation"])

    def request(i: int) -> list[loader.Crops]:
        chosen = rows[np.arange(i * n, (i + 1) * n) % len(rows)]
        h, w = data.height[chosen], data.width[chosen]
        return [loader.Crops(regions.rocs(augmentation, k, chosen, h, w, 0, i), k)]

    wanted = (request(i) for i in range(2 * WARM_UP))
    batches, times, started = [], [], time.perf_counter()
    for [crops], [pixels] in loader.batches(data, wanted, args.loader, args.workers, device):
        times.append(1000 * (time.perf_counter() - started))
        x = loader.to_device(pixels, crops.rocs, entry.mean, entry.std, device)
        labels = torch.from_numpy(data.label[crops.rocs.image]).long().to(device)
        batches.append((x, labels))
        started = time.perf_counter()
    return batches, fmean(times[WARM_UP:])


def count_crops(config: dict, data: Manifest) -> int:
    """Count the crops of the whole schedule."""
    recipe, images = config["recipe"], len(data.rows("train"))
    if config["layers"]:
        return recipe["epochs"] * min(recipe["images"] or images, images)
    return recipe["epochs"] * (recipe["samples_per_epoch"] or images)
