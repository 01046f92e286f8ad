"""The log of a training: what a row holds, resumption, TensorBoard's event files."""

import csv

import pytest
import torch

from bench import FINETUNE, RECIPE, TRAIN, same
from fixres.hardware.device import Device
from fixres.jobs import JobError
from fixres.models.checkpoints import Checkpoints
from fixres.stages import sgd, training_log
from fixres.stages.training_log import TrainingLog

STEPS, PER_EPOCH, BATCH = 24, 8, 12  # of the recipe of the tests


def rows_of(folder) -> list[dict[str, float]]:
    with open(folder / "log.csv", newline="") as f:
        return [{name: float(x) for name, x in line.items()} for line in csv.DictReader(f)]


def test_a_row_has_the_mean_of_its_steps(tmp_path):
    """2,500 steps in rows of three, and a last row of one. Losses are the numbers of the steps."""
    log = TrainingLog(2500, 100, 8)
    log.since = 0.0
    for step in range(2500):
        log.add(step, 0.1 / (step + 1), float(step), finished=0.5 * (step + 1))
    log.write(tmp_path / "log.csv")
    rows = rows_of(tmp_path)
    assert [row["step"] for row in rows] == [*range(3, 2500, 3), 2500]
    assert all(row["loss"] == row["step"] - 2 for row in rows[:-1])
    assert rows[-1]["loss"] == 2499
    for row in rows:
        assert row["epoch"] == row["step"] / 100
        assert row["rate"] == pytest.approx(0.1 / row["step"], rel=1e-5)
        assert row["images_per_s"] == 16


@pytest.mark.parametrize(("steps", "rows"), [(1, 1), (999, 999), (1001, 501), (450_000, 1000)])
def test_a_log_has_at_most_a_thousand_rows(steps, rows):
    log = TrainingLog(steps, steps, 8)
    for step in range(steps):
        log.add(step, 0.1, 1.0, finished=1e9)
    assert len(log.rows) == rows
    assert log.rows[-1].step == steps


def test_a_log_goes_on_from_a_checkpoint():
    """Within a row, too: its mean is that of all its steps. The time away is not counted."""
    whole, parts = TrainingLog(3000, 10, 8), TrainingLog(3000, 10, 8)
    for step in range(3000):
        if step == 1234:  # one step after a row
            after = TrainingLog(3000, 10, 8)
            after.restore(parts.tensors())
            parts, after.since = after, step * 0.5
        for log in (whole, parts):
            log.since = 0.0 if step == 0 else log.since
            log.add(step, 0.1, 1 / (step + 1), finished=0.5 * (step + 1))
    assert parts.rows == whole.rows


def test_the_log_of_a_loop_is_the_loss_of_each_step(tmp_path):
    """Against cross-entropies that are computed by themselves; the rate is so small that no weight
    moves."""
    torch.manual_seed(0)
    network = torch.nn.Linear(5, 3)
    batches = [(torch.randn(BATCH, 5), torch.randint(3, (BATCH,))) for _ in range(STEPS)]
    recipe = RECIPE | {"lr": 1e-30}
    with torch.no_grad():
        expected = [torch.nn.functional.cross_entropy(network(x), y).item() for x, y in batches]
    cpu = Device(torch.device("cpu"), "fp32")
    how = sgd.Optimisation(recipe, PER_EPOCH, sgd.Batch(BATCH, 1, 1), cpu)
    log = how.log()
    stream = lambda first: (((x,), y) for x, y in batches[first:])  # noqa: E731
    sgd.fit(network, network, stream, how, Checkpoints(tmp_path, "k"), 100, log)
    assert [row.loss for row in log.rows] == pytest.approx(expected)
    assert [row.step for row in log.rows] == list(range(1, STEPS + 1))
    rates = [sgd.learning_rate(recipe, step, PER_EPOCH) for step in range(STEPS)]
    assert [row.rate for row in log.rows] == rates
    assert log.rows[-1].epoch == recipe["epochs"]


def test_a_training_and_a_fine_tuning_leave_their_logs(trained, bench):
    """A fine-tuning whose result was lost writes its log again, from its checkpoint."""
    rows = rows_of(trained.folder)
    rates = [sgd.learning_rate(TRAIN["recipe"], step, PER_EPOCH) for step in range(STEPS)]
    assert [row["rate"] for row in rows] == pytest.approx(rates, rel=1e-5)
    assert all(row["images_per_s"] > 0 for row in rows)
    command = (FINETUNE, "--weights", trained.folder / "weights.safetensors", "--keep-checkpoint")
    bench.run(*command)
    log = bench.folder / "log.csv"
    once = log.read_bytes()
    assert len(rows_of(bench.folder)) == STEPS
    log.unlink()
    bench.run(*command)
    assert log.read_bytes() == once


def events_in(folder) -> dict[str, list[tuple[int, float]]]:
    """name -> (step, value) of every event in a folder, read by TensorBoard itself."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), {"scalars": 0})
    found.Reload()
    return {
        name: [(event.step, event.value) for event in found.Scalars(name)]
        for name in found.Tags()["scalars"]
    }


def test_event_files_hold_the_rows_of_the_log(trained, bench):
    """Each row once, after a resumption, too. The weights are those of a training without them."""
    log = TrainingLog(STEPS, PER_EPOCH, BATCH, training_log.open_events(bench.folder, True))
    log.add(0, 9.0, 9.0, finished=0.0)  # of a former run
    log.events.close()
    bench.run(TRAIN, "--tensorboard", 1)
    assert same(bench.read(), trained.read())
    written, rows = events_in(bench.folder / "tensorboard"), rows_of(bench.folder)
    assert written.keys() == {"epoch", "rate", "loss", "images_per_s"}
    for name, events in written.items():
        assert [step for step, _ in events] == [row["step"] for row in rows]
        digits = 0.051 if name == "images_per_s" else 1e-6  # as the CSV rounds
        expected = [row[name] for row in rows]
        assert [value for _, value in events] == pytest.approx(expected, rel=1e-4, abs=digits)
    again = TrainingLog(STEPS, PER_EPOCH, BATCH, training_log.open_events(bench.folder, True))
    half = torch.tensor([list(row.values()) for row in rows[:9]], dtype=torch.float64)
    again.restore({"log.rows": half})
    again.events.close()
    resumed = events_in(bench.folder / "tensorboard")
    assert [step for step, _ in resumed["loss"]] == list(range(1, 10))
    # A training without event files leaves none of another training.
    assert training_log.open_events(bench.folder, False) is None
    assert not (bench.folder / "tensorboard").exists()


def test_event_files_are_written_on_demand_alone(trained):
    assert not (trained.folder / "tensorboard").exists()


def test_a_missing_package_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(JobError) as caught:
        training_log.open_events(tmp_path, True)
    for part in ("hardware.tensorboard", "found true", "make setup", "requirements.lock"):
        assert part in str(caught.value)
