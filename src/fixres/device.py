"""Where a job computes: device, threads, precision. Nothing here changes a result beyond rounding."""

import contextlib
from typing import NamedTuple

import torch

from fixres.job import JobError, log


class Device(NamedTuple):
    device: torch.device
    precision: str  # bf16 or fp32

    def autocast(self) -> contextlib.AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 pays here: tensor cores from Ampere on, or a processor with AVX512-BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def open_device(name: str = "auto", precision: str = "auto", threads: int = 1) -> Device:
    """Pick the device and give torch exactly the threads that the job was given."""
    torch.set_num_threads(threads)
    device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise JobError(f"--device {name}: torch finds no CUDA device here; use --device cpu, or check the driver with nvidia-smi")
    if precision == "auto":
        precision = "bf16" if has_fast_bf16(device) else "fp32"
    what = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {threads} thread(s)"
    log(f"device: {what}, {precision}")
    return Device(device, precision)
