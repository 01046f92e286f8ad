"""The training loop and its checkpoints, called as functions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import RECIPE
from fixres.hardware.device import Device
from fixres.hardware.ranks import ALONE
from fixres.models.checkpoints import Checkpoints
from fixres.stages import sgd


def test_the_loop_is_torchs_sgd(tmp_path):
    """`fit` against torch.optim.SGD, with momentum, Nesterov and weight decay."""
    torch.manual_seed(0)
    ours = torch.nn.Linear(5, 3)
    theirs = torch.nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    batches = [(torch.randn(4, 5), torch.randint(3, (4,))) for _ in range(12)]
    recipe = RECIPE | {"epochs": 4, "batch_size": 4, "weight_decay": 0.1, "schedule": "cosine"}
    optimiser = torch.optim.SGD(
        theirs.parameters(), lr=1, momentum=0.9, nesterov=True, weight_decay=0.1
    )
    for step, (x, y) in enumerate(batches):
        optimiser.param_groups[0]["lr"] = sgd.learning_rate(recipe, step, 3)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(theirs(x), y).backward()
        optimiser.step()

    def stream(first):
        return (((x,), y) for x, y in batches[first:])

    cpu = Device(torch.device("cpu"), "fp32")
    how = sgd.Optimisation(recipe, 3, sgd.batching(recipe, ALONE, "base_training"), cpu)
    sgd.fit(ours, ours, stream, how, Checkpoints(tmp_path, "k"), 100)
    torch.testing.assert_close(ours.weight, theirs.weight)


@given(
    schedule=st.sampled_from(["step", "cosine", "triangle"]),
    warmup=st.sampled_from([0.0, 0.1, 0.5]),
    epochs=st.integers(1, 130),
)
@settings(max_examples=60, deadline=None)
def test_learning_rates(schedule, warmup, epochs):
    recipe = {"lr": 0.2, "schedule": schedule, "lr_step": 30, "warmup": warmup, "epochs": epochs}
    rates = [sgd.learning_rate(recipe, step, 7) for step in range(7 * epochs)]
    assert all(0 < rate <= 0.2 + 1e-12 for rate in rates)
    start = round(warmup * (7 * epochs))
    assert rates[:start] == sorted(rates[:start])
    assert rates[start:] == sorted(rates[start:], reverse=True)
    if schedule == "step" and not warmup:
        reference = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
        scheduler = torch.optim.lr_scheduler.StepLR(reference, 30)
        for epoch in range(epochs):
            assert rates[7 * epoch] == pytest.approx(scheduler.get_last_lr()[0])
            reference.step()
            scheduler.step()


def test_soft_targets_are_smoothed_as_class_numbers_are():
    logits, labels = torch.randn(5, 4), torch.tensor([0, 3, 1, 1, 2])
    soft = torch.nn.functional.one_hot(labels, 4).float()
    losses = [
        torch.nn.functional.cross_entropy(logits, t, label_smoothing=0.1) for t in (labels, soft)
    ]
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize("damage", ["cut", "byte", "empty"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, damage, capsys):
    checkpoints = Checkpoints(tmp_path, "key")
    for step in (1, 2, 3):
        checkpoints.save(step, {"model.x": torch.full((50,), float(step))})
    newest = sorted(tmp_path.iterdir())[-1]
    assert len(list(tmp_path.iterdir())) == 2
    data = bytearray(newest.read_bytes())
    if damage == "byte":
        data[-20] ^= 1
    newest.write_bytes(data[: {"cut": len(data) // 2, "byte": len(data), "empty": 0}[damage]])
    step, state = checkpoints.latest()
    assert step == 2
    assert state["model.x"][0] == 2
    assert newest.name in capsys.readouterr().err
    for file in tmp_path.iterdir():
        file.write_bytes(b"")
    assert checkpoints.latest() is None
