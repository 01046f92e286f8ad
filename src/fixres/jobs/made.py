"""When, where and with what a result was made: made.json, next to the seal of the job.

It has no effect on what reruns. results/ro-crate (pages/crate/) takes from it the start and end of
each job, the commit of the suite, the versions of packages, the processor and the GPUs.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from fixres.jobs import origin
from fixres.jobs.digests import canonical, digest
from fixres.jobs.files import write_json
from fixres.jobs.seals import Seal

NAME = "made.json"


class Made(NamedTuple):
    """The content of made.json."""

    job: str  # id: the folder of the job, below results/
    files: dict[str, str]  # name of a file that the job wrote -> its SHA-256
    started: str  # such as 2019-06-14T09:30:00+00:00; the last start of a resumed training
    ended: str
    suite: str  # the commit (`origin.commit`)
    versions: dict[str, str]  # package -> version
    processor: str
    gpus: list[str]


def write(folder: Path, seal: Seal, started: float) -> None:
    """Write the record of the job that this process was.

    Parameters
    ----------
    folder : the job's folder.
    seal : the job's seal, just written.
    started : start time of this process, seconds since 1970.
    """
    made = Made(
        seal.job,
        {name: content for name, [content, *_] in seal.files.items()},
        _time(started),
        _time(datetime.now(UTC).timestamp()),
        origin.commit(),
        origin.versions(),
        origin.processor(),
        origin.accelerators(),
    )
    write_json(folder / NAME, made._asdict())


def read(folder: Path, seal: Seal) -> Made | None:
    """The record of the job with this folder and seal.

    None: it is missing or damaged, or belongs to another result than the seal.
    """
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
        written = content.pop("digest")
        made = Made(**content)
        same = made.job == seal.job and made.files.keys() == seal.files.keys()
        same = same and all(made.files[name] in seal.files[name] for name in made.files)
        return made if same and written == digest(canonical(content)) else None
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return None


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()
