"""The smoke run of Table 5 that is disturbed, what must come out of it, and the means of disturbing: file systems, signals, damage."""

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
import yaml

from fixres import config as settings
from shared import ENVIRONMENT, ROOT, Workflow

PAGES = ["results/table5.md", "results/figure5.svg"]
DATA = "results/data/pinhole-smoke"
SMALL_BASE, LARGE_BASE = (f"results/runs/pinhole-smoke/resnet10q-k{k}" for k in (16, 32))
ADAPTED = f"{SMALL_BASE}/ft-k32-cls+bn-testda"
PAGE_SIZE = 4096  # of a tmpfs, bytes
PATIENCE = 120.0  # seconds, for what takes a few


def smoke(**changes: dict) -> dict:
    """The smoke scale with a checkpoint at every step, and `changes`."""
    files = [
        yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
        for name in ("config.yaml", "configs/smoke.yaml")
    ]
    content: dict = {}
    for over in (*files, {"hardware": {"checkpoint_seconds": 0.0}}, changes):
        content = settings.merge(content, over)
    return content


def prepared(folder: Path, **changes: dict) -> Workflow:
    """A folder in which nothing has run yet."""
    folder.mkdir(parents=True, exist_ok=True)
    workflow = Workflow(folder)
    workflow.write(smoke(**changes))
    return workflow


def copied(workflow: Workflow, folder: Path) -> Workflow:
    """A copy of an executed workflow."""
    shutil.copytree(workflow.folder, folder, symlinks=True)
    return Workflow(folder)


def unfinished(workflow: Workflow, folder: Path) -> Workflow:
    """A copy in which a training, its evaluation and the pages are left to do."""
    copy = copied(workflow, folder)
    shutil.rmtree(folder / LARGE_BASE)
    for page in (folder / "results").glob("*.*"):
        page.unlink()
    return copy


def final(folder: Path) -> dict[str, bytes]:
    """What a run is for: every weight, metric and page, by path. (A manifest also holds the place where its images lie.)"""
    results = folder / "results"
    pages = [
        results / f"{name}"
        for name in ("table5.md", "table5.csv", "table5.html", "figure5.svg", "figure5.png")
    ]
    files = [
        *results.glob("runs/**/weights.safetensors"),
        *results.glob("runs/**/metrics.json"),
        *pages,
    ]
    return {str(file.relative_to(results)): file.read_bytes() for file in files}


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """The paths that are not in both with the same bytes: what an assertion shows of a megabyte."""
    return sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))


def state(folder: Path) -> dict[str, tuple]:
    """Every file below a folder with its date and size."""
    return {
        str(p.relative_to(folder)): (p.lstat().st_mtime_ns, p.lstat().st_size)
        for p in sorted(folder.rglob("*"))
    }


def until(
    condition: Callable[[], object], what: str, process: subprocess.Popen | None = None
) -> object:
    """Wait for a condition; returns what it gave."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        assert process is None or process.poll() is None, f"ended before {what}"
        time.sleep(0.01)
    return found


# --- processes ---------------------------------------------------------------------------------------------------------------


def started(workflow: Workflow, *arguments: object, **options: object) -> subprocess.Popen:
    """Snakemake as a session of its own; what it says goes to `said` beside the results."""
    with open(workflow.folder / "said", "w") as said:
        whole = {
            "stdin": subprocess.DEVNULL,
            "stdout": said,
            "stderr": subprocess.STDOUT,
            "start_new_session": True,
        } | options
        return subprocess.Popen(
            workflow.command(*arguments), cwd=workflow.folder, env=workflow.env, **whole
        )


def members(session: int) -> dict[int, list[bytes]]:
    """pid -> command of the processes of a session."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == session and (
                words := (folder / "cmdline").read_bytes()
            ):
                found[int(folder.name)] = words.split(b"\0")
        except (OSError, ValueError):  # it has ended meanwhile
            continue
    return found


def jobs(session: int) -> dict[int, str]:
    """pid -> stage of those that are a job: `python -m fixres STAGE …`."""
    return {
        pid: words[words.index(b"fixres") + 1].decode()
        for pid, words in members(session).items()
        if b"fixres" in words[:-1]
    }


def killed(pid: int) -> bool:
    """kill -9; whether there was something to kill."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


# --- file systems ------------------------------------------------------------------------------------------------------------


def mounted(*arguments: object) -> None:
    """`mount …`; without the right to, the test is skipped."""
    result = subprocess.run(
        ["mount", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if result.returncode:
        pytest.skip(f"mounting a file system needs root ({result.stderr.strip()})")


class Disk:
    """A small file system of its own."""

    def __init__(self, folder: Path, size: int):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        mounted("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)

    def free(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, leave: int) -> None:
        """Leave room for `leave` bytes, rounded down to whole pages."""
        with open(self.folder / "filler", "wb") as f:
            f.write(bytes(self.free() - leave // PAGE_SIZE * PAGE_SIZE))

    def make_room(self) -> None:
        (self.folder / "filler").unlink(missing_ok=True)
        self.change("size=200m")

    def change(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.folder)], check=True)

    def close(self) -> None:
        subprocess.run(["umount", str(self.folder)], check=True)


# --- damage ------------------------------------------------------------------------------------------------------------------


class Damage(NamedTuple):
    """What is done to a file: cut to `size` bytes, or one bit of the byte `at` turned over."""

    at: int | None = None
    size: int | None = None

    def __call__(self, whole: bytes) -> bytes:
        if self.at is None:
            return whole[: self.size]
        return whole[: self.at] + bytes([whole[self.at] ^ 1 << self.at % 8]) + whole[self.at + 1 :]


def damages(size: int, n: int) -> Iterator[Damage]:
    """The first and last bytes, n places in between, and as many cuts as there are to make of a file."""
    places = {
        *range(min(24, size)),
        *range(max(size - 24, 0), size),
        *(i * size // n for i in range(n)),
    }
    yield from (Damage(at=at) for at in sorted(places))
    yield from (
        Damage(size=cut)
        for cut in sorted(
            {0, 1, 7, 8, size // 3, size // 2, size - 100, size - 1} & set(range(size))
        )
    )


def fixres_command(*arguments: object) -> list[str]:
    """The command of a job."""
    return [sys.executable, "-m", "fixres", *map(str, arguments)]


__all__ = ["ENVIRONMENT", "Workflow"]
