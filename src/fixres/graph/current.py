"""Find the results on disk that were not made as planned now, and so must be made again.

The seal of a result (jobs/seals.py) is compared with the plan; dates and Snakemake's records are
not used. Snakemake's records count only for a result without a seal, from an earlier version of
the suite.
"""

import contextlib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from fixres.graph.graph import JobGraph
from fixres.graph.jobs import Job
from fixres.jobs import canonical, sealing, seals
from fixres.jobs.seals import Seal


class Compared(NamedTuple):
    """The results on disk, compared with the plan."""

    differing: dict[Job, str]  # each with the reason
    taken_over: set[Job]  # as planned, and made by an earlier version of the suite


def compare(
    graph: JobGraph,
    jobs: Iterable[Job],
    results: Path,
    params: Callable[[str], list[str]],
    *,
    write: bool,
) -> Compared:
    """Tell which results were not made as they are planned.

    Parameters
    ----------
    jobs : the jobs to look at. A job without results counts as none: Snakemake makes it anyway.
    results : the folder of that name.
    params : function of a file below results/: what Snakemake remembers of its rule's parameters.
    write : whether results without a seal may be given one: of an earlier version, or of unknown
        origin. It says which, so nothing that Snakemake remembers later can vouch for the result.
    """
    seal_of = cache(lambda job: seals.read(results / job.id))

    def reason(job: Job, seal: Seal) -> str:
        if not seal.made_from:
            return "nothing says what it was made from"
        if (seal.job, seal.made_from) != (job.id, job.ancestry_digest):
            return "made from another configuration"
        for file, content in seal.read.items():
            maker = graph.made_by.get(file)
            left = seal_of(maker) if maker else None
            if left and content not in left.files.get(Path(file).name, [content]):
                return f"made from another results/{file}"
        return ""

    differing, taken_over = {}, set()
    for job in jobs:
        there = [file for file in job.outputs.values() if (results / file).exists()]
        if not there:
            continue
        seal = seal_of(job)
        if seal is None:
            known = job.ancestry_digest if _agreed(job, results, params) else ""
            if write:
                with contextlib.suppress(
                    OSError
                ):  # where nothing can be written, the answer is the same
                    sealing.write(results, job.id, known, there, None)
            seal = Seal(job.id, known, {}, {}, taken_over=True)
        if why := reason(job, seal):
            differing[job] = why
        elif seal.taken_over:
            taken_over.add(job)
    return Compared(differing, taken_over)


def _agreed(job: Job, results: Path, params: Callable[[str], list[str]]) -> bool:
    """Whether config.json and Snakemake's record both say that a result is as planned.

    config.json alone is not enough: it is written before the job runs, which may be interrupted.
    """
    try:
        config = (results / job.id / "config.json").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    digest = repr(job.ancestry_digest)
    recorded = all(digest in params(file) for file in job.outputs.values())
    return recorded and config == canonical(job.config) + "\n"
