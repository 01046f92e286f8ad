"""Each device of this machine is leased to one job at a time.

Without a scheduler, nobody tells two jobs on one machine which GPU each may use: both would take
the first. So a job leases its devices. It locks a file for each device, waits while other jobs hold
them, and then sees only its own devices (CUDA_VISIBLE_DEVICES). A lock belongs to the process: it
ends with the process, however that ends.

Under a scheduler, the scheduler chooses the devices. The jobs that run in one allocation share its
devices in the same way.
"""

import fcntl
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from fixres.jobs.errors import JobError
from fixres.jobs.logs import log

VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
# The folder of the lock files. It belongs to the machine: TMPDIR may differ from job to job.
LOCK_FOLDER = Path("/tmp")
POLL_SECONDS = 0.5  # between two attempts to lock the devices
# How a job logs that it waited (`seconds_waited`), behind the devices that it got.
_WAITED = "; waited {:.1f} s"
_WAITED_LINE = re.compile(r"devices: .*; waited (\d+\.\d) s$")

_held_locks: list[int] = []  # file descriptors; they live as long as the process


def lease_devices(gpus: int, device: str) -> list[str]:
    """Lease devices for this process. It and the processes that it starts will see no others.

    Parameters
    ----------
    gpus : number of devices that the job asks for. 0: one where there is one. JobError where the
        machine has fewer.
    device : the job's --device. With `cpu` or a numbered device (cuda:1), nothing is leased unless
        `gpus` asks for it.

    Returns
    -------
    The leased devices, as CUDA_VISIBLE_DEVICES names them.
    """
    if not gpus and device not in ("auto", "cuda"):
        return []
    found = available_devices()
    if len(found) < gpus:
        raise JobError(
            f"--gpus: found {gpus}, but there are {len(found)} device(s) here "
            f"({', '.join(found) or 'none'}); lower hardware.gpus, "
            f"or look at nvidia-smi and {VISIBLE_DEVICES}"
        )
    if not found:
        return []
    leased = _lock_devices(found, gpus or 1)
    os.environ[VISIBLE_DEVICES] = ",".join(leased)
    return leased


def available_devices() -> list[str]:
    """The devices that jobs may lease.

    They are those of CUDA_VISIBLE_DEVICES where a scheduler or a person has set it, else all. A
    device goes by its UUID where nvidia-smi knows it, so that all jobs use the same name for it.
    """
    listed = os.environ.get(VISIBLE_DEVICES)
    uuids = _device_uuids()
    if listed is None:
        return list(uuids.values())
    names = [name.strip() for name in listed.split(",")]
    return [uuids.get(name, name) for name in names if name and name not in ("-1", "NoDevFiles")]


def _device_uuids() -> dict[str, str]:
    """Device number -> UUID, as nvidia-smi lists them. Empty where there is no nvidia-smi.

    A sentence is no device: nvidia-smi says in one, whatever its exit code, that it finds none.
    """
    if not shutil.which("nvidia-smi"):
        return {}
    query = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    lines = answer.stdout.splitlines() if answer.returncode == 0 else []
    found = (re.fullmatch(r"(\d+), (\S+)", line.strip()) for line in lines)
    return {match[1]: match[2] for match in found if match}


def _lock_devices(found: list[str], wanted: int) -> list[str]:
    """Lock `wanted` of the found devices; wait until that many are free at the same moment.

    While it waits, the job holds no lock at all. So two jobs never wait for each other.
    """
    started, waited = time.perf_counter(), False
    while True:
        locked: dict[str, int] = {}
        for name in found:
            descriptor = _open_lock_file(_lock_file(name))
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            locked[name] = descriptor
            if len(locked) == wanted:
                _held_locks.extend(locked.values())
                seconds = time.perf_counter() - started
                log(f"devices: {', '.join(locked)}" + (_WAITED.format(seconds) if waited else ""))
                return list(locked)
        for descriptor in locked.values():
            os.close(descriptor)
        if not waited:
            log(f"devices: waiting for {wanted} of {', '.join(found)}; other jobs hold them")
            waited = True
        time.sleep(POLL_SECONDS)


def seconds_waited(log_file: Path) -> float:
    """How long the job that wrote a log waited for its devices. 0: not at all, or no such log."""
    try:
        with open(log_file, encoding="utf-8", errors="replace") as lines:
            found = (_WAITED_LINE.search(line) for line in lines)
            return next((float(match[1]) for match in found if match), 0.0)
    except OSError:
        return 0.0


def _lock_file(name: str) -> Path:
    """The lock file of a device.

    A scheduler may count the devices of each allocation from 0. A device that goes by its number
    therefore has a lock file of its own in each allocation.
    """
    job = os.environ.get("SLURM_JOB_ID", "") if name.isdigit() else ""
    label = re.sub(r"[^A-Za-z0-9-]", "_", f"{job}-{name}" if job else name)
    return LOCK_FOLDER / f"fixres-device-{label}.lock"


def _open_lock_file(file: Path) -> int:
    """Open a lock file that every user of the machine can open, whoever created it."""
    try:
        return os.open(file, os.O_RDWR)
    except FileNotFoundError:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        if os.fstat(descriptor).st_uid == os.getuid():
            os.fchmod(descriptor, 0o666)
        return descriptor
