"""log.csv, the course of a training: one reader and one writer.

A row holds the steps since the row before:

| column | |
|---|---|
| step, epoch | steps done, and the same in epochs |
| rate | learning rate of the last of these steps |
| loss | mean over these steps |
| images_per_s | images of a second; the first row counts the start of the loader, too |

All but the last column follow from the configuration.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fixres import jobs

if TYPE_CHECKING:
    import pandas as pd

NAME = "log.csv"  # beside the weights
FORMATS = {"step": "d", "epoch": ".4f", "rate": ".6g", "loss": ".6f", "images_per_s": ".1f"}


class Row(NamedTuple):
    """A row of log.csv."""

    step: int
    epoch: float
    rate: float
    loss: float
    images_per_s: float


def write(file: Path, rows: list[Row]) -> None:
    lines = [",".join(FORMATS), *(",".join(map(format, row, FORMATS.values())) for row in rows)]
    with jobs.atomic(file) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read(file: Path) -> "pd.DataFrame":
    """The rows, with the columns of `FORMATS`. Raises JobError where they cannot be read."""
    import pandas as pd

    jobs.record_inputs(file)
    try:
        return pd.read_csv(file)[list(FORMATS)]
    except (OSError, ValueError, KeyError) as error:
        way_out = "delete it and let Snakemake make it again"
        raise jobs.JobError(f"{file}: no log of a training ({error}); {way_out}") from None
