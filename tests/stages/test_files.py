"""Files of the stages: refused where they do not fit, and never half written."""

import subprocess

import pytest
import torch

from bench import EVALUATE, TRAIN, same
from fixres import jobs
from fixres.artifacts import weights
from fixres.jobs import failures
from shared import fixres


@pytest.mark.parametrize("damage", ["missing", "cut", "byte", "shape", "extra"])
def test_weights_that_do_not_fit_are_refused_by_name(trained, bench, damage):
    file = bench.folder / "given.safetensors"
    tensors = trained.read()
    if damage == "shape":
        tensors["fc.weight"] = torch.zeros(3, 128)
    if damage == "extra":
        tensors["fc2.weight"] = tensors.pop("fc.weight")
    weights.save(file, tensors)
    data = bytearray(file.read_bytes())
    if damage == "byte":
        data[-9] ^= 4
    file.write_bytes(data[: len(data) // 3] if damage == "cut" else data)
    if damage == "missing":
        file.unlink()
    result = fixres(*bench.command(EVALUATE, "--weights", file, out="metrics.json"))
    assert result.returncode == 1
    assert str(file) in result.stderr
    assert "Traceback" not in result.stderr
    expected = {
        "missing": "no such weights",
        "cut": "damaged",
        "byte": "damaged",
        "shape": "expected (24, 128)",
        "extra": "missing fc.weight",
    }
    assert expected[damage] in result.stderr


def test_a_failed_write_leaves_what_was_there(tmp_path):
    file = tmp_path / "a.json"
    jobs.write_json(file, {"a": 1})

    def fail():
        with jobs.atomic(file) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert jobs.read_json(file) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_nothing_half_written_is_left(bench, trained, small_disk):
    """A network of 1.2 MB does not fit: one message, and no output. With room it is written."""
    config, out = bench.folder / "config.json", small_disk / "run" / "weights.safetensors"
    command = [*map(str, bench.command(TRAIN)), "--out", str(out), "--checkpoint-seconds", "1000"]
    result = fixres(*command)
    assert result.returncode == 1
    assert "No space left on device" in result.stderr
    assert "Traceback" not in result.stderr
    assert config.exists()
    assert [p.name for p in small_disk.rglob("*") if p.is_file()] == [failures.NAME]  # the mark
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    assert fixres(*command).returncode == 0
    assert same(weights.load(out)[0], trained.read())
