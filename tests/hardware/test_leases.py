"""A device is held by one job at a time. Devices are pretended, processes and locks are real."""

import fcntl
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from fixres.hardware import leases, processes
from fixres.jobs import JobError
from shared import ENVIRONMENT, ROOT, machine_options

# Leases devices, prints which, and holds them until it reads a character.
HOLD = """
import os, pathlib, sys
from fixres.hardware import leases
leases.LOCK_FOLDER, leases._device_uuids = pathlib.Path(sys.argv[1]), dict
leases.KEEP_SECONDS = 0.05
leased = leases.lease_devices(int(sys.argv[2]), "auto")
print(",".join(leased), os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.read(1)
"""


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """No nvidia-smi, and locks in a folder of the test's own."""
    monkeypatch.setattr(leases, "LOCK_FOLDER", tmp_path)
    monkeypatch.setattr(leases, "_device_uuids", dict)
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    yield
    while leases._held_locks:
        os.close(leases._held_locks.popitem()[1])


class Holder:
    """A process that leases devices and holds them until `end`, or until it is killed."""

    def __init__(self, folder, gpus: int, devices: str, **env: str):
        environment = {**ENVIRONMENT, "CUDA_VISIBLE_DEVICES": devices, **env}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, "-c", HOLD, str(folder), str(gpus)]
        self.process = subprocess.Popen(command, text=True, env=environment, **pipes)

    def leased(self) -> str:
        """The devices that it holds, once it holds them."""
        return self.process.stdout.readline().split()[0]

    def waits(self) -> bool:
        """Whether its first log line says that it waits."""
        return "waiting for" in self.process.stderr.readline()

    def end(self) -> None:
        self.process.communicate("x", timeout=30)


def test_two_jobs_never_hold_the_same_device(tmp_path):
    first, second = Holder(tmp_path, 1, "7,8"), Holder(tmp_path, 1, "7,8")
    held = {first.leased(), second.leased()}
    assert held == {"7", "8"}
    third = Holder(tmp_path, 1, "7,8")
    assert third.waits()
    first.process.send_signal(signal.SIGKILL)  # a lock goes with its process, however it ends
    assert third.leased() in held
    second.end(), third.end()


def test_the_log_says_how_long_a_job_waited(tmp_path):
    """`seconds_waited` reads the line that `lease_devices` writes."""
    first = Holder(tmp_path, 1, "7")
    assert first.leased() == "7"
    second = Holder(tmp_path, 1, "7")
    assert second.waits()
    time.sleep(1)
    first.end()
    assert second.leased() == "7"
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    logs[0].write_text("[    0.1 s] devices: 7\n[    9.0 s] training: waited 3.0 s\n")
    logs[1].write_text("[    0.0 s] started\n" + second.process.stderr.readline())
    second.end()
    assert leases.seconds_waited(logs[0]) == 0
    assert 0.9 < leases.seconds_waited(logs[1]) < 10
    assert leases.seconds_waited(tmp_path / "no.log") == 0


def test_a_job_that_wants_two_waits_for_both_and_holds_none_meanwhile(tmp_path):
    one = Holder(tmp_path, 1, "0,1")
    assert one.leased() == "0"
    two = Holder(tmp_path, 2, "0,1")
    assert two.waits()
    other = Holder(tmp_path, 1, "0,1")
    assert other.leased() == "1"
    one.end()
    other.end()
    assert two.leased() == "0,1"
    two.end()


def within(seconds: float, happened: Callable[[], bool]) -> bool:
    """Whether something happens in that time."""
    end = time.monotonic() + seconds
    while not (done := happened()) and time.monotonic() < end:
        time.sleep(0.01)
    return done


@pytest.mark.parametrize("what", ["the file", "the folder"])
def test_a_cleaner_of_tmp_ends_no_lease(tmp_path, what):
    """A held file never looks old; one that was deleted all the same is made and locked again."""
    folder = tmp_path / "own"
    first = Holder(folder, 1, "7")
    assert first.leased() == "7"
    [file] = folder.iterdir()
    for path in (file, folder):
        os.utime(path, (0, 0))
        assert within(10, lambda path=path: path.stat().st_mtime > 0)
    shutil.rmtree(folder) if what == "the folder" else file.unlink()
    assert within(10, lambda: file.exists())
    second = Holder(folder, 1, "7")
    assert second.waits()
    first.end()
    assert second.leased() == "7"
    second.end()


def test_a_lock_of_a_deleted_file_is_no_lock(tmp_path, monkeypatch):
    """The file is deleted between the moments when it is opened and when it is locked."""
    plain = fcntl.flock

    def delete_and_lock(descriptor, how):
        monkeypatch.setattr(fcntl, "flock", plain)
        os.unlink(tmp_path / "fixres-device-0.lock")
        plain(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", delete_and_lock)
    monkeypatch.setattr(leases, "POLL_SECONDS", 0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert leases.lease_devices(1, "auto") == ["0"]
    [(file, descriptor)] = leases._held_locks.items()
    assert os.path.samestat(file.stat(), os.fstat(descriptor))


@pytest.mark.parametrize("what", ["dangling", "link", "open", "folder", "folder of another"])
def test_a_lock_file_that_somebody_prepared_is_refused(tmp_path, what, monkeypatch):
    """Nothing is written where a link leads, and the message names the path."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "own"
    monkeypatch.setattr(leases, "LOCK_FOLDER", folder)
    file, named = folder / "fixres-device-0.lock", folder
    if what == "folder":
        elsewhere.mkdir(0o700)
        folder.symlink_to(elsewhere)
    elif what == "folder of another":
        folder.mkdir(0o777)
        folder.chmod(0o777)
    else:
        folder.mkdir(0o700)
        named = file
        if what != "dangling":
            elsewhere.touch(0o600)
        file.symlink_to(elsewhere)
        if what == "open":
            elsewhere.rename(file)
            file.chmod(0o666)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(JobError, match=rf"^{named}: .*, expected a .* of user"):
        leases.lease_devices(1, "auto")
    assert sorted(tmp_path.rglob("*")) == before


def test_lock_files_are_this_users_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(leases, "LOCK_FOLDER", tmp_path / "own")
    leases.lease_devices(1, "auto")
    [file] = (tmp_path / "own").iterdir()
    assert [stat.S_IMODE(p.stat().st_mode) for p in (file.parent, file)] == [0o700, 0o600]


def test_a_scheduler_that_counts_anew_in_each_allocation(tmp_path):
    """Device 0 of two allocations is not the same device. Within one allocation it is."""
    first, second = (Holder(tmp_path, 1, "0", SLURM_JOB_ID=job) for job in ("11", "12"))
    assert first.leased() == second.leased() == "0"
    third = Holder(tmp_path, 1, "0", SLURM_JOB_ID="12")
    assert third.waits()
    second.end()
    assert third.leased() == "0"
    first.end(), third.end()


def test_what_is_leased_is_all_that_the_job_sees(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 5")
    assert leases.lease_devices(1, "auto") == ["2"]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2"


def test_devices_are_known_by_their_uuids(monkeypatch):
    """Two jobs use the same name for a device, whether a person gave a number or nothing."""
    monkeypatch.setattr(leases, "_device_uuids", lambda: {"0": "GPU-a", "1": "GPU-b"})
    assert leases.available_devices() == ["GPU-a", "GPU-b"]
    listed = {"1": ["GPU-b"], "GPU-b": ["GPU-b"], "": [], "-1": [], "NoDevFiles": []}
    for text, expected in listed.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", text)
        assert leases.available_devices() == expected


def pretend_nvidia_smi(script: str, folder, monkeypatch) -> None:
    """Put a shell script first on the PATH, as nvidia-smi; undo what `machine` replaces."""
    monkeypatch.undo()
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_nvidia_smis_answer_is_read(tmp_path, monkeypatch):
    pretend_nvidia_smi(
        "test \"$*\" = '--query-gpu=index,uuid --format=csv,noheader' && "
        "printf '0, GPU-a\\n1, GPU-b\\n'",
        tmp_path,
        monkeypatch,
    )
    assert leases._device_uuids() == {"0": "GPU-a", "1": "GPU-b"}


@pytest.mark.parametrize("exit_code", [0, 6])
def test_an_nvidia_smi_that_finds_no_device(tmp_path, monkeypatch, exit_code):
    """It says so in a sentence. That is no device, and no reason to fail."""
    answer = f"echo 'No devices were found'; exit {exit_code}"
    pretend_nvidia_smi(answer, tmp_path, monkeypatch)
    assert leases._device_uuids() == {}
    assert leases.lease_devices(0, "auto") == []


def test_a_machine_without_devices(tmp_path):
    assert leases.lease_devices(0, "auto") == []
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    message = r"--gpus: too few devices \(got 2, expected at most 0: none\)\. Lower hardware.gpus"
    with pytest.raises(JobError, match=message):
        leases.lease_devices(2, "auto")
    assert list(tmp_path.glob("*.lock")) == []


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_a_device_by_name_is_a_persons_choice(device, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert leases.lease_devices(0, device) == []
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"


# --- from an allocation to processes ---------------------------------------------------------


def test_the_command_for_several_nodes(monkeypatch):
    """docs/cluster.md shows this very command."""
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setattr(processes.socket, "gethostname", lambda: "node1")
    job = ["train", "--config", "results/a b/config.json"]
    words = processes.torchrun_on_nodes(2, 8, 16, job)
    srun = "srun --nodes=2 --ntasks=2 --ntasks-per-node=1 --cpus-per-task=16 --kill-on-bad-exit=1"
    torchrun = "-m torch.distributed.run --nnodes=2 --nproc-per-node=8 --max-restarts=0"
    signals = "--signals-to-handle=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
    meeting = "--rdzv-backend=c10d --rdzv-id=4711 --rdzv-endpoint=node1:24711"
    expected = f"{srun} {torchrun} {signals} {meeting} -m fixres".split()
    assert [word for word in words if word != sys.executable] == [*expected, *job]


def test_several_nodes_need_an_allocation():
    with pytest.raises(JobError, match="--nodes 2: not in a SLURM allocation"):
        processes.torchrun_on_nodes(2, 1, 1, [])


def test_a_process_for_each_device(tmp_path, monkeypatch):
    """Two pretended devices, two processes.

    torch finds neither device. That must be an error: the job does not fall back on the processor.
    """
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    started: list = []
    monkeypatch.setattr(processes, "_launch", lambda n, command: started.append((n, command)))

    def stage(*_) -> None:
        started.append("alone")

    processes.run(stage, machine_options(gpus=2, device="auto"), ["train"])
    assert started == [(2, ["train", "--device", "cuda"])]
    started.clear()
    processes.run(stage, machine_options(), ["train"])
    assert started == ["alone"]


def test_the_documentation_shows_the_generated_command():
    text = (ROOT / "docs/cluster.md").read_text()
    shown = re.search(r"srun --nodes=2[^`]*", text)
    assert shown
    for word in (
        "--rdzv-backend=c10d",
        "--signals-to-handle=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1",
        "-m fixres train",
    ):
        assert word in shown[0]
