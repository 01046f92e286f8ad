"""Memory of the device and the host: what is free, what is kept, and a computation's peak."""

import ctypes
import os
from collections.abc import Callable

import torch

from fixres.jobs.logs import log

# Two parameters from glibc's malloc.h, and the most bytes to keep. An older glibc accepts at most
# 32 MB for the second parameter.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEPT_BYTES, KEPT_BYTES_OLDER = 2**30, 2**25


def keep_freed_memory() -> None:
    """Let new tensors reuse freed memory, up to 1 GB.

    glibc would return a large tensor's memory to the system. The next step's tensor would then get
    new pages, which the system first fills with zeros. That took a tenth of a training's time at
    96 px (docs/speed.md). With another C library than glibc, nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(TRIM_THRESHOLD, KEPT_BYTES)
    # One of the two calls must succeed: the call above has fixed this threshold at 128 kB, which is
    # worse than glibc's default behaviour.
    if not mallopt(MMAP_THRESHOLD, KEPT_BYTES):
        mallopt(MMAP_THRESHOLD, KEPT_BYTES_OLDER)


def free_bytes(device: torch.device) -> int | None:
    """Bytes of a GPU that are free for new tensors; None for a processor."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    # torch keeps the memory of deleted tensors, which is also free for new tensors.
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def pin(tensor: torch.Tensor) -> None:
    """Pin a tensor's memory on the host in place, until the process ends.

    torch allocates pinned memory in powers of two, so 33 GB would take 64. If the driver refuses,
    the tensor stays as it is, and copies of it to the GPU are slower.
    """
    status = torch.cuda.cudart().cudaHostRegister(tensor.data_ptr(), tensor.nbytes, 0)
    if int(status):
        log(f"{tensor.nbytes / 1e9:.2f} GB are not pinned (CUDA error {int(status)})")


def peak_bytes(take: Callable[[], None], device: torch.device) -> int:
    """The peak bytes that `take()` holds, beyond the bytes held before (stages/memory.py)."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        take()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # otherwise it writes into the job's log
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
