"""Where the numbers come from: suite, machine, time, runs, configuration."""

import csv

import yaml

from fixres.graph import benchmark_of
from fixres.pages import origin
from fixres.pages.report import markup
from fixres.pages.report.markup import Part, text
from fixres.pages.report.reading import Contents

ABOUT = (
    "Commit, versions and processor are those of the machine that put this page together. The "
    "configuration below, saved as config.yaml, and the commands make the same numbers again."
)
STAGES = {  # in the order of the work
    "render": "rendering images",
    "manifest": "listing images",
    "pretrained": "fetching weights",
    "train": "training",
    "match": "matching distributions",
    "finetune": "fine-tuning",
    "evaluate": "evaluating",
    "time": "timing",
}


def part(contents: Contents) -> Part:
    """The last part of the report."""
    body = _machine() + _times(contents) + _runs(contents) + _configuration(contents)
    return Part("origin", "Where these numbers come from", ABOUT, body)


def _machine() -> str:
    lines = {
        "suite": f"commit {origin.commit()}",
        "processor": origin.processor(),
        "GPUs": ", ".join(origin.accelerators()) or "none",
        "versions": ", ".join(f"{name} {number}" for name, number in origin.versions().items()),
        "this page again": "snakemake results/report.html",
    }
    shown = "".join(f"<dt>{text(k)}</dt><dd>{text(v)}</dd>" for k, v in lines.items())
    shown = shown.replace("<dd>", '<dd id="suite">', 1)  # the script shows it beside each number
    return f'<dl class="machine">{shown}</dl>\n'


def _times(contents: Contents) -> str:
    """What the jobs took, stage by stage, as Snakemake wrote it down."""
    took: dict[str, list[float]] = {}
    without = []
    for job, (stage, _) in contents.config["jobs"].items():
        seconds = seconds_of(contents, job, stage)
        if seconds is None:
            without.append(job)
        else:
            took.setdefault(stage, []).append(seconds)
    order = [*STAGES, *sorted(set(took) - set(STAGES))]
    rows = [_time(STAGES.get(stage, stage), took[stage]) for stage in order if stage in took]
    if rows:
        everything = [seconds for of_stage in took.values() for seconds in of_stage]
        rows.append(_time("all jobs, one after another", everything))
    heads = ["work", "jobs", "time", "longest job"]
    shown = markup.table("The time that the jobs took", heads, rows) if rows else ""
    if without:
        lines = markup.listed("ul", without)
        shown += markup.folded(f"{markup.counted(len(without), 'job')} left no time", lines)
    return shown


def seconds_of(contents: Contents, job: str, stage: str) -> float | None:
    """What Snakemake's benchmark file says of a job, seconds. None where there is none."""
    try:
        file = contents.results / benchmark_of(job, stage)
        with open(file, newline="", encoding="utf-8") as f:
            return float(next(csv.DictReader(f, delimiter="\t"))["s"])
    except (OSError, KeyError, ValueError, StopIteration):
        return None


def _time(what: str, seconds: list[float]) -> list[str]:
    return [text(what), f"{len(seconds):,}", duration(sum(seconds)), duration(max(seconds))]


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 05 min`, `14 days 3 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours // 24} days {hours % 24} h"


def _runs(contents: Contents) -> str:
    """Every run that a cell shows. The script takes the rows from here (script.js)."""
    rows = [
        f'<tr id="run-{run.number}" data-file="{text(run.file)}"><td><code>{text(name)}</code></td>'
        f"<td>{'–' if run.seed is None else run.seed}</td><td><code>{run.metrics}</code></td>"
        f"<td><code>{run.per_image or '–'}</code></td></tr>"
        for name, run in contents.runs.items()
    ]
    heads = ("run", "seed", "digest of metrics.json", "digest of what it found on each image")
    head = "".join(f'<th scope="col">{h}</th>' for h in heads)
    table = (
        f'<table class="plain"><thead><tr>{head}</tr></thead>\n'
        "<tbody>\n" + "\n".join(rows) + "\n</tbody></table>"
    )
    return markup.folded(
        f"The {markup.counted(len(rows), 'run')} behind the tables", markup.box("The runs", table)
    )


def _configuration(contents: Contents) -> str:
    written = yaml.safe_dump(contents.config["configuration"], allow_unicode=True, width=88)
    return markup.folded("The configuration", f"<pre>{text_of_lines(written)}</pre>")


def text_of_lines(lines: str) -> str:
    """Several lines as they are."""
    return "\n".join(map(text, lines.splitlines()))
