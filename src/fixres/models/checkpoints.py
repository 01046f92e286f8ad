"""Checkpoints of a running job: beside its results, written atomically, resumed only by the same configuration.

They are not outputs of a rule (Snakemake deletes those of a failed job). Every file carries the key of what it belongs to (the resolved
configuration, the data, the weights that it started from) and a digest of its content. The newest two are kept: a damaged one falls back
to the one before.
"""

import shutil
from pathlib import Path

import torch

from fixres.jobs import log
from fixres.models import weights

KEPT = 2


class Checkpoints:
    """Checkpoints of one job in one folder."""

    def __init__(self, folder: Path, key: str):
        self.folder, self.key = folder, key

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.safetensors"), reverse=True)

    def save(self, step: int, tensors: dict[str, torch.Tensor]) -> None:
        """Keep the state after `step` steps."""
        weights.save(
            self.folder / f"step-{step:09d}.safetensors", tensors, {"key": self.key, "step": step}
        )
        self.keep(KEPT)

    def keep(self, newest: int) -> None:
        """Remove all but the newest."""
        for old in self._files()[newest:]:
            old.unlink(missing_ok=True)

    def newest(self) -> Path | None:
        """The file of the newest checkpoint, if there is one."""
        return next(iter(self._files()), None)

    def latest(self) -> tuple[int, dict[str, torch.Tensor]] | None:
        """(step, state) of the newest checkpoint of this job that is whole; None: start from the beginning."""
        for file in self._files():
            try:
                tensors, meta = weights.load(file)
            except FileNotFoundError:
                continue  # another process is at work on the same run; whose result comes later has the same bits
            except weights.DamagedError as error:
                log(f"checkpoint ignored: {error}")
                file.unlink(missing_ok=True)
                continue
            if meta["key"] != self.key:
                log(
                    f"checkpoint ignored: {file} belongs to another configuration, dataset or starting point"
                )
                file.unlink(missing_ok=True)
                continue
            log(f"resuming after step {meta['step']} from {file}")
            return meta["step"], tensors
        return None

    def clear(self) -> None:
        """The job is done: its result stands where it should."""
        shutil.rmtree(self.folder, ignore_errors=True)
