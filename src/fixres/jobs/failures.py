"""The mark of a failed job: a small file in the job's folder.

A log without a result does not prove a failure: the job may have been interrupted, or its result
deleted. The mark does. Only jobs with their own folder leave a mark. It is not an output of a rule,
because Snakemake deletes the outputs of a failed job.
"""

import argparse
import contextlib
import os
from pathlib import Path

NAME = "failed"  # the mark, in the folder of --out


class Mark:
    """The mark of one job. For a job without its own folder, all methods do nothing.

    `options` is the job's command line after the stage. `alone` says whether the job has its own
    folder, and so may fail alone (`Stage.fails_alone`).
    """

    def __init__(self, options: list[str], alone: bool):
        p = argparse.ArgumentParser(add_help=False)
        p.add_argument("--out", type=Path, nargs="?")  # the stage reports a missing value
        out = p.parse_known_args(options)[0].out
        self.file = out.parent / NAME if out and alone else None

    def write(self, error: BaseException) -> None:
        """Write the mark. Its content, the error, is for people."""
        if self.file:
            text = f"{type(error).__name__}: {error}\n"
            with contextlib.suppress(OSError):  # the disk may be what failed
                self.file.write_text(text, encoding="utf-8", errors="replace")

    def remove(self) -> None:
        """Remove the mark of an earlier start.

        Only the first of several processes removes it, because a late process would remove a mark
        that another process of the same start has just written.
        """
        if self.file and os.environ.get("RANK", "0") == "0":
            with contextlib.suppress(OSError):
                self.file.unlink(missing_ok=True)


def error_of(folder: Path) -> str:
    """The error in the mark of a job's folder; "" if there is no mark."""
    try:
        return (folder / NAME).read_text(encoding="utf-8", errors="replace").strip() or "failed"
    except OSError:
        return ""
