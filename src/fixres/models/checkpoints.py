"""Checkpoints of a running job: written atomically, resumed only by the job that wrote them.

Checkpoints are in the job's folder, but are not outputs of its rule, because Snakemake deletes the
outputs of a failed job. Every file has a digest of its content, and a key: a digest of the resolved
configuration, the data, and the weights that the job started from. The newest two are kept, so that
a job with a damaged newest checkpoint resumes from the previous one.
"""

import shutil
from pathlib import Path

import torch

from fixres.artifacts import weights
from fixres.jobs import log

KEPT = 2  # checkpoints


class Checkpoints:
    """The checkpoints of one job, in one folder."""

    def __init__(self, folder: Path, key: str):
        self.folder, self.key = folder, key

    def _files(self) -> list[Path]:
        """The files, newest first."""
        return sorted(self.folder.glob("step-*.safetensors"), reverse=True)

    def save(self, step: int, tensors: dict[str, torch.Tensor]) -> None:
        """Write the state after `step` steps, and remove checkpoints that are too old."""
        file = self.folder / f"step-{step:09d}.safetensors"
        weights.save(file, tensors, {"key": self.key, "step": step})
        self.keep(KEPT)

    def keep(self, newest: int) -> None:
        """Remove all checkpoints but the newest ones."""
        for old in self._files()[newest:]:
            old.unlink(missing_ok=True)

    def newest(self) -> Path | None:
        """The file of the newest checkpoint, or None."""
        return next(iter(self._files()), None)

    def latest(self) -> tuple[int, dict[str, torch.Tensor]] | None:
        """Read the newest checkpoint that is whole and belongs to this job. Remove all others.

        Returns
        -------
        (step, state), or None if the job starts from the beginning.
        """
        for file in self._files():
            try:
                tensors, meta = weights.load(file)
            except FileNotFoundError:
                # Another process is working on the same run. Its result has the same bits as ours.
                continue
            except weights.DamagedError as error:
                problem = str(error)
            else:
                if meta["key"] == self.key:
                    log(f"resuming after step {meta['step']} from {file}")
                    return meta["step"], tensors
                problem = f"{file}: belongs to another configuration, dataset or starting point"
            log(f"checkpoint ignored: {problem}")
            file.unlink(missing_ok=True)
        return None

    def clear(self) -> None:
        """Remove all checkpoints, since the job has written its result."""
        shutil.rmtree(self.folder, ignore_errors=True)


class NoCheckpoints(Checkpoints):
    """For a training that starts at its first step and keeps nothing on disk."""

    def __init__(self):
        super().__init__(Path(), "")

    def _files(self) -> list[Path]:
        return []

    def save(self, step: int, tensors: dict[str, torch.Tensor]) -> None:
        pass
