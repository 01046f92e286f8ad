"""Each device of this machine is leased to one job at a time.

Without a scheduler, two jobs on one machine would both take the first GPU. So a job leases its
devices: it locks one file per device, waits while other jobs hold them, and then sees only its own
devices (CUDA_VISIBLE_DEVICES). A lock belongs to the process and ends with it, however it ends.

The files are in a folder that only the user can write to. So leases coordinate the jobs of one
user; users who share a machine without a scheduler have to agree among themselves. Because systems
clean /tmp of old files, a job refreshes the dates of the files that it holds, and makes a deleted
file again.

With a scheduler, the scheduler chooses the devices, and the jobs in one allocation share its
devices in the same way.
"""

import contextlib
import fcntl
import os
import re
import shutil
import stat
import subprocess
import threading
import time
from pathlib import Path

from fixres.jobs.errors import JobError
from fixres.jobs.logs import log

VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
# The folder of the lock files. Not below TMPDIR, which may differ from job to job.
LOCK_FOLDER = Path(f"/tmp/fixres-devices-{os.getuid()}")
POLL_SECONDS = 0.5  # between two attempts to lock the devices
KEEP_SECONDS = 60.0  # between two looks at the lock files that this process holds
# How a job logs that it waited (`seconds_waited`), after the devices that it got.
_WAITED = "; waited {:.1f} s"
_WAITED_LINE = re.compile(r"devices: .*; waited (\d+\.\d) s$")

_held_locks: dict[Path, int] = {}  # lock file -> its descriptor, which lives as long as the process


def lease_devices(gpus: int, device: str) -> list[str]:
    """Lease devices for this process. It and the processes that it starts will see no others.

    Parameters
    ----------
    gpus : number of devices that the job needs; 0: one if there is one. JobError if the machine has
        fewer.
    device : the job's --device. With `cpu` or a numbered device (cuda:1), nothing is leased unless
        `gpus` asks for it.

    Returns
    -------
    The names of the leased devices, as in CUDA_VISIBLE_DEVICES.
    """
    if not gpus and device not in ("auto", "cuda"):
        return []
    found = available_devices()
    if len(found) < gpus:
        raise JobError(
            f"--gpus: too few devices (got {gpus}, expected at most {len(found)}: "
            f"{', '.join(found) or 'none'}). Lower hardware.gpus, or check nvidia-smi and "
            f"{VISIBLE_DEVICES}."
        )
    if not found:
        return []
    leased = _lock_devices(found, gpus or 1)
    os.environ[VISIBLE_DEVICES] = ",".join(leased)
    return leased


def available_devices() -> list[str]:
    """The devices that jobs may lease.

    These are the devices in CUDA_VISIBLE_DEVICES if a scheduler or a person has set it, otherwise
    all. A device is named by its UUID if nvidia-smi knows it, so that all jobs use the same name.
    """
    listed = os.environ.get(VISIBLE_DEVICES)
    uuids = _device_uuids()
    if listed is None:
        return list(uuids.values())
    names = [name.strip() for name in listed.split(",")]
    return [uuids.get(name, name) for name in names if name and name not in ("-1", "NoDevFiles")]


def _device_uuids() -> dict[str, str]:
    """Device number -> UUID, from nvidia-smi. Empty if there is no nvidia-smi.

    If nvidia-smi finds no device, it prints a sentence, sometimes with exit code 0.
    """
    if not shutil.which("nvidia-smi"):
        return {}
    query = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    lines = answer.stdout.splitlines() if answer.returncode == 0 else []
    found = (re.fullmatch(r"(\d+), (\S+)", line.strip()) for line in lines)
    return {match[1]: match[2] for match in found if match}


def _lock_devices(found: list[str], wanted: int) -> list[str]:
    """Lock `wanted` of the found devices; wait until that many are free at the same time.

    A waiting job holds no lock, so two jobs never wait for each other.
    """
    started, waited = time.perf_counter(), False
    while True:
        locked: dict[str, int] = {}
        for name in found:
            descriptor = _lock(_lock_file(name))
            if descriptor is None:
                continue
            locked[name] = descriptor
            if len(locked) == wanted:
                _hold({_lock_file(name): held for name, held in locked.items()})
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
    """How long the job that wrote a log waited for devices; 0 if not at all, or without a log."""
    try:
        with open(log_file, encoding="utf-8", errors="replace") as lines:
            found = (_WAITED_LINE.search(line) for line in lines)
            return next((float(match[1]) for match in found if match), 0.0)
    except OSError:
        return 0.0


def _lock_file(name: str) -> Path:
    """The lock file of a device.

    A scheduler may number the devices of each allocation from 0. So a device named by its number
    has a separate lock file in each allocation.
    """
    job = os.environ.get("SLURM_JOB_ID", "") if name.isdigit() else ""
    label = re.sub(r"[^A-Za-z0-9-]", "_", f"{job}-{name}" if job else name)
    return LOCK_FOLDER / f"fixres-device-{label}.lock"


# --- lock files ------------------------------------------------------------------------------


def _lock(file: Path) -> int | None:
    """A descriptor that holds the lock of a file, which is created if missing.

    None: another process holds the lock, or the file was deleted in the meantime.
    """
    descriptor = _open(file)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if not _is_at(file, descriptor):  # others lock the file that is there now
        os.close(descriptor)
        return None
    return descriptor


def _open(file: Path) -> int:
    """Open a lock file in a folder that only this user can access. JobError for anything else."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(file.parent, 0o700)
    folder = _opened(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return _opened(file, os.O_RDWR | os.O_CREAT, folder)
    finally:
        os.close(folder)


def _opened(path: Path, flags: int, folder: int | None = None) -> int:
    """Open a lock file or its folder, which must be no link, and private to this user."""
    name = path if folder is None else path.name
    try:
        descriptor = os.open(name, flags | os.O_NOFOLLOW, 0o600, dir_fd=folder)
    except OSError as error:
        got = os.strerror(error.errno)
    else:
        status = os.fstat(descriptor)
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid == os.getuid() and not mode & 0o077:
            return descriptor
        os.close(descriptor)
        got = f"user {status.st_uid} and mode {mode:o}"
    kind = "folder" if folder is None else "file"
    raise JobError(
        f"{path}: not a private {kind} (got {got}, expected a {kind} of user {os.getuid()}, closed "
        "to others). Remove it or have it removed, or name the device (hardware.device: cuda:0), "
        "so that none is leased."
    ) from None


def _is_at(file: Path, descriptor: int) -> bool:
    """Whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.lstat(file), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _hold(locks: dict[Path, int]) -> None:
    """Hold the locks as long as this process lives, even if /tmp is cleaned."""
    _held_locks.update(locks)
    threading.Thread(target=_keep_all, daemon=True, name="leases").start()


def _keep_all() -> None:
    lost = set()
    while _held_locks:
        time.sleep(KEEP_SECONDS)
        for file in list(_held_locks):
            try:
                _keep(file)
                lost.discard(file)
            except (OSError, JobError) as error:
                if file not in lost:  # logged once, and tried again
                    lost.add(file)
                    log(f"devices: another job may now take the same device. {error}")


def _keep(file: Path) -> None:
    """Refresh the date of a held lock file; if it was deleted, make and lock it again."""
    if _is_at(file, _held_locks[file]):
        os.utime(_held_locks[file])
        os.utime(file.parent)
        return
    again = _lock(file)
    if again is None:
        raise JobError(f"{file}: deleted while this job held it, and now held by another job.")
    _held_locks[file] = again
