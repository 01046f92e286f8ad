"""Every job of the DAG, runnable by hand: `python -m fixres STAGE …`.

`python -m fixres STAGE --help` explains one stage.

The start takes a good part of a short job's time. So only the asked-for stage is imported, and the
garbage collector rests meanwhile: otherwise it searches torch's modules again and again while they
are created, which took a quarter of the import when measured.
"""

import errno
import gc
import importlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from fixres.graph.stages import STAGES

if TYPE_CHECKING:
    from fixres.jobs.failures import Mark

# What a person gives by hand, besides the stages of the DAG (graph/stages.py).
COMMANDS = {
    "recommend": ("recommend", "where to test your own network, what fixing gains and costs"),
    "download": ("data.download", "fetch a freely available dataset: download DATASET FOLDER"),
    "twin": ("stages.render:by_hand", "render a twin of a dataset: twin DATASET OUT"),
    "relist": ("relist", "look again at your images, and list them anew if they changed"),
    "resolve": ("resolve", "print the resolved configuration of a job"),
    "schema": ("config.reading", "print the JSON schema of config.yaml"),
}
ENTRIES = {stage.name: (stage.entry, stage.about) for stage in STAGES.values()} | COMMANDS
THREAD_VARIABLES = [f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")]
# Errors of a place that cannot be written, and what to do about them.
ROOM, WAY = "make room or allow writing there", "move away what is there"
DISK_ERRORS = dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES), ROOM)
DISK_ERRORS |= dict.fromkeys((errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP), WAY)
DISK_ERRORS |= {
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.ENAMETOOLONG: "choose shorter names",
}


def usage() -> str:
    """The stages, each with a line that says what it does."""
    lines = [f"  {name:11} {what}" for name, (_, what) in ENTRIES.items()]
    first = "usage: python -m fixres STAGE …   (STAGE --help explains its options)"
    return "\n".join([first, "", *lines])


def main(arguments: list[str]) -> int:
    """Run the stage that the arguments name. Returns the exit code."""
    started = time.time()
    stage, *options = arguments or ["--help"]
    if _open_streams() and stage not in STAGES:  # a job prints nothing there
        _print_message(
            f"error in {stage}: standard output: closed (expected a terminal, a file or a pipe). "
            "To throw away what is printed: >/dev/null"
        )
        return 2
    helps = stage in ("-h", "--help")
    if not helps and stage not in ENTRIES:
        _print_unknown_stage(stage)
        return 2
    _set_library_threads(options)
    from fixres import jobs
    from fixres.jobs import failures, sealing, stopping

    mark = failures.Mark(options, stage in STAGES and STAGES[stage].fails_alone)
    mark.remove()
    try:
        run = _print_usage if helps else _import_stage(stage)
        stopping.listen()
        with jobs.recording_inputs():
            run(options)
            if stage in STAGES:
                sealing.seal_this_job(options, STAGES[stage].files, started)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt, stopping.Stopped) as error:
        return _report_end(stage, error, mark)
    mark.remove()
    return 0


def _open_streams() -> bool:
    """Open /dev/null in place of standard streams that are closed. Returns whether stdout was.

    Otherwise the next file that is opened would be taken for the stream.
    """
    closed = sys.stdout is None
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            os.set_inheritable(null, True)
            setattr(sys, name, open(null, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115
    return closed


def _print_usage(_: list[str]) -> None:
    print(usage())


def _print_unknown_stage(stage: str) -> None:
    from fixres.nearest import did_you_mean

    hint = "; ".join(filter(None, (f"no stage '{stage}'", did_you_mean(stage, ENTRIES))))
    print(f"{hint}\n\n{usage()}", file=sys.stderr)


def _set_library_threads(options: list[str]) -> None:
    """Give every library the job's number of threads, also a library that is never asked.

    The libraries read these variables when they are loaded. Snakemake sets them too.
    """
    if "--threads" in options[:-1]:
        threads = options[options.index("--threads") + 1]
        for name in THREAD_VARIABLES:
            os.environ[name] = threads


def _import_stage(stage: str):
    """The function that runs a stage, called with the stage's options."""
    gc.disable()
    module, _, function = ENTRIES[stage][0].partition(":")
    run = getattr(importlib.import_module(f"fixres.{module}"), function or "main")
    gc.freeze()
    gc.enable()
    return run


def _report_end(stage: str, error: BaseException, mark: "Mark") -> int:
    """Print how a stage ended, in one message, and return the exit code.

    A failure leaves its mark, an interruption does not. An error that a person cannot act on is a
    bug: it is raised again.
    """
    from fixres.config import ConfigError
    from fixres.jobs import JobError, stopping

    # A signal first: libraries may have turned `Stopped` into errors of their own.
    asked = str(error) if isinstance(error, stopping.Stopped) else stopping.asked()
    if asked:
        _print_message(f"\n{stage} stopped by {asked}; the same command goes on where it was")
        return stopping.AGAIN
    if isinstance(error, KeyboardInterrupt):
        _print_message(f"\n{stage} interrupted; the same command resumes it")
        return 130
    mark.write(error)
    if isinstance(error, (JobError, ConfigError)):
        _print_message(f"\nerror in {stage}: {error}")
        return 1
    if isinstance(error, BrokenPipeError) and stage not in STAGES:
        return 128 + signal.SIGPIPE  # whoever read what is printed wants no more
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        place = error.filename or ("the results folder" if stage in STAGES else "standard output")
        _print_message(
            f"\nerror in {stage}: {place}: {os.strerror(error.errno)}. Nothing finished is lost: "
            f"{DISK_ERRORS[error.errno]}, then give the same command again"
        )
        return 1
    raise error


def _print_message(message: str) -> None:
    """Print on stderr, which is a job's log. The terminal obeys nothing in it.

    The log may lie on the very disk that is full. Then print on stdout, which is Snakemake's.
    """
    from fixres.jobs.quoting import LAYOUT, visible

    message = visible(message, LAYOUT)
    try:
        print(message, file=sys.stderr, flush=True)
    except OSError:
        print(message, flush=True)


def leave(code: int) -> NoReturn:
    """End this process without taking torch and DALI down object by object.

    That takes 0.7 of the 2.6 processor seconds of a process that only imports both (measured, three
    times in turn). By now results are written and closed, and processes of this job have ended.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # what was said is lost, as when Python itself ends: with 120, too
            code = code or 120
    os._exit(code)


def console() -> NoReturn:
    """The program `fixres`: run a stage, and end with its exit code."""
    code = main(sys.argv[1:])
    from fixres.jobs import stopping

    stopping.listen_no_more()
    leave(code)


if __name__ == "__main__":
    console()
