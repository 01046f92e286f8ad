"""Where a job computes: device, threads, precision.

None of these changes a result beyond rounding.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch

from fixres.hardware.memory import keep_freed_memory
from fixres.hardware.ranks import ALONE, Ranks
from fixres.jobs.errors import JobError
from fixres.jobs.logs import log

# What a GPU may compute in TF32, though its numbers are float32.
ON_TENSOR_CORES = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)


class Device(NamedTuple):
    """The device that the network runs on, and how it computes there."""

    device: torch.device
    precision: str  # bf16 or fp32
    compiled: bool = False  # whether `prepare` compiles
    graphs: bool = False  # whether a training replays CUDA graphs (stages/cuda_graphs.py)

    def autocast(self) -> contextlib.AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def prepare(self, network: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        """The function to call in place of the network. The network keeps its parameters' names."""
        return compiled(network) if self.compiled else network

    def seed(self, word: int) -> None:
        """Seed the random numbers that layers draw, as dropout does.

        The numbers are those that torch.manual_seed gives. It also formats a stack trace for each
        kind of device that is not in use: on a processor, 0.3 ms a step.
        """
        torch.default_generator.manual_seed(word)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(word)

    def clock(self) -> float:
        """Seconds, read when the device has finished its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def described(self, threads: int) -> str:
        """Hardware and precision, for the notes of a measurement. `threads`: those of the job."""
        on_gpu = self.device.type == "cuda"
        name = torch.cuda.get_device_name(self.device) if on_gpu else None
        return f"{name or f'{threads} processor thread(s)'}, {self.precision}"


def compiled(network: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """torch.compile for whole batches: one graph for each resolution, made for exactly its shape.

    The last batch of a pass has fewer images. It runs uncompiled, because a graph of its own would
    take longer than the batch. By default torch would also make a graph for any number of images,
    which is slower for all of them.
    """
    graphs = torch.compile(network, dynamic=False)
    whole: dict[tuple[torch.Size, ...], int] = {}  # shapes of an image's inputs -> images

    def run(*inputs: torch.Tensor) -> torch.Tensor:
        n = len(inputs[0])
        first = whole.setdefault(tuple(x.shape[1:] for x in inputs), n)
        return (graphs if n == first else network)(*inputs)

    return run


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a tensor to the device without waiting for the device's computations."""
    if device.type == "cuda" and not tensor.is_cuda:
        # Only from pinned memory does a copy go on beside the computation.
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


class PendingNumber:
    """A number that a device computes, to be read later.

    `tensor.item()` waits for all that the device was given up to then. Here the copy to the host is
    queued at once, right behind the number's own computation. `value` waits for this copy, and for
    nothing that was queued after it. A number on a CPU is kept, not copied.
    """

    def __init__(self, tensor: torch.Tensor):
        self.arrived = None
        if tensor.is_cuda:
            # Only into pinned memory does a copy go without the host waiting for it.
            on_host = torch.empty_like(tensor, device="cpu", pin_memory=True)
            tensor = on_host.copy_(tensor, non_blocking=True)
            self.arrived = torch.cuda.Event()
            self.arrived.record()
        self.tensor = tensor

    def value(self) -> float:
        if self.arrived:
            self.arrived.synchronize()
        return self.tensor.item()


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 is fast: on a GPU from Ampere on, or a processor with AVX512-BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def pick_device(name: str, ranks: Ranks = ALONE) -> torch.device:
    """The device of this process. `name` is the job's --device: auto, cpu, cuda or cuda:N.

    Of several processes, each takes the CUDA device with its number on this machine. Raises
    JobError where there is no such device, or too few for the processes.
    """
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(automatic if name == "auto" else name)
    except RuntimeError:
        raise JobError(f"--device: found {name}, expected auto, cpu, cuda or cuda:N") from None
    if device.type != "cuda":
        return device
    if not torch.cuda.is_available():
        raise JobError(
            f"--device {name}: torch finds no CUDA device here; "
            "use --device cpu, or check the driver with nvidia-smi"
        )
    if ranks.size > 1 and device.index is not None:
        raise JobError(
            f"--device {name} with {ranks.size} processes: each takes a device of its own; "
            "use --device cuda"
        )
    found, index = torch.cuda.device_count(), ranks.local if device.index is None else device.index
    if index >= found:
        wanted = f"--processes {ranks.on_machine}" if ranks.size > 1 else f"--device {name}"
        raise JobError(
            f"{wanted}: torch finds {found} CUDA device(s) here; "
            "use at most that many processes, or --device cpu"
        )
    return torch.device("cuda", index)


def open_device(
    name: str = "auto",
    precision: str = "auto",
    threads: int = 1,
    ranks: Ranks = ALONE,
    compile_networks: bool = False,
    graphs: bool = False,
) -> Device:
    """Pick the device of this process and set up torch for it.

    torch gets this process's share of the job's threads. cuDNN does not time its algorithms
    (`cudnn.benchmark`): that gained nothing, and took seconds (docs/gpu.md). A GPU's results
    are not promised to repeat bit by bit in any case.

    TF32 is allowed with bf16, which is coarser. It is off with --precision fp32: who asks for that
    wants the paper's arithmetic, and cuDNN would use TF32 by default.

    Parameters
    ----------
    name, precision, threads, compile_networks, graphs : the job's --device, --precision,
        --threads, --compile and --cuda-graphs. What is compiled is not recorded.
    """
    device, threads = pick_device(name, ranks), ranks.portion(threads)
    torch.set_num_threads(threads)
    if device.type == "cpu":
        keep_freed_memory()
    if precision == "auto":
        precision = "bf16" if has_fast_bf16(device) else "fp32"
    if device.type == "cuda":
        torch.cuda.set_device(device)
        for operations in ON_TENSOR_CORES:
            operations.fp32_precision = "ieee" if precision == "fp32" else "tf32"
        hardware = torch.cuda.get_device_name(device)
    else:
        hardware = f"CPU, {threads} thread(s)"
    several = f"{ranks.size} processes of " if ranks.size > 1 else ""
    log(f"device: {several}{hardware}, {precision}{', compiled' if compile_networks else ''}")
    graphs = graphs and device.type == "cuda" and not compile_networks
    return Device(device, precision, compile_networks, graphs)


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """A block without TF32 on GPUs, in a program that may allow it elsewhere."""
    before = [operations.fp32_precision for operations in ON_TENSOR_CORES]
    try:
        for operations in ON_TENSOR_CORES:
            operations.fp32_precision = "ieee"
        yield
    finally:
        for operations, allowed in zip(ON_TENSOR_CORES, before, strict=True):
            operations.fp32_precision = allowed
