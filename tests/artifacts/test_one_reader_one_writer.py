"""What one job writes, another reads: metrics with values of each image, log.csv, predictions."""

import numpy as np
import pytest

from fixres.artifacts import log_csv, metrics, per_image, predictions
from fixres.artifacts.log_csv import Row
from fixres.artifacts.predictions import Cropping, Predictions
from fixres.jobs import JobError

PATHS = np.array([b"a.png", b"b.png"])


@pytest.mark.parametrize("name", ["hits", "samples"])
def test_metrics_name_the_values_of_each_image(tmp_path, name):
    found = per_image.PerImage(PATHS, {"top1 32": np.array([True, False])})
    (tmp_path / "x").mkdir()
    file = tmp_path / "x/metrics.json"
    metrics.write(file, {"run": "x"}, **{name: found})
    read = metrics.read(file)
    assert read == {"run": "x", name: found.digest}
    again = metrics.read_each_image(file.with_name(f"{name}.npz"), read)
    assert np.array_equal(again.values["top1 32"], [True, False])
    metrics.write(file, {"run": "x"})  # a time has no such file
    with pytest.raises(ValueError, match="does not belong"):
        metrics.read_each_image(file.with_name(f"{name}.npz"), metrics.read(file))
    metrics.write(file, {"run": "y"})
    with pytest.raises(ValueError, match="it belongs to the job y"):
        metrics.read(file)


def test_a_log_is_read_as_it_was_written(tmp_path):
    rows = [Row(1, 0.5, 0.1, 2.25, 100.0), Row(2, 1.0, 1e-7, 1.125, 90.0)]
    log_csv.write(tmp_path / "log.csv", rows)
    read = log_csv.read(tmp_path / "log.csv")
    assert [Row(*line) for line in read.itertuples(index=False)] == rows
    (tmp_path / "log.csv").write_text("step,loss\n1,2\n")
    with pytest.raises(JobError, match=r"log\.csv: not a training log"):
        log_csv.read(tmp_path / "log.csv")


@pytest.mark.parametrize(
    ("cropping", "name", "said"),
    [
        (Cropping(32), "k32", "32"),
        (Cropping(32, 10), "k32_10crops", "32 (10 crops)"),
        (Cropping(32, crop_pct=0.875), "k32@0.875", "32 (crop_pct 0.875)"),
    ],
)
def test_predictions_have_a_file_for_each_way_of_cutting(tmp_path, tiny, cropping, name, said):
    files = Predictions(tmp_path / "weights", "paper", tmp_path, {cropping: "key"})
    assert files.file(cropping).name == f"{name}.npz"
    assert str(cropping) == said
    assert files.load() == {}
    assert files.parameters() is None
    top = np.zeros((len(tiny.rows("val")), 5), np.int32)
    files.save(tiny, {cropping: top}, 7)
    assert np.array_equal(files.load()[cropping], top)
    assert files.parameters() == 7
    assert predictions.read(files.file(cropping), "another key") is None
