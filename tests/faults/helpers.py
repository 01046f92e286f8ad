"""The run that the tests disturb, what must come out of it, and the means to disturb it.

The run is Table 5 and Figure 5 at the smoke scale. The means are signals, small file systems, and
damage to files.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from fixres import config, paper
from fixres.graph.graph import JobGraph
from shared import ROOT, Workflow, without_speed

DATA = "results/data/pinhole-smoke"
SMALL_BASE, LARGE_BASE = (f"results/runs/pinhole-smoke/resnet10q-k{k}" for k in (16, 32))
ADAPTED = f"{SMALL_BASE}/ft-k32-cls+bn-testda"
PAGE_SIZE = 4096  # bytes, of a tmpfs
PATIENCE = 240.0  # seconds to wait for an event that normally takes a few


# --- the run --------------------------------------------------------------------------------------


def smoke_config(**changes: dict) -> dict:
    """The smoke scale with a checkpoint at every step, and `changes` laid over it."""
    content = config.read_yaml(ROOT / "config.yaml")
    every_step = {"hardware": {"checkpoint_seconds": 0.0}}
    for over in (config.read_yaml(ROOT / "configs/smoke.yaml"), every_step, changes):
        content = config.merge(content, over)
    return content


def smoke_plan(**changes: dict) -> JobGraph:
    """The plan of `smoke_config(**changes)`."""
    return paper.plan_of(config.parse(smoke_config(**changes), where="smoke"))


def fresh_workflow(folder: Path, **changes: dict) -> Workflow:
    """A workflow at the smoke scale in a folder where nothing has run yet."""
    folder.mkdir(parents=True, exist_ok=True)
    workflow = Workflow(folder)
    workflow.write(smoke_config(**changes))
    return workflow


def copy_of(workflow: Workflow, folder: Path) -> Workflow:
    """A copy of an executed workflow."""
    shutil.copytree(workflow.folder, folder, symlinks=True)
    return Workflow(folder)


def unfinished_copy(workflow: Workflow, folder: Path) -> Workflow:
    """A copy in which one training, its evaluation and the pages are still to do."""
    copy = copy_of(workflow, folder)
    shutil.rmtree(folder / LARGE_BASE)
    for page in (folder / "results").glob("*.*"):
        page.unlink()
    return copy


def results_of(workflow: Workflow) -> dict[str, bytes]:
    """Path -> content of every weight, metric, page, and log of a training (without its speed).

    The manifest is left out: it also holds the folder of its images, which differs between copies.
    """
    results = workflow.folder / "results"
    pages = ("table5.md", "table5.csv", "table5.html", "figure5.svg", "figure5.png")
    files = [
        *results.glob("runs/**/weights.safetensors"),
        *results.glob("runs/**/metrics.json"),
        *results.glob("runs/**/hits.npz"),
        *(results / page for page in pages),
    ]
    found = {str(file.relative_to(results)): file.read_bytes() for file in files}
    logs = results.glob("runs/**/log.csv")
    return found | {str(log.relative_to(results)): without_speed(log.read_bytes()) for log in logs}


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """The paths that are not in both with the same bytes: short enough for a failed assertion."""
    return sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))


def different_results(one: Workflow, other: Workflow) -> list[str]:
    """The paths of the results that two runs do not share byte by byte."""
    return differing(results_of(one), results_of(other))


def dates_and_sizes(folder: Path) -> dict[str, tuple]:
    """Path -> date and size of everything below a folder."""
    return {
        str(p.relative_to(folder)): (p.lstat().st_mtime_ns, p.lstat().st_size)
        for p in sorted(folder.rglob("*"))
    }


# --- processes ------------------------------------------------------------------------------------


def wait_until(
    condition: Callable[[], object], what: str, process: subprocess.Popen | None = None
) -> object:
    """Wait for a condition and return its value. Fails if `process` ends before."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        assert process is None or process.poll() is None, f"ended before {what}"
        time.sleep(0.01)
    return found


def start(workflow: Workflow, *arguments: object) -> subprocess.Popen:
    """Start Snakemake in a session of its own. Its output goes to the file `said` (`said_by`)."""
    with open(workflow.folder / "said", "w") as said:
        return subprocess.Popen(
            workflow.command(*arguments),
            cwd=workflow.folder,
            env=workflow.env,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def said_by(workflow: Workflow) -> str:
    """The output of the Snakemake that was started last in this folder."""
    return (workflow.folder / "said").read_text()


def processes_in(session: int) -> dict[int, list[bytes]]:
    """pid -> command of every process of a session."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) != session:
                continue
            words = (folder / "cmdline").read_bytes()
        except (OSError, ValueError):  # the process has ended meanwhile
            continue
        if words:
            found[int(folder.name)] = words.split(b"\0")
    return found


def jobs_in(session: int) -> dict[int, str]:
    """pid -> stage of every process that is a job: `python -m fixres STAGE …`."""
    return {
        pid: words[words.index(b"fixres") + 1].decode()
        for pid, words in processes_in(session).items()
        if b"fixres" in words[:-1]
    }


def kill(pid: int) -> bool:
    """kill -9. Returns whether the process was still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def job_command(*arguments: object) -> list[str]:
    """The command of a job."""
    return [sys.executable, "-m", "fixres", *map(str, arguments)]


# --- file systems ---------------------------------------------------------------------------------


def mount(*arguments: object) -> None:
    """Call `mount …`. Where the tests have no right to, the test is skipped."""
    command = ["mount", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip(f"mounting a file system needs root ({result.stderr.strip()})")


class Disk:
    """A file system of `size` bytes in memory, mounted on `folder`."""

    def __init__(self, folder: Path, size: int):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)

    def free(self) -> int:
        """Free bytes."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, leave: int) -> None:
        """Fill the disk, but leave room for `leave` bytes, rounded down to whole pages."""
        with open(self.folder / "filler", "wb") as f:
            f.write(bytes(self.free() - leave // PAGE_SIZE * PAGE_SIZE))

    def make_room(self) -> None:
        (self.folder / "filler").unlink(missing_ok=True)
        self.change("size=200m")

    def change(self, options: str) -> None:
        """Mount it again with other options."""
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.folder)], check=True)

    def close(self) -> None:
        subprocess.run(["umount", str(self.folder)], check=True)


# --- damage ---------------------------------------------------------------------------------------


class Damage(NamedTuple):
    """Damage to a file: cut to `size` bytes, or one bit of the byte at `at` turned over."""

    at: int | None = None
    size: int | None = None

    def __call__(self, whole: bytes) -> bytes:
        if self.at is None:
            return whole[: self.size]
        turned = whole[self.at] ^ 1 << self.at % 8
        return whole[: self.at] + bytes([turned]) + whole[self.at + 1 :]


def damages(size: int, n: int) -> Iterator[Damage]:
    """The damages to try on a file of `size` bytes.

    A bit is turned over in each of the first and last 24 bytes and at n places in between. Then the
    file is cut at up to eight lengths.
    """
    between = (i * size // n for i in range(n))
    places = {*range(min(24, size)), *range(max(size - 24, 0), size), *between}
    yield from (Damage(at=at) for at in sorted(places))
    cuts = {0, 1, 7, 8, size // 3, size // 2, size - 100, size - 1}
    yield from (Damage(size=cut) for cut in sorted(cuts & set(range(size))))
