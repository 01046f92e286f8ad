"""Where a job computes: device, threads, precision. Nothing here changes a result beyond rounding."""

import contextlib
from collections.abc import Callable
from typing import NamedTuple

import torch

from fixres.jobs.errors import JobError
from fixres.jobs.logs import log
from fixres.jobs.ranks import ALONE, Ranks


class Device(NamedTuple):
    """What the network runs on."""

    device: torch.device
    precision: str  # bf16 or fp32
    compiled: bool = False  # whether `prepare` compiles

    def autocast(self) -> contextlib.AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def prepare(self, network: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        """What to call in the network's place; the network keeps its parameters and their names."""
        return torch.compile(network) if self.compiled else network


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on the device, without waiting for what the device is computing."""
    if device.type == "cuda" and not tensor.is_cuda:
        tensor = (
            tensor.pin_memory()
        )  # only from pinned memory does a copy go on beside the computation
    return tensor.to(device, non_blocking=True)


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 pays here: tensor cores from Ampere on, or a processor with AVX512-BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def pick(name: str, ranks: Ranks = ALONE) -> torch.device:
    """The device of this process: the one that is named, or of several processes the one with its number on this machine."""
    try:
        device = torch.device(
            ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
        )
    except RuntimeError:
        raise JobError(f"--device: found {name}, expected auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise JobError(
            f"--device {name}: torch finds no CUDA device here; use --device cpu, or check the driver with nvidia-smi"
        )
    if device.type != "cuda":
        return device
    if ranks.size > 1 and device.index is not None:
        raise JobError(
            f"--device {name} with {ranks.size} processes: each takes a device of its own; use --device cuda"
        )
    found, index = torch.cuda.device_count(), ranks.local if device.index is None else device.index
    if index >= found:
        wanted = f"--processes {ranks.on_machine}" if ranks.size > 1 else f"--device {name}"
        raise JobError(
            f"{wanted}: torch finds {found} CUDA device(s) here; use at most that many processes, or --device cpu"
        )
    return torch.device("cuda", index)


def open_device(
    name: str = "auto",
    precision: str = "auto",
    threads: int = 1,
    ranks: Ranks = ALONE,
    compiled: bool = False,
) -> Device:
    """Pick the device and give torch its share of the threads that the job was given.

    On CUDA, cuDNN times its algorithms for each shape and keeps the fastest (`cudnn.benchmark`): crops come in few shapes, and the bits of
    a GPU are not promised to repeat. TF32 is allowed beside bf16, which is coarser, and not with --precision fp32, which is asked for
    by whoever wants the paper's arithmetic (cuDNN would take TF32 by itself).
    """
    device, threads = pick(name, ranks), ranks.portion(threads)
    torch.set_num_threads(threads)
    if precision == "auto":
        precision = "bf16" if has_fast_bf16(device) else "fp32"
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.conv.fp32_precision = torch.backends.cuda.matmul.fp32_precision = (
            "ieee" if precision == "fp32" else "tf32"
        )
    what = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {threads} thread(s)"
    )
    several = f"{ranks.size} processes of " if ranks.size > 1 else ""
    log(f"device: {several}{what}, {precision}{', compiled' if compiled else ''}")
    return Device(device, precision, compiled)
