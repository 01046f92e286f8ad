"""Seals: which files a job has left, and what it made them from.

A job that ends well leaves results/<id>/seal.json. The seal names the job, what Snakemake had
planned for the job (`Job.ancestry_digest`), the SHA-256 of each file that the job left, and the
SHA-256 of each result that the job read.

Planning compares the seal with the plan, so a result that was made from another configuration is
made again even if Snakemake's own records are gone (graph/current.py). A job compares each file
that it reads with the seal of that file, so a result of another job is refused (`check`).
"""

import json
from pathlib import Path
from typing import NamedTuple

from fixres.jobs.digests import canonical, digest
from fixres.jobs.errors import REMAKE, JobError

NAME = "seal.json"
SHOWN = 12  # digits of a SHA-256 in a message


class Seal(NamedTuple):
    """What seal.json says."""

    job: str  # id: the folder of the job, below results/
    made_from: str  # `Job.ancestry_digest` as it was planned; "" if nobody planned it, as by hand
    # Name of a file -> SHA-256 of the file as the job left it. More than one: the same content in
    # other words, such as a manifest whose images moved. Whoever read one has read all.
    files: dict[str, list[str]]
    read: dict[str, str]  # result that the job read, below results/ -> its SHA-256
    taken_over: bool = False  # whether planning wrote it, for a result of an earlier version


def read(folder: Path) -> Seal | None:
    """The seal of the job with this folder. None: there is none, or it is damaged."""
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
        sealed = content.pop("digest")
        return Seal(**content) if sealed == digest(canonical(content)) else None
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return None


def of(file: Path) -> tuple[Path, Seal] | None:
    """The seal of a result, and the folder of its job; None where no seal names the file.

    The folder of a job holds its files. A manifest and a page are beside the folder of their job,
    and the job has their name.
    """
    name = file.stem
    for folder in (file.parent, file.parent / name, file.parent / "pages" / name):
        seal = read(folder)
        if seal and file.name in seal.files:
            return folder, seal
    return None


def check(file: Path, content: str) -> None:
    """Raise JobError where a file with this SHA-256 is not what its job has left."""
    found = of(file)
    if found and content not in found[1].files[file.name]:
        [expected, *_] = found[1].files[file.name]
        raise JobError(
            f"{file}: damaged, edited, or copied from another run (got SHA-256 {content[:SHOWN]}…, "
            f"expected {expected[:SHOWN]}…, by {found[0] / NAME}); {REMAKE}"
        )
