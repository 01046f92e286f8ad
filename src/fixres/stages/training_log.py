"""The course of a training: log.csv next to its weights, and TensorBoard's event files.

A training that was killed and resumed ends with the same rows of log.csv, because a checkpoint
holds the rows so far (`TrainingLog.tensors`).
"""

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from fixres import jobs
from fixres.artifacts import log_csv
from fixres.artifacts.log_csv import Row

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

EVENTS = "tensorboard"  # folder of the event files, next to the weights
ROWS = 1000  # rows of a training of at least as many steps, at most


class TrainingLog:
    """The rows of one training, so far.

    `steps` counts the steps of the whole training, `per_epoch` of an epoch, with `batch_size`
    images each. `events` gets each row, too; None: there are no event files.
    """

    def __init__(
        self, steps: int, per_epoch: int, batch_size: int, events: "SummaryWriter | None" = None
    ):
        self.steps, self.per_epoch, self.batch_size = steps, per_epoch, batch_size
        self.every = max(1, -(-steps // ROWS))  # steps of a row
        self.rows: list[Row] = []
        self.losses: list[float] = []  # since the last row
        self.since, self.timed = time.monotonic(), 0  # steps since then
        self.events = events

    def add(self, step: int, rate: float, loss: float, finished: float) -> None:
        """Add a step, counted from 0, that was finished at a time of time.monotonic()."""
        self.losses.append(loss)
        self.timed += 1
        done = step + 1
        if done % self.every and done != self.steps:
            return
        speed = self.timed * self.batch_size / max(finished - self.since, 1e-9)
        loss = float(np.mean(self.losses))
        self._append(Row(done, done / self.per_epoch, rate, loss, speed))
        self.losses, self.since, self.timed = [], finished, 0

    def _append(self, row: Row) -> None:
        self.rows.append(row)
        if self.events:
            for name in Row._fields[1:]:
                self.events.add_scalar(name, getattr(row, name), row.step)

    def tensors(self) -> dict[str, torch.Tensor]:
        """What a checkpoint holds of the log."""
        rows = torch.tensor(self.rows, dtype=torch.float64).reshape(-1, len(Row._fields))
        return {"log.rows": rows, "log.losses": torch.tensor(self.losses, dtype=torch.float64)}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Go on from a checkpoint. One of a former version has no rows; then they begin here."""
        for step, *rest in tensors.get("log.rows", torch.empty(0)).tolist():
            self._append(Row(int(step), *rest))
        self.losses = tensors.get("log.losses", torch.empty(0)).tolist()

    def write(self, file: Path) -> None:
        """Write the rows, and close the event file."""
        log_csv.write(file, self.rows)
        if self.events:
            self.events.close()


def open_events(folder: Path, wanted: bool) -> "SummaryWriter | None":
    """A writer of an event file next to a training's results; None if none is wanted.

    What a former training left there is removed: it may be another one's. The rows of a resumed
    training are written again, so that each is there once. Raises JobError where the package
    tensorboard is not installed.
    """
    events = folder / EVENTS
    shutil.rmtree(events, ignore_errors=True)
    if not wanted:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise jobs.JobError(
            "hardware.tensorboard: found true, but the package tensorboard is not installed; "
            "`make setup` installs what envs/requirements.lock lists; else set it to false"
        ) from None
    return SummaryWriter(events, flush_secs=10)
