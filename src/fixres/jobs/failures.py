"""The mark of a job that failed: a small file beside the job's result.

A log without a result says only that a job did not end: it may have been interrupted, or its result
deleted. The mark says that it failed. Only jobs with a folder of their own leave one. It is no
output of a rule, so Snakemake, which deletes the outputs of a failed job, leaves it there.
"""

import argparse
import contextlib
import os
from pathlib import Path

NAME = "failed"  # the mark, in the folder of --out


class Mark:
    """The mark of one job. A job without a folder of its own has none, and nothing happens.

    `options` is the job's command line, behind the stage. `alone` says whether the job has a folder
    of its own, and so may fail alone (`Stage.fails_alone`).
    """

    def __init__(self, options: list[str], alone: bool):
        p = argparse.ArgumentParser(add_help=False)
        p.add_argument("--out", type=Path, nargs="?")  # the stage complains where it has no value
        out = p.parse_known_args(options)[0].out
        self.file = out.parent / NAME if out and alone else None

    def write(self, error: BaseException) -> None:
        """Leave the mark. Its content is for people: how the job failed."""
        if self.file:
            text = f"{type(error).__name__}: {error}\n"
            with contextlib.suppress(OSError):  # the disk may be what failed
                self.file.write_text(text, encoding="utf-8", errors="replace")

    def remove(self) -> None:
        """Remove the mark of an earlier start.

        Of several processes only the first removes it: a late one would remove the mark that
        another process of the same start has left.
        """
        if self.file and os.environ.get("RANK", "0") == "0":
            with contextlib.suppress(OSError):
                self.file.unlink(missing_ok=True)


def error_of(folder: Path) -> str:
    """What the mark in the folder of a job says of its failure; "" where there is no mark."""
    try:
        return (folder / NAME).read_text(encoding="utf-8", errors="replace").strip() or "failed"
    except OSError:
        return ""
