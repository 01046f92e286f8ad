"""Memory of the device and of the host: what is free, what stays, and the peak of a computation."""

import ctypes
import os
from collections.abc import Callable

import torch

from fixres.jobs.logs import log

# glibc: two parameters of its malloc.h, and the most bytes to keep. An older glibc refuses 1 GB for
# the second parameter: it takes at most 32 MB.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEPT_BYTES, KEPT_BYTES_OLDER = 2**30, 2**25


def keep_freed_memory() -> None:
    """Let the next tensor have the memory that the last one left, up to 1 GB.

    glibc would give a large tensor's memory back to the system. The next step's tensor then gets
    new pages, and the system fills each with zeros first. That was a tenth of a training's time at
    96 px (docs/speed.md). Where the C library is not glibc, nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(TRIM_THRESHOLD, KEPT_BYTES)
    # One of both must be taken. The first call fixed this threshold at 128 kB, which is worse than
    # what glibc does by itself.
    if not mallopt(MMAP_THRESHOLD, KEPT_BYTES):
        mallopt(MMAP_THRESHOLD, KEPT_BYTES_OLDER)


def free_bytes(device: torch.device) -> int | None:
    """Bytes of a GPU that new tensors can take; None for a processor."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    # torch keeps what its tensors gave back. That is free for new ones, too.
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def pin(tensor: torch.Tensor) -> None:
    """Pin a tensor's memory on the host, where it lies, until the process ends.

    torch's own pinned memory comes in powers of two: 33 GB would take 64. Where the driver refuses,
    the tensor stays as it is, and copies of it to the GPU are slower.
    """
    status = torch.cuda.cudart().cudaHostRegister(tensor.data_ptr(), tensor.nbytes, 0)
    if int(status):
        log(f"{tensor.nbytes / 1e9:.2f} GB are not pinned (CUDA error {int(status)})")


def peak_bytes(take: Callable[[], None], device: torch.device) -> int:
    """The most bytes that `take()` holds at once, beyond those there already (stages/memory.py)."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        take()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it would write into the job's log
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        take()
    events = profile.profiler.kineto_results.events()
    blocks = [event for event in events if event.name() == "[memory]"]
    held = peak = 0
    for block in sorted(blocks, key=lambda event: event.start_ns()):
        held += block.nbytes()
        peak = max(peak, held)
    return peak
