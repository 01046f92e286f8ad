"""Where a result was made: commit, versions, processor, GPUs.

Every job records this when it ends (made.py), so it must take only a few milliseconds: nothing here
imports the packages in question, and versions are read from the names of their metadata folders.
"""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

SUITE = Path(__file__).resolve().parents[3]
CODE = ("Snakefile", "rules", "src")  # changes to these are changes of the suite
PACKAGES = {  # displayed name -> package name; DALI's name ends with the version of CUDA
    "torch": r"torch",
    "torchvision": r"torchvision",
    "timm": r"timm",
    "DALI": r"nvidia_dali_cuda\d+",
    "Pillow": r"pillow",
    "Pillow-SIMD": r"pillow_simd",
    "Snakemake": r"snakemake",
}
NO_COMMIT = "unknown: the suite is not in its own git repository"
CPUINFO = Path("/proc/cpuinfo")
GPUS = Path("/proc/driver/nvidia/gpus")


def commit(suite: Path = SUITE) -> str:
    """The commit of a suite, and whether its code has uncommitted changes."""
    top, _, found = _git(suite, "rev-parse", "--show-toplevel", "HEAD").partition("\n")
    if not top or not found or Path(top).resolve() != suite.resolve():
        return NO_COMMIT
    changed = _git(suite, "status", "--porcelain", "--", *CODE)
    return f"{found} with changes" if changed else found


def _git(folder: Path, *words: str) -> str:
    """The output of git; empty if git fails or is missing.

    It takes no lock, because many jobs may call it concurrently.
    """
    command = ["git", "--no-optional-locks", "-C", str(folder), *words]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


def versions() -> dict[str, str]:
    """Name -> version of Python and of the installed packages that compute or load images."""
    records = [file.stem for path in sys.path for file in Path(path or ".").glob("*.dist-info")]
    # The first folder in sys.path counts, as for an import. Names have _ instead of -.
    installed = {
        name.lower(): version for name, _, version in (r.partition("-") for r in records[::-1])
    }
    found = {"Python": platform.python_version()}
    for shown, name in PACKAGES.items():
        here = [version for one, version in installed.items() if re.fullmatch(name, one)]
        found |= {shown: here[0]} if here else {}
    return found


def processor(cpuinfo: Path = CPUINFO) -> str:
    """The processor's name, and the number of cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    about = _first(cpuinfo)
    name = about.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in about:  # because the name in a virtual machine may be generic
        name += f", family {about['cpu family']} model {about.get('model', '?')}"
    return f"{name}, {cores} core{'s' * (cores != 1)}"


def accelerators(folder: Path = GPUS) -> list[str]:
    """The names of the NVIDIA GPUs that the driver lists."""
    found = [_first(file) for file in sorted(folder.glob("*/information"))]
    return [about["Model"] for about in found if "Model" in about]


def _first(file: Path) -> dict[str, str]:
    """The first value of each key in a file with lines `key: value`; empty without the file."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in reversed(text.splitlines()))
    return {key.strip(): value.strip() for key, _, value in pairs}
