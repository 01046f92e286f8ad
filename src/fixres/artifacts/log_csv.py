"""log.csv, the progress of a training: one reader and one writer.

A row covers the steps since the previous row:

| column | |
|---|---|
| step, epoch | steps so far, and the same in epochs |
| rate | learning rate of the last step |
| loss | mean over the steps |
| images_per_s | images per second; the first row includes the start of the loader |

All columns but the last follow from the configuration.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fixres import jobs

if TYPE_CHECKING:
    import pandas as pd

NAME = "log.csv"  # in the folder of the weights
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
    """The rows, with the columns of `FORMATS`. Raises JobError if they cannot be read."""
    import pandas as pd

    jobs.record_inputs(file)
    try:
        return pd.read_csv(file)[list(FORMATS)]
    except (OSError, ValueError, KeyError) as error:
        raise jobs.JobError(f"{file}: not a training log ({error}). {jobs.REMAKE}") from None
