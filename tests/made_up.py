"""A folder of results whose measurements are made up, and all pages of it, in seconds.

Who is right about which image is drawn at random. Everything else is as the workflow leaves it.
"""

from pathlib import Path

import numpy as np

from fixres import jobs
from fixres.artifacts import per_image
from fixres.artifacts.per_image import PerImage
from fixres.graph.graph import JobGraph
from fixres.graph.jobs import Job
from fixres.pages import claims, figure, table, text

IMAGES = 40
LISTS = {"claims": claims, "text": text}
TIMES = ("forward_ms", "backward_ms")


def make(plan: JobGraph, results: Path) -> None:
    """Write the results of every run of a plan, the time of every job, and all pages."""
    for job in plan.jobs.values():
        if job.stage.name == "evaluate":
            measure(results, job)
        elif job.stage.name == "time":
            _time(results, job)
        if job.stage.benchmark:
            _leave_time(results / job.benchmark, len(job.id))
    for name in plan.tables:
        render(plan, results, table, name)
    for name in plan.figures:
        render(plan, results, figure, name, ".svg")
    for name, stage in LISTS.items():
        render(plan, results, stage, name)


def render(plan: JobGraph, results: Path, stage, name: str, suffix: str = ".md") -> None:
    """Render one page, as the workflow does."""
    job = f"pages/{name}"
    config = results / job / "config.json"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(jobs.canonical(plan.resolved(job)) + "\n")
    words = ["--config", config, "--results", results, "--out", results / f"{name}{suffix}"]
    stage.main([*map(str, words), "--ancestry-digest", plan.jobs[job].ancestry_digest])


def measure(results: Path, job: Job) -> None:
    """Hits of a run that grow with k_test, and its metrics."""
    content, run = job.config, job.measurement.run
    rng = np.random.default_rng(int(jobs.digest(run), 16) % 2**32)
    right, measured = {}, {}
    for k_test in content["k_test"]:
        at: dict[str, float] = {}
        for suffix in ("", "_10crops") if k_test in content["ten_crops"] else ("",):
            top1 = rng.random(IMAGES) < 0.3 + k_test / 400
            kinds = {"top1": top1, "top5": top1 | (rng.random(IMAGES) < 0.5)}
            for kind, values in kinds.items():
                right[per_image.name(kind + suffix, k_test)] = values
                at[kind + suffix] = 100 * float(values.mean())
            at[f"top1{suffix}_std"] = 0.1
        measured[str(k_test)] = at
    paths = np.array([f"val/{i}.jpg".encode() for i in range(IMAGES)])
    found = PerImage(paths, right)
    about = {"k_test": measured, "parameters": 4_900_000, "images": IMAGES, "notes": []}
    jobs.write_json(results / job.outputs["metrics"], about | {"run": job.id, "hits": found.digest})
    per_image.save(results / job.outputs["hits"], found)


def _time(results: Path, job: Job) -> None:
    measured = {f"{name}{end}": 5.0 + len(job.id) % 7 for name in TIMES for end in ("", "_std")}
    about = {"run": job.id, "hours": 0.02, "notes": []}
    jobs.write_json(results / job.outputs["metrics"], about | measured)


def _leave_time(file: Path, seconds: int) -> None:
    """What Snakemake's `benchmark` leaves."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"s\th:m:s\tmax_rss\n{seconds}.5\t0:00:{seconds:02}\t120.0\n")
