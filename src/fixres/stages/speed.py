"""Speed: what the forward pass of a network costs at each k_test (docs/recommend.md).

The latency is the time of one image alone. The throughput is measured on a large batch. Both are
medians over rounds; a round goes through all k_test, so what else the machine does meets all alike.
The time of each round is kept: where rounds disagree, the page draws no conclusion from times.
The memory is the peak of the forward pass of the large batch, with the weights (`memory`). The
weights and pixels are random: time and memory do not depend on them. Measure on an otherwise idle
machine.
"""

import time
from statistics import median

import torch

from fixres import jobs
from fixres.artifacts import metrics
from fixres.hardware.device import Device
from fixres.hardware.memory import peak_bytes
from fixres.models import construct
from fixres.stages.memory import MEGA
from fixres.stages.opened import Opened, run

ROUNDS = 5
SECONDS = 0.2  # a measurement repeats its forward pass for at least as long, or REPEATS times
REPEATS = 50


def main(arguments: list[str]) -> None:
    run(measure, "speed", __doc__, arguments, "out")


def measure(job: Opened) -> None:
    config, device = job.config, job.device
    network = construct.build(job.entry, config["entry"]["outputs"], 0).to(device.device).eval()
    model = device.prepare(network)
    weights = sum(t.numel() * t.element_size() for t in network.state_dict().values())

    # --- times: each k_test once in each round
    sizes, batches = config["k_test"], (1, config["batch"])
    times: dict[tuple[int, int], list[float]] = {(k, n): [] for k in sizes for n in batches}
    with jobs.progress("speed", ROUNDS * len(times), "measurements") as bar:
        for _ in range(ROUNDS):
            for (k, n), found in times.items():
                found.append(milliseconds(model, crops(n, k, device), device))
                bar.update(1)

    # --- memory, and the result
    measured = {}
    for k in sizes:
        peak = weights + peak_of(model, crops(config["batch"], k, device), device)
        one, many = (median(times[k, n]) for n in batches)
        measured[str(k)] = {
            "latency_ms": one,
            "batch_ms": many,
            "latency_ms_rounds": times[k, 1],
            "batch_ms_rounds": times[k, config["batch"]],
            "images_per_second": 1000 * config["batch"] / many,
            "megabytes": peak / MEGA,
        }
        each = many / config["batch"]
        disagree = not all(metrics.agree(times[k, n]) for n in batches)
        remark = "; the rounds disagree: is the machine busy?" if disagree else ""
        jobs.log(f"k_test {k}: {one:.2f} ms an image alone, {each:.2f} in a batch{remark}")
    counted = "the allocator" if device.device.type == "cuda" else "torch's profiler"
    note = f"{device.described(job.args.threads)}; memory counted by {counted}"
    job.write_measured(note, k_test=measured)


def crops(n: int, k: int, device: Device) -> torch.Tensor:
    """(n, 3, k, k) random pixels on the device, in the layout that loaders give."""
    x = torch.rand(n, 3, k, k, generator=torch.Generator().manual_seed(0))
    return x.to(device.device, memory_format=torch.channels_last)


def milliseconds(model: torch.nn.Module, x: torch.Tensor, device: Device) -> float:
    """Milliseconds of one forward pass, the mean of some in a row; one more goes before."""
    with torch.no_grad(), device.autocast():
        model(x)
        started, passes = device.clock(), 0
        while passes == 0 or (passes < REPEATS and time.perf_counter() - started < SECONDS):
            model(x)
            passes += 1
        return 1000 * (device.clock() - started) / passes


def peak_of(model: torch.nn.Module, x: torch.Tensor, device: Device) -> int:
    """Peak bytes of a forward pass with its crops, without the weights."""

    def take() -> None:
        with torch.no_grad(), device.autocast():
            model(x)

    return x.nbytes + peak_bytes(take, device.device)
