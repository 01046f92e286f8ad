"""Where the numbers come from: suite, machine, time, runs, configuration."""

import csv
import itertools
from pathlib import Path

import yaml

from fixres.jobs import origin
from fixres.pages import web
from fixres.pages.report.reading import Contents, Part

ABOUT = (
    "Commit, versions and processor belong to the machine that made this page. The configuration "
    "below, saved as config.yaml, and the commands reproduce the numbers."
)


def part(contents: Contents) -> Part:
    """The last part of the report."""
    times, without = _times(contents)
    configuration = yaml.safe_dump(contents.report.configuration, allow_unicode=True, width=88)
    machine = {
        "suite": f"commit {origin.commit()}",
        "processor": origin.processor(),
        "GPUs": ", ".join(origin.accelerators()) or "none",
        "versions": ", ".join(f"{name} {number}" for name, number in origin.versions().items()),
        "this page again": "snakemake results/report.html",
    }
    body = web.render(
        "report_origin",
        machine=machine,
        times=times,
        without=without,
        runs=contents.runs,
        configuration=configuration.splitlines(),
    )
    return Part("origin", "Where these numbers come from", ABOUT, body)


def _times(contents: Contents) -> tuple[list[list[str]], list[str]]:
    """What the jobs took, stage by stage, as Snakemake wrote it down; the jobs without a time."""
    took: dict[str, list[float]] = {}
    without = []
    for name, job in contents.report.jobs.items():
        seconds = seconds_of(contents.results / job.benchmark)
        if seconds is None:
            without.append(name)
        else:
            took.setdefault(job.stage, []).append(seconds)
    words = dict(contents.report.work)
    order = [*words, *sorted(set(took) - set(words))]
    times = [(words.get(stage, stage), took[stage]) for stage in order if stage in took]
    if times:
        times.append(("all jobs, one after another", [*itertools.chain(*took.values())]))
    rows = [
        [what, f"{len(each):,}", duration(sum(each)), duration(max(each))] for what, each in times
    ]
    return rows, without


def seconds_of(benchmark: Path) -> float | None:
    """What Snakemake's benchmark file says of a job, seconds. None where there is none."""
    try:
        with open(benchmark, newline="", encoding="utf-8") as f:
            return float(next(csv.DictReader(f, delimiter="\t"))["s"])
    except (OSError, KeyError, ValueError, StopIteration):
        return None


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 05 min`, `14 days 3 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours // 24} days {hours % 24} h"
