"""Devices of this machine, each held by one job at a time.

Without a scheduler nobody tells two jobs on one machine which GPU is whose, and both would take the first. So a job leases its devices: it
holds a lock on a file for each, waits while others hold them, and sees these alone (CUDA_VISIBLE_DEVICES). The lock is the process's: it
goes with it, however it ends. Under a scheduler the choice is the scheduler's, and the jobs that it runs in one allocation share it out in
the same way.
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

VISIBLE = "CUDA_VISIBLE_DEVICES"
FOLDER = Path("/tmp")  # the machine's, not the job's: TMPDIR may be a folder of its own for each
POLL_SECONDS = 0.5

_held: list[int] = []  # file descriptors; they live as long as the process


def take(gpus: int, device: str) -> list[str]:
    """Lease devices and make them the only ones that this process, and those that it starts, will see.

    Parameters
    ----------
    gpus : how many the job was given; 0: one where there is one.
    device : the job's --device. A device that is named (cuda:1) or `cpu` leases nothing, unless `gpus` asks for it.

    Returns
    -------
    The devices that are held, as CUDA_VISIBLE_DEVICES names them. Raises JobError where there are fewer than asked for.
    """
    if not gpus and device not in ("auto", "cuda"):
        return []
    found = devices()
    if len(found) < gpus:
        raise JobError(
            f"--gpus: found {gpus}, but there are {len(found)} device(s) here ({', '.join(found) or 'none'}); lower hardware.gpus, or look "
            f"at nvidia-smi and {VISIBLE}"
        )
    if not found:
        return []
    held = _lock(found, gpus or 1)
    os.environ[VISIBLE] = ",".join(held)
    return held


def devices() -> list[str]:
    """The devices that jobs may take: those of CUDA_VISIBLE_DEVICES where it is set (by a scheduler or a person), else all.

    By their UUIDs where nvidia-smi tells them, so that two jobs mean the same device by the same name.
    """
    listed = os.environ.get(VISIBLE)
    known = _uuids()
    if listed is None:
        return list(known.values())
    names = [name.strip() for name in listed.split(",")]
    return [known.get(name, name) for name in names if name and name not in ("-1", "NoDevFiles")]


def _uuids() -> dict[str, str]:
    """Index -> UUID, as nvidia-smi lists them; empty without one."""
    if not shutil.which("nvidia-smi"):
        return {}
    query = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    lines = answer.stdout.splitlines() if answer.returncode == 0 else []
    return dict(tuple(line.split(", ")) for line in lines)


def _lock(found: list[str], wanted: int) -> list[str]:
    """Locks on `wanted` of the devices: all of them at once, or none while waiting, so that two jobs never wait for each other."""
    told = False
    while True:
        taken: dict[str, int] = {}
        for name in found:
            descriptor = _open(_file(name))
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            taken[name] = descriptor
            if len(taken) == wanted:
                _held.extend(taken.values())
                log(f"devices: {', '.join(taken)}")
                return list(taken)
        for descriptor in taken.values():
            os.close(descriptor)
        if not told:
            log(f"devices: waiting for {wanted} of {', '.join(found)}; other jobs hold them")
            told = True
        time.sleep(POLL_SECONDS)


def _file(name: str) -> Path:
    """A number means another device in each allocation of a scheduler that counts anew in each."""
    job = os.environ.get("SLURM_JOB_ID", "") if name.isdigit() else ""
    return (
        FOLDER
        / f"fixres-device-{re.sub(r'[^A-Za-z0-9-]', '_', f'{job}-{name}' if job else name)}.lock"
    )


def _open(file: Path) -> int:
    """Of whichever user made it first."""
    try:
        return os.open(file, os.O_RDWR)
    except FileNotFoundError:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        if os.fstat(descriptor).st_uid == os.getuid():
            os.fchmod(descriptor, 0o666)
        return descriptor
