"""Run any job of the DAG by hand: `python -m fixres STAGE …`.

`python -m fixres STAGE --help` explains one stage.

A short job spends much of its time starting. So only the requested stage is imported, with the
garbage collector off: otherwise it would search torch's modules repeatedly while they are created,
which took a quarter of the import time when measured.
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

# The commands for people, in addition to the stages of the DAG (graph/stages.py).
COMMANDS = {
    "recommend": ("recommend", "where to test your own network, what fixing gains and costs"),
    "download": ("data.download", "fetch a freely available dataset: download DATASET FOLDER"),
    "twin": ("stages.render:by_hand", "render a twin of a dataset: twin DATASET OUT"),
    "relist": ("relist", "check your images for changes, and list them again if they changed"),
    "resolve": ("resolve", "print the resolved configuration of a job"),
    "schema": ("config.reading", "print the JSON schema of config.yaml"),
}
ENTRIES = {stage.name: (stage.entry, stage.about) for stage in STAGES.values()} | COMMANDS
THREAD_VARIABLES = [f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")]
# Errors of a path that cannot be written, and how to fix them.
ROOM, WAY = "free some space or allow writing there", "move away what is there"
DISK_ERRORS = dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES), ROOM)
DISK_ERRORS |= dict.fromkeys((errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP), WAY)
DISK_ERRORS |= {
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.ENAMETOOLONG: "choose shorter names",
}


def usage() -> str:
    """The stages, each on one line with its purpose."""
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
            "To discard the output, use >/dev/null."
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
    """Open /dev/null in place of closed standard streams. Returns whether stdout was closed.

    Otherwise the next file to be opened would become the stream.
    """
    closed = sys.stdout is None
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is `number`
            os.set_inheritable(null, True)
            setattr(sys, name, open(null, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115
    return closed


def _print_usage(_: list[str]) -> None:
    print(usage())


def _print_unknown_stage(stage: str) -> None:
    from fixres.nearest import did_you_mean

    message = f"{stage}: unknown stage. {did_you_mean(stage, ENTRIES)}".rstrip()
    print(f"{message}\n\n{usage()}", file=sys.stderr)


def _set_library_threads(options: list[str]) -> None:
    """Give every library the job's number of threads.

    The libraries read these variables when they are loaded. Snakemake also sets them.
    """
    if "--threads" in options[:-1]:
        threads = options[options.index("--threads") + 1]
        for name in THREAD_VARIABLES:
            os.environ[name] = threads


def _import_stage(stage: str):
    """Import the function that runs a stage, given the stage's options."""
    gc.disable()
    module, _, function = ENTRIES[stage][0].partition(":")
    run = getattr(importlib.import_module(f"fixres.{module}"), function or "main")
    gc.freeze()
    gc.enable()
    return run


def _report_end(stage: str, error: BaseException, mark: "Mark") -> int:
    """Print in one message how a stage ended, and return the exit code.

    A failure leaves its mark, an interruption does not. An error that a person cannot fix is a bug,
    and is raised again.
    """
    from fixres.config import ConfigError
    from fixres.jobs import JobError, stopping

    # Signals come first, because libraries may have turned `Stopped` into their own errors.
    asked = str(error) if isinstance(error, stopping.Stopped) else stopping.asked()
    if asked:
        _print_message(f"\n{stage}: stopped by {asked}. Run the same command again to resume.")
        return stopping.AGAIN
    if isinstance(error, KeyboardInterrupt):
        _print_message(f"\n{stage}: interrupted. Run the same command again to resume.")
        return 130
    mark.write(error)
    if isinstance(error, (JobError, ConfigError)):
        _print_message(f"\nerror in {stage}: {error}")
        return 1
    if isinstance(error, BrokenPipeError) and stage not in STAGES:
        return 128 + signal.SIGPIPE  # the reader of the output has closed the pipe
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        place = error.filename or ("the results folder" if stage in STAGES else "standard output")
        _print_message(
            f"\nerror in {stage}: {place}: {os.strerror(error.errno)}. Nothing finished is lost: "
            f"{DISK_ERRORS[error.errno]}, then run the same command again."
        )
        return 1
    raise error


def _print_message(message: str) -> None:
    """Print on stderr, which is a job's log, without escape codes for the terminal.

    The log may be on the full disk itself. Then print on stdout, which is Snakemake's.
    """
    from fixres.jobs.quoting import LAYOUT, visible

    message = visible(message, LAYOUT)
    try:
        print(message, file=sys.stderr, flush=True)
    except OSError:
        print(message, flush=True)


def leave(code: int) -> NoReturn:
    """End this process without destroying torch's and DALI's objects one by one.

    That takes 0.7 of the 2.6 processor seconds of a process that only imports both (measured in
    three alternating rounds). By now, results are written and all processes of this job have ended.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # the output is lost; Python itself would also exit with 120
            code = code or 120
    os._exit(code)


def console() -> NoReturn:
    """The program `fixres`: run a stage and exit with its code."""
    code = main(sys.argv[1:])
    from fixres.jobs import stopping

    stopping.listen_no_more()
    leave(code)


if __name__ == "__main__":
    console()
