"""A replayed step of training gives the numbers of a step whose kernels start one by one."""

import pytest
import torch
from torch import nn

import bench
from fixres.hardware.device import Device
from fixres.jobs import JobError
from fixres.models.checkpoints import Checkpoints
from fixres.stages import lists, sgd
from fixres.stages.cuda_graphs import Replayed

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="records on a GPU")
CUDA = torch.device("cuda", 0)
CONSTANT = {"lr": 0.1, "schedule": "step", "warmup": 0.0, "nesterov": False}
RECIPE = bench.RECIPE | CONSTANT | {"epochs": 1, "batch_size": 16, "label_smoothing": 0.1}


def network() -> nn.Module:
    """With a batch-norm, whose statistics change, and dropout, which draws numbers."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)).to(CUDA)


def trained(graphs: bool, count: int, tmp_path) -> dict[str, torch.Tensor]:
    """The state after six steps. Two of them have soft targets, as CutMix makes them."""
    model, batch = network().train(), sgd.Batch(16 // count, count, count)
    how = sgd.Optimisation(RECIPE, 6, batch, Device(CUDA, "fp32", graphs=graphs))
    drawn = torch.Generator().manual_seed(1)

    def stream(_):
        for i in range(6 * count):
            x = torch.randn(batch.micro, 3, 12, 12, generator=drawn).to(CUDA)
            y = torch.randint(5, (batch.micro,), generator=drawn).to(CUDA)
            yield (x,), nn.functional.one_hot(y, 5).float() if i // count in (2, 4) else y

    sgd.fit(model, model, stream, how, Checkpoints(tmp_path / str(graphs), "test"), 1e9)
    return model.state_dict()


@pytest.mark.parametrize("count", [1, 4])
def test_a_replayed_training_is_the_same_training(count, tmp_path):
    replayed, plain = trained(True, count, tmp_path), trained(False, count, tmp_path)
    for name, tensor in plain.items():
        torch.testing.assert_close(replayed[name], tensor, rtol=1e-5, atol=1e-6)
    assert replayed["1.num_batches_tracked"] == 6


def test_a_recording_changes_no_state():
    total = torch.zeros(3, device=CUDA)

    def add(x):
        total.add_(x)
        return [2 * total]

    add_replayed, one = Replayed(add, [total]), torch.ones(3, device=CUDA)
    first, second = add_replayed(one), add_replayed(3 * one)
    assert first[0].tolist() == [2.0] * 3
    assert second[0].tolist() == [8.0] * 3
    assert lists.copies([total])[0].tolist() == [4.0] * 3


def test_what_waits_for_the_device_cannot_be_recorded():
    def waits(x):
        return [x * x.sum().item()]

    with pytest.raises(JobError, match=r"hardware\.cuda_graphs"):
        Replayed(waits, [])(torch.ones(3, device=CUDA))
