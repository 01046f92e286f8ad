"""A training that diverges says at which step, and keeps no useless weights."""

import pytest
import torch

from bench import TRAIN
from fixres import jobs
from fixres.artifacts import weights
from fixres.hardware.device import Device
from fixres.models.checkpoints import Checkpoints
from fixres.stages import sgd

CPU = Device(torch.device("cpu"), "fp32")
NEVER = -1


class Diverging(torch.nn.Module):
    """A network whose loss is no number at one step."""

    def __init__(self, at: int):
        super().__init__()
        self.weight, self.at, self.step = torch.nn.Parameter(torch.ones(3, 2)), at, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.step += 1
        return x @ self.weight.T * (float("nan") if self.step - 1 == self.at else 1.0)


def fit(network, recipe, steps_per_epoch, steps, checkpoints, checkpoint_seconds) -> None:
    """Train on the same four images at every step."""
    batch = ((torch.ones(4, 2),), torch.zeros(4, dtype=torch.long))
    how = sgd.Optimisation(recipe, steps_per_epoch, sgd.Batch(4, 1, 1), CPU)

    def stream(first):
        return iter([batch] * steps)

    sgd.fit(network, network, stream, how, checkpoints, checkpoint_seconds)


@pytest.mark.parametrize("at", [0, 7, 19, 20, 33])
@pytest.mark.parametrize("seconds", [0.0, 3600.0])
def test_a_loss_that_is_no_number_is_told_with_step_rate_and_last_good_checkpoint(
    tmp_path, at, seconds
):
    changes = {"epochs": 2, "batch_size": 4, "schedule": "triangle", "warmup": 0.0, "lr": 0.5}
    recipe = TRAIN["recipe"] | changes
    checkpoints = Checkpoints(tmp_path / "checkpoints", "key")
    with pytest.raises(jobs.JobError) as raised:
        fit(Diverging(at), recipe, 30, 60, checkpoints, seconds)
    message = str(raised.value)
    rate = sgd.learning_rate(recipe, at, 30)
    assert f"the loss is nan at step {at} (lr {rate:.4g})" in message
    files = sorted((tmp_path / "checkpoints").glob("*"))
    if seconds or at == 0:
        assert "there was no checkpoint before" in message
        assert files == []
    else:
        assert files[-1].name == f"step-{at:09d}.safetensors"  # the state before the step
        assert f"the last good checkpoint is {files[-1]}" in message
        assert all(t.isfinite().all() for t in weights.load(files[-1])[0].values())


def test_weights_that_are_no_numbers_are_never_kept(tmp_path):
    """The loss is finite, its gradient is not. A checkpoint is due before the next loss."""
    network = Diverging(NEVER)
    network.weight.register_hook(lambda gradient: gradient * float("inf"))
    checkpoints = Checkpoints(tmp_path / "checkpoints", "key")
    recipe = TRAIN["recipe"] | {"epochs": 1, "batch_size": 4}
    with pytest.raises(jobs.JobError, match="some weights are not finite at step 0"):
        fit(network, recipe, 3, 3, checkpoints, 0.0)
    assert checkpoints.newest() is None
