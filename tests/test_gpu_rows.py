"""Rows of the benchmark on GPUs: written when measured, whatever happens to the others."""

import json
from types import SimpleNamespace

import gpu
import pytest
import torch
from gpu_rows import Rows

FACTS = {"device": "a GPU", "batch": 256}


def refused() -> dict:
    raise torch.OutOfMemoryError("CUDA out of memory")


def broken() -> dict:
    raise ValueError("no such layer")


def never() -> dict:
    pytest.fail("it was measured already")


def test_each_row_is_written_when_it_is_measured(tmp_path, capsys):
    file = tmp_path / "made" / "rows.jsonl"
    rows = Rows(file, FACTS)
    rows.measure("training", 64, lambda: {"images/s": 1234.5})
    assert json.loads(file.read_text()) | {"seconds": 0} == {
        "facts": FACTS,
        "part": "training",
        "case": "64",
        "seconds": 0,
        "images/s": 1234.5,
    }
    rows.measure("training", 384, refused)
    rows.measure("head alone", 64, broken)
    assert len(file.read_text().splitlines()) == 3
    assert rows.failed() == ["head alone 64"]
    assert "no such layer" in capsys.readouterr().err
    lines = [line.split("|")[1:-1] for line in rows.speeds(["training", "head alone"]).splitlines()]
    cells = [[cell.strip() for cell in line] for line in lines]
    assert cells[0] == ["k", "training", "head alone"]
    assert cells[2:] == [["64", "1234", "ValueError"], ["384", "out of memory", "not measured"]]


def test_the_same_command_measures_what_is_missing(tmp_path):
    file = tmp_path / "rows.jsonl"
    rows = Rows(file, FACTS)
    rows.measure("training", 64, lambda: {"images/s": 1.0})
    rows.measure("training", 384, refused)
    rows.measure("head alone", 64, broken)
    with open(file, "a") as f:
        f.write('{"facts": {"dev')  # a run that was killed
    again = Rows(file, FACTS)
    assert [again.has(*key) for key in again.found] == [True, True, False]
    again.measure("head alone", 64, lambda: {"images/s": 2.0})
    third = Rows(file, FACTS)
    assert third.has("head alone", 64)
    assert not third.failed()
    assert not Rows(file, FACTS | {"batch": 128}).found


def test_no_row_starts_when_the_time_is_over(tmp_path):
    bench = SimpleNamespace(
        args=SimpleNamespace(minutes=-1),
        cases=lambda: [("training", 64), ("training", 128)],
        measure=lambda part, case: {"images/s": 1.0},
    )
    rows = Rows(tmp_path / "rows.jsonl", FACTS)
    rows.measure("training", 64, lambda: {"images/s": 1.0})
    assert gpu.measure(rows, bench) == ["training 128"]
    bench.args.minutes = 1
    assert gpu.measure(rows, bench) == []
    bench.measure = never
    assert gpu.measure(rows, bench) == []
