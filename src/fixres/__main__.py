"""`python -m fixres STAGE …`: every job of the DAG, runnable by hand. `python -m fixres STAGE --help` explains one.

Only the asked-for stage is imported, and without the garbage collector, which would search the modules of torch for garbage again and
again while they are created (measured: a quarter of the import): start-up is a good part of a short job.
"""

import gc
import importlib
import os
import sys

STAGES = {
    "render": ("fixres.stages.render", "render a pinhole set in the layout of a dataset"),
    "twin": ("fixres.stages.render:by_hand", "the same by hand: twin DATASET OUT"),
    "manifest": ("fixres.stages.manifest", "find, check, unpack and list a dataset's images"),
    "pretrained": (
        "fixres.stages.pretrained",
        "fetch a network's published weights and check them",
    ),
    "train": ("fixres.stages.train", "train a network from scratch at one k_train"),
    "match": ("fixres.stages.match", "match its activations at one k_test to those at k_train"),
    "finetune": ("fixres.stages.finetune", "adapt its last layers to one k_test"),
    "time": ("fixres.stages.timing", "time its forward and backward passes"),
    "evaluate": ("fixres.stages.evaluate", "measure it at one or several k_test"),
    "table": ("fixres.pages.table", "render a table from the measured numbers"),
    "summary": ("fixres.pages.summary", "say what all tables have in common with the paper's"),
    "cost": ("fixres.pages.cost", "say what each page would cost"),
    "figure": ("fixres.pages.figure", "draw a figure from a table's numbers"),
    "schema": ("fixres.config.reading", "print the JSON schema of config.yaml"),
}


def usage() -> str:
    lines = [f"  {name:10} {what}" for name, (_, what) in STAGES.items()]
    return "\n".join(
        ["usage: python -m fixres STAGE …   (STAGE --help explains its options)", "", *lines]
    )


def _threads(arguments: list[str]) -> None:
    """Every library takes the job's threads, also one that never asks: they read these when they are loaded. Snakemake sets them too."""
    if "--threads" in arguments[:-1]:
        threads = arguments[arguments.index("--threads") + 1]
        for name in (
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "NUMEXPR_NUM_THREADS",
        ):
            os.environ[name] = threads


def _say(message: str) -> None:
    """On stderr, which is a job's log; where that lies on the disk that is full, on stdout, which is Snakemake's."""
    try:
        print(message, file=sys.stderr, flush=True)
    except OSError:
        print(message, flush=True)


def _told(stage: str, error: BaseException) -> int:
    """Say how a stage ended, as one message where a person can act on it; returns the exit code, or raises what is a bug."""
    import errno

    from fixres.config import ConfigError
    from fixres.jobs import JobError, stopping

    asked = str(error) if isinstance(error, stopping.Stopped) else stopping.asked()
    if asked:  # whatever the libraries have made of it
        _say(f"\n{stage} stopped by {asked}; the same command goes on where it was")
        return stopping.AGAIN
    if isinstance(error, KeyboardInterrupt):
        _say(f"\n{stage} interrupted; the same command resumes it")
        return 130
    if isinstance(error, (JobError, ConfigError)):
        _say(f"\nerror in {stage}: {error}")
        return 1
    if isinstance(error, OSError) and error.errno in (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EACCES,
    ):
        _say(
            f"\nerror in {stage}: {error.filename or 'the results folder'}: {os.strerror(error.errno)}. Nothing finished is lost: make "
            "room or allow writing there, then give the same command again"
        )
        return 1
    raise error


def main(arguments: list[str]) -> int:
    stage, *rest = arguments or ["--help"]
    if stage in ("-h", "--help"):
        print(usage())
        return 0
    if stage not in STAGES:
        import difflib

        close = difflib.get_close_matches(stage, STAGES, n=1)
        print(
            f"no stage '{stage}'"
            + (f"; did you mean '{close[0]}'?" if close else "")
            + f"\n\n{usage()}",
            file=sys.stderr,
        )
        return 2
    _threads(rest)
    gc.disable()
    module, _, function = STAGES[stage][0].partition(":")
    run = getattr(importlib.import_module(module), function or "main")
    gc.freeze()
    gc.enable()
    from fixres import jobs
    from fixres.jobs import stopping

    try:
        stopping.listen()
        with jobs.recording_inputs():
            run(rest)
    except (Exception, KeyboardInterrupt, stopping.Stopped) as error:
        return _told(stage, error)
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    from fixres.jobs import stopping

    stopping.listen_no_more()
    sys.exit(code)
