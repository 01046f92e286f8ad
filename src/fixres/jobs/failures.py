"""The mark of a job that failed: a small file beside the job's result.

A log without a result says only that a job did not end: it may have been interrupted, or its result
deleted. The mark says that it failed. Only jobs with a folder of their own leave one. It is no
output of a rule, so Snakemake, which deletes the outputs of a failed job, leaves it there.
"""

import contextlib
import os
from pathlib import Path

NAME = "failed"  # the mark, in the folder of --out


class Mark:
    """The mark of one job. A job without a folder of its own has none, and nothing happens.

    Parameters
    ----------
    options : the job's command line, behind the stage.
    alone : whether it has a folder of its own, and so may fail alone (`Stage.fails_alone`).
    """

    def __init__(self, options: list[str], alone: bool):
        out = _value_of("--out", options) if alone else None
        self.file = Path(out).parent / NAME if out else None

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


def _value_of(option: str, options: list[str]) -> str | None:
    """The last value of an option on a command line, as argparse has it; None: not given."""
    value = None
    for word, following in zip(options, [*options[1:], None], strict=True):
        if word == option:
            value = following
        elif word.startswith(f"{option}="):
            value = word.partition("=")[2]
    return value
