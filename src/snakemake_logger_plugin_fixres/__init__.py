"""How a run looks: a bar with what runs now, a line for each finished training, and the pages.

Snakemake finds this plugin by the name of its package, and profiles/default asks for it
(`logger: fixres`). Everything that Snakemake itself would print is in its log file. The options
`--verbose` and `--printshellcmds` bring it to the screen.

At a terminal a bar at the bottom shows how many jobs are done, about how long the others take, and
which run now. Elsewhere (CI, a pipe) a line says the same once a minute. A dry run prints one line
for each job.
"""

import json
import logging
import re
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from snakemake.logging import ColorizingTextHandler, DefaultFormatter
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from tqdm import tqdm

from fixres.graph.stages import STAGES

TICK = 1.0  # seconds between two looks of the bar at the clock
TOUCHED = 0.5  # seconds: no training is as short; with --touch none is run
HEARTBEAT = 60.0  # seconds between two lines where nobody watches a terminal
# The rules that make pages; the pages over all others come first.
PAGES = [stage.name for stage in STAGES.values() if stage.page]
NAMED = 6  # pages that the last line names
# What Snakemake says besides its events, and what nobody needs on the screen.
UNNEEDED = re.compile(
    r"Building DAG|Using shell|Provided cores|Rules claiming|Conda env|Select jobs|Execute |host:|"
    r"Using workflow specific profile|Assuming unrestricted|Complete log|Elapsed time|\s*$"
)
REASONS = {  # of Snakemake: how a line of a dry run says it
    "Missing output files": "new",
    "Input files updated by another job": "its inputs are made again",
    "Params have changed since last execution": "its settings changed",
    "Updated input files": "its inputs changed",
    "Set of input files has changed since last execution": "it has other inputs",
    "Incomplete output files": "it was interrupted",
    "Forced execution": "forced",
    "Code has changed since last execution": "its rule changed",
}


class Running(NamedTuple):
    """A job that runs now."""

    rule: str
    name: str  # its id, the folder below results/
    message: str
    outputs: list[str]
    started: float  # seconds, of time.monotonic


class LogHandler(LogHandlerBase):
    """Shows a run of Snakemake to a person."""

    writes_to_stream, writes_to_file = True, False
    has_filter, has_formatter, needs_rulegraph = False, False, False

    def __post_init__(self) -> None:
        # Snakemake reads the configuration before the Snakefile, which checks the words, too.
        from fixres.asked import check_command_line

        check_command_line(*sys.argv)
        settings = self.common_settings
        self.stream = sys.stdout if settings.stdout else sys.stderr
        self.screen = Screen(self.stream)
        self.dry = settings.dryrun
        asked = settings.verbose or settings.printshellcmds or settings.debug_dag or settings.quiet
        self.standard = None
        if asked:
            self.standard = ColorizingTextHandler(nocolor=settings.nocolor, stream=self.stream)
            self.standard.setFormatter(DefaultFormatter(settings.quiet, settings.show_failed_logs))
        self.run = Run()
        self.stats = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Show one thing that Snakemake reports."""
        try:
            if self.standard:
                self.standard.emit(record)
            elif self.dry:
                self._show_plan(record)
            else:
                self._show_run(record)
        except Exception:  # a display must not end a run
            self.handleError(record)

    def _show_plan(self, record: logging.LogRecord) -> None:
        """A dry run: one line a job, then how many there are of each rule."""
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            output = next(iter(map(str, record.output)), "")
            self.screen.line(f"{record.rule_name:10} {output:78} {_reason(record.reason)}".rstrip())
        elif event == LogEvent.RUN_INFO:
            self.stats = record.getMessage()
        elif event is None and record.levelno >= logging.WARNING:
            self.screen.line(self.format(record))
        elif event is None and record.getMessage().startswith(("Nothing to be done", "This was a")):
            self.screen.line(f"\n{self.stats}".rstrip() + "\n" if self.stats else "")
            self.screen.line(record.getMessage().strip())
        elif event == LogEvent.ERROR:
            self.screen.line(self.format(record))

    def _show_run(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            self.run.started(record)
        elif event == LogEvent.JOB_FINISHED:
            for line in self.run.finished(record.job_id):
                self.screen.line(line)
        elif event == LogEvent.PROGRESS:
            self.run.done, self.run.total = record.done, record.total
        elif event == LogEvent.RUN_INFO:
            self.run.total = record.stats.get("total", 0)
        elif event in (LogEvent.JOB_ERROR, LogEvent.GROUP_ERROR, LogEvent.ERROR):
            self.run.failed(getattr(record, "jobid", None))
            self.screen.line(self.format(record))
        elif hasattr(record, "fixres_durations"):
            self.run.expect(record.fixres_durations, record.fixres_cores)
            self.screen.line(record.getMessage())
            self.screen.watch(self.run)
        elif event is None and (
            record.levelno >= logging.WARNING or not UNNEEDED.match(record.getMessage())
        ):
            self.screen.line(self.format(record))

    def close(self) -> None:
        """Say how it ended: the time, and where the pages are."""
        self.screen.close()
        if self.run.pages and not self.standard:
            took = _clock(time.monotonic() - self.run.began)
            self.screen.line(f"{self.run.done} jobs in {took}. Finished: {_named(self.run.pages)}")
            self.run.pages = []
        super().close()


class Run:
    """What is known of a run: the jobs that run now, what is done, and how long the rest takes."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.running: dict[int, Running] = {}
        self.trained: dict[str, float] = {}  # run -> seconds that its training took
        self.pages: list[tuple[int, str]] = []  # finished: place in PAGES, file
        self.done = self.total = 0
        self.durations: dict[str, float] = {}  # of jobs that are not finished, seconds
        self.cores = 1
        self.expected_done = 0.0  # seconds that the finished jobs were expected to take

    def expect(self, durations: dict[str, float], cores: int | None) -> None:
        """Remember how long each job is expected to take."""
        self.durations, self.cores, self.began = dict(durations), cores or 1, time.monotonic()

    def started(self, record: logging.LogRecord) -> None:
        """A job has started."""
        log = next(iter(map(str, record.log)), "")
        name = str(Path(log).parent).removeprefix("results/")
        rule, outputs = record.rule_name, list(map(str, record.output))
        new = Running(rule, name, record.rule_msg or rule, outputs, time.monotonic())
        self.running[record.jobid] = new

    def finished(self, job: int) -> list[str]:
        """A job has finished; returns the lines that say so, if there is something to say."""
        ended = self.running.pop(job, None)
        if ended is None:
            return []
        self.expected_done += self.durations.pop(ended.name, 0.0)
        seconds = time.monotonic() - ended.started
        if ended.rule == "train" and seconds >= TOUCHED:
            self.trained[ended.name] = seconds
        if ended.rule in PAGES:
            self.pages.append((PAGES.index(ended.rule), ended.outputs[0]))
        run = ended.name.removesuffix("/evaluation")
        if ended.rule == "evaluate" and run in self.trained:
            return [_accuracy(run, self.trained[run], Path(ended.outputs[0]))]
        return []

    def failed(self, job: int | None) -> None:
        """A job has failed."""
        self.running.pop(job, None)

    def seconds_left(self) -> float:
        """About how long the rest takes, from the speed of what is done so far."""
        now = time.monotonic()
        left = sum(self.durations.values())
        done = self.expected_done
        for job in self.running.values():
            expected = self.durations.get(job.name, 0.0)
            partly = min(now - job.started, 0.9 * expected)
            left, done = left - partly, done + partly
        elapsed = now - self.began
        # At first the estimate counts, later what was seen.
        trust = min(done / (done + left), 0.2) / 0.2 if done else 0.0
        speed = (1 - trust) * self.cores + trust * done / max(elapsed, 1e-9)
        return left / max(speed, 1e-9)

    def status(self) -> str:
        """One line: time, time left if it can be told, what runs now."""
        now = "; ".join(_short(job.message) for job in self.running.values())
        elapsed = _clock(time.monotonic() - self.began)
        left = f", about {_clock(self.seconds_left())} left" if self.durations else ""
        return f"{elapsed}{left}: {now or 'waiting'}"


class Screen:
    """Lines, and below them a bar where a person watches a terminal."""

    def __init__(self, stream) -> None:
        self.stream, self.bar, self.run = stream, None, None
        self.lock, self.ended = threading.RLock(), threading.Event()
        self.thread: threading.Thread | None = None

    def line(self, text: str) -> None:
        """Print a line above the bar."""
        with self.lock:
            if self.bar is None:
                print(text, file=self.stream, flush=True)
            else:
                self.bar.write(text, file=self.stream)

    def watch(self, run: Run) -> None:
        """Show from now on how a run is going."""
        self.run = run
        if self.stream.isatty():
            form = "{n}/{total} jobs {percentage:3.0f}%|{bar:20}| {desc}"
            look = {"bar_format": form, "dynamic_ncols": True, "leave": False}
            self.bar = tqdm(total=run.total, file=self.stream, **look)
        self.thread = threading.Thread(target=self._tick, daemon=True)
        self.thread.start()

    def _tick(self) -> None:
        pause = TICK if self.bar is not None else HEARTBEAT
        while not self.ended.wait(pause):
            status = self.run.status()
            if self.bar is None:
                self.line(f"{self.run.done} of {self.run.total} jobs, {status}")
                continue
            with self.lock:
                self.bar.n, self.bar.total = self.run.done, self.run.total
                self.bar.set_description_str(status, refresh=True)

    def close(self) -> None:
        """Take the bar away."""
        self.ended.set()
        if self.thread is not None:
            self.thread.join()
        with self.lock:
            if self.bar is not None:
                self.bar.close()
                self.bar = None


def _accuracy(run: str, seconds: float, metrics: Path) -> str:
    """The line for a finished training: its accuracy at k_train and at the best k_test."""
    name = run.removeprefix("runs/")
    try:
        measured = json.loads(metrics.read_text(encoding="utf-8"))["k_test"]
    except (OSError, ValueError, KeyError):
        return f"trained {name} in {_clock(seconds)}"
    # With several ratios of crop_pct, "top1@0.875" …: the best of them.
    top1 = {
        int(k): max(v for name, v in values.items() if re.fullmatch(r"top1(@[\d.]+)?", name))
        for k, values in measured.items()
    }
    best = max(top1, key=lambda k: top1[k])
    shown = [f"{top1[best]:.1f}% at {best} px (best)"]
    found = re.search(r"-k(\d+)", name)
    k_train = int(found[1]) if found else None
    if k_train in top1 and k_train != best:
        shown.insert(0, f"{top1[k_train]:.1f}% at {k_train} px")
    return f"trained {name} in {_clock(seconds)}: top-1 {', '.join(shown)}"


def _reason(text: str) -> str:
    """Why a job runs, in short."""
    found = [short for long, short in REASONS.items() if long in text]
    return ", ".join(found[:1] if "new" in found else found) or text


def _short(message: str) -> str:
    """The message of a job, without the dataset and the details of a fine-tuning's id."""
    name = re.sub(r"runs/[^/]+/", "", message.removesuffix("/evaluation"))
    return re.sub(r"/ft-k(\d+)-\S*", r" for \1 px", name)


def _clock(seconds: float) -> str:
    """Seconds as 1:02:03 or 2:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _named(pages: list[tuple[int, str]]) -> str:
    """The finished pages in words: of many, those over all others, and how many more."""
    names = [name for _, name in sorted(pages, key=lambda page: page[0])]
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
