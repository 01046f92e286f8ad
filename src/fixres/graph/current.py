"""Which results on disk were not made as they are planned now. They are made again.

What decides is the seal beside a result (jobs/seals.py), compared with the plan: no date, and not
Snakemake's own records. Those count only for a result without a seal, which an earlier version of
the suite has left.
"""

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from fixres.graph.graph import JobGraph
from fixres.graph.jobs import Job
from fixres.jobs import canonical, sealing, seals


def differing(
    graph: JobGraph,
    jobs: Iterable[Job],
    results: Path,
    params: Callable[[str], list[str]],
    *,
    write: bool,
) -> dict[Job, str]:
    """The jobs whose results were not made as they are planned, each with the reason.

    Parameters
    ----------
    jobs : the jobs to look at. A job without results is none of them: Snakemake makes it anyway.
    results : the folder of that name.
    params : function of a file below results/: the parameters that Snakemake remembers of its rule.
    write : whether a result of an earlier version, which has no seal, may be given its seal.
    """
    seal_of = cache(lambda job: seals.read(results / job.id))

    def reason(job: Job) -> str:
        seal = seal_of(job)
        if seal is None:
            return "" if _taken_over(job, results, params, write) else "made from what is not known"
        if (seal.job, seal.made_from) != (job.id, job.ancestry_digest):
            return "made from another configuration" if seal.made_from else "made by hand"
        for file, content in seal.read.items():
            maker = graph.made_by.get(file)
            left = seal_of(maker) if maker else None
            if left and content not in left.files.get(Path(file).name, [content]):
                return f"made from another results/{file}"
        return ""

    there = [job for job in jobs if any((results / f).exists() for f in job.outputs.values())]
    return {job: why for job in there if (why := reason(job))}


def _taken_over(job: Job, results: Path, params: Callable[[str], list[str]], write: bool) -> bool:
    """Whether a result without a seal is current, by config.json and Snakemake's record together.

    config.json alone is not enough: it is written before the job runs, which may be interrupted.
    """
    files = list(job.outputs.values())
    digest = repr(job.ancestry_digest)
    try:
        config = (results / job.id / "config.json").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    if config != canonical(job.config) + "\n":
        return False
    if not all(digest in params(file) for file in files):
        return False
    if write and all((results / file).exists() for file in files):
        sealing.write(results, job.id, job.ancestry_digest, files, {})
    return True
