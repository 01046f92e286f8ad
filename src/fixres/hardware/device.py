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

# Operations that a GPU may compute in TF32, although the numbers are float32.
ON_TENSOR_CORES = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)


class Device(NamedTuple):
    """The device that the network runs on, and how it computes."""

    device: torch.device
    precision: str  # bf16 or fp32
    compiled: bool = False  # whether `prepare` compiles
    graphs: bool = False  # whether a training replays CUDA graphs (stages/cuda_graphs.py)

    def autocast(self) -> contextlib.AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def prepare(self, network: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        """The function to call instead of the network, whose parameters keep their names."""
        return compiled(network) if self.compiled else network

    def seed(self, word: int) -> None:
        """Seed the random numbers that layers like dropout draw.

        It gives the same numbers as torch.manual_seed, which also formats a stack trace for each
        unused kind of device: 0.3 ms per step on a processor.
        """
        torch.default_generator.manual_seed(word)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(word)

    def clock(self) -> float:
        """Time in seconds, after the device has finished its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def described(self, threads: int) -> str:
        """Hardware and precision, for notes on a measurement by a job with so many `threads`."""
        on_gpu = self.device.type == "cuda"
        name = torch.cuda.get_device_name(self.device) if on_gpu else None
        return f"{name or f'{threads} processor thread(s)'}, {self.precision}"


def compiled(network: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """torch.compile for full batches: one graph per resolution, made for exactly its shape.

    The smaller last batch of a pass runs uncompiled, because compiling a graph for it would take
    longer than the batch. By default torch would also make one graph for any number of images,
    which is slower for all batches.
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
        # A copy runs concurrently with the computation only from pinned memory.
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


class PendingNumber:
    """A number that a device computes, to be read later.

    `tensor.item()` waits for everything queued on the device so far. Here the copy to the host is
    queued at once, right behind the computation of the number, and `value` waits for this copy but
    for nothing queued later. A number on a CPU is kept without a copy.
    """

    def __init__(self, tensor: torch.Tensor):
        self.arrived = None
        if tensor.is_cuda:
            # Only a copy into pinned memory does not block the host.
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
    """Whether bf16 is fast: GPUs since Ampere, and processors with AVX512-BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def pick_device(name: str, ranks: Ranks = ALONE) -> torch.device:
    """The device of this process. `name` is the job's --device: auto, cpu, cuda or cuda:N.

    Each of several processes takes the CUDA device with its number on this machine. Raises JobError
    if there is no such device, or fewer devices than processes.
    """
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(automatic if name == "auto" else name)
    except RuntimeError:
        expected = "expected auto, cpu, cuda or cuda:N"
        raise JobError(f"--device: unknown device (got {name}, {expected}).") from None
    if device.type != "cuda":
        return device
    if not torch.cuda.is_available():
        raise JobError(
            f"--device {name}: torch finds no CUDA device. "
            "Use --device cpu, or check the driver with nvidia-smi."
        )
    if ranks.size > 1 and device.index is not None:
        raise JobError(
            f"--device {name}: one device for {ranks.size} processes (expected one device each). "
            "Use --device cuda."
        )
    found, index = torch.cuda.device_count(), ranks.local if device.index is None else device.index
    if index >= found:
        wanted = f"--processes {ranks.on_machine}" if ranks.size > 1 else f"--device {name}"
        raise JobError(
            f"{wanted}: too few CUDA devices (torch finds {found}). "
            "Use at most that many processes, or --device cpu."
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
    (`cudnn.benchmark`), because that gained nothing and took seconds (docs/gpu.md). Results on a
    GPU are not guaranteed to be bit-identical in any case.

    TF32 is allowed with bf16, which is coarser. It is off with --precision fp32, which stands for
    the paper's arithmetic, although cuDNN would use TF32 by default.

    Parameters
    ----------
    name, precision, threads, compile_networks, graphs : the job's --device, --precision,
        --threads, --compile and --cuda-graphs. Compiled networks use no CUDA graphs.
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
    """A block without TF32 on GPUs, for programs that may allow it elsewhere."""
    before = [operations.fp32_precision for operations in ON_TENSOR_CORES]
    try:
        for operations in ON_TENSOR_CORES:
            operations.fp32_precision = "ieee"
        yield
    finally:
        for operations, allowed in zip(ON_TENSOR_CORES, before, strict=True):
            operations.fp32_precision = allowed
