"""Memory: the peak of one step of training, or of fine-tuning, of one batch (§1).

A step is a forward pass, a backward pass and an update with momentum (`sgd.Step`), on a batch that
is on the device. Base training goes through the whole network. In fine-tuning the trunk computes
without gradients, as if no activations were cached, and the head trains.

On a GPU the peak is the allocator's (torch.cuda.max_memory_allocated). On a CPU torch's profiler
records every block that torch takes and gives back in the step; the peak is the largest sum of
them, plus what was there before: parameters, buffers, momenta and the batch. What libraries keep
outside of torch's allocator is not in it. The weights are random, and the pixels too: the peak does
not depend on them.
"""

from collections.abc import Callable

import torch
from torch import nn

from fixres import jobs
from fixres.hardware.device import Device
from fixres.hardware.memory import peak_bytes
from fixres.models import construct
from fixres.models.adapt import adapt_last_layers
from fixres.models.catalogue import zoo
from fixres.stages import sgd
from fixres.stages.opened import Opened, run

WARM_UP = 3  # steps before the one that is measured: momenta are there, algorithms are chosen
MEGA = 1e6


def main(arguments: list[str]) -> None:
    run(measure, "memory", __doc__, arguments, "manifest", "out")


def measure(job: Opened) -> None:
    config, device, classes = job.config, job.device, len(job.data.classes)
    network = construct.build(job.entry, classes, 0).to(device.device)

    # --- the step
    model, trained = what_trains(config, network, device)
    recipe = {"label_smoothing": 0.0, "weight_decay": 1e-4, "nesterov": False} | config["recipe"]
    batch = sgd.Batch(config["batch"], 1, 1)
    how = sgd.Optimisation(recipe | {"batch_size": batch.micro, "epochs": 1}, 1, batch, device)
    state = sgd.State(trained, how.log())
    step = sgd.Step(model, state, how)
    x = torch.rand(batch.micro, 3, config["k"], config["k"], device=device.device)
    x = x.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(batch.micro, device=device.device) % classes

    def take() -> None:
        step(0, 1e-3, iter([((x,), labels)]))

    for _ in range(WARM_UP):
        take()

    # --- its peak
    if device.device.type == "cuda":
        before, counted_by = torch.cuda.memory_allocated(device.device), "torch's allocator"
    else:
        momenta = [t for t in state.momenta if t is not None]
        held = [*network.parameters(), *network.buffers(), *momenta, x, labels]
        before, counted_by = sum(t.untyped_storage().nbytes() for t in held), "torch's profiler"
    peak = before + peak_bytes(take, device.device)
    jobs.log(f"peak: {peak / MEGA:.1f} MB, a batch of {batch.micro}")
    note = f"Memory: counted by {counted_by} on {device.described(job.args.threads)}."
    job.write_measured(note, megabytes=peak / MEGA)


def what_trains(
    config: dict, network: nn.Module, device: Device
) -> tuple[Callable[..., torch.Tensor], nn.Module]:
    """A function from crops to logits, and the layers that train: all, or the last `layers`."""
    if not config["layers"]:
        return device.prepare(network.train()), network
    entry, batch_norm = zoo.entry_of(config), config["recipe"]["batch_norm"]
    adaptation = adapt_last_layers(network, entry, config["layers"], config["k"], batch_norm)
    trunk, head = device.prepare(adaptation.trunk), device.prepare(adaptation.head)

    def whole(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            activations = trunk(x)
        return head(*activations)

    return whole, nn.ModuleList(adaptation.trained)
