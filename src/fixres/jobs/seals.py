"""Seals: which files a job wrote, and what it made them from.

A job that succeeds writes results/<id>/seal.json. The seal names the job, what Snakemake had
planned for the job (`Job.ancestry_digest`), the SHA-256 of each file that the job wrote, and the
SHA-256 of each result that the job read.

Planning compares the seal with the plan, so a result from another configuration is made again even
if Snakemake's own records are gone (graph/current.py). A job compares each file that it reads with
the file's seal, so the result of another job is refused (`check`).
"""

import json
from pathlib import Path
from typing import NamedTuple

from fixres.jobs.digests import canonical, digest
from fixres.jobs.errors import REMAKE, JobError

NAME = "seal.json"
SHOWN = 12  # digits of a SHA-256 in a message


class Seal(NamedTuple):
    """The content of seal.json."""

    job: str  # id: the folder of the job, below results/
    made_from: (
        str  # the planned `Job.ancestry_digest`; "" if the job was not planned but run by hand
    )
    # Name of a file -> SHA-256 as the job wrote it. Several digests: equivalent contents, such as a
    # manifest before and after its images moved.
    files: dict[str, list[str]]
    read: dict[str, str]  # result that the job read, below results/ -> its SHA-256
    taken_over: bool = False  # whether planning wrote the seal, for a result of an earlier version


def read(folder: Path) -> Seal | None:
    """The seal in a job's folder, or None if it is missing or damaged."""
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
        sealed = content.pop("digest")
        return Seal(**content) if sealed == digest(canonical(content)) else None
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return None


def of(file: Path) -> tuple[Path, Seal] | None:
    """The job's folder and the seal of a result; None if no seal names the file.

    The folder of a job contains its files, with two exceptions: a manifest and a page are next to a
    folder of the same name.
    """
    name = file.stem
    for folder in (file.parent, file.parent / name, file.parent / "pages" / name):
        seal = read(folder)
        if seal and file.name in seal.files:
            return folder, seal
    return None


def check(file: Path, content: str) -> None:
    """Raise JobError if the SHA-256 of a file is not what its job wrote."""
    found = of(file)
    if found and content not in found[1].files[file.name]:
        [expected, *_] = found[1].files[file.name]
        raise JobError(
            f"{file}: damaged, edited, or copied from another run (got SHA-256 {content[:SHOWN]}…, "
            f"expected {expected[:SHOWN]}…, by {found[0] / NAME}). {REMAKE}"
        )
