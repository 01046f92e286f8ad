"""Peak memory of a step: against known allocations, and against what a backward pass must keep."""

import json

import pytest
import torch

from bench import RECIPE
from fixres.hardware.memory import peak_bytes
from fixres.models import construct
from fixres.stages import memory
from shared import fixres

MEGA = 10**6
LAYERS = ["batch-norm", "classifier"]


def test_the_peak_is_that_of_the_blocks_that_are_held_at_once():
    """1 and 2 MB, the first given back, then 3 MB: never more than 5 MB."""

    def take():
        first = torch.empty(MEGA, dtype=torch.uint8)
        second = torch.empty(2 * MEGA, dtype=torch.uint8)
        del first
        third = torch.empty(3 * MEGA, dtype=torch.uint8)
        del second, third
        torch.empty(4 * MEGA, dtype=torch.uint8)

    assert peak_bytes(take, torch.device("cpu")) == 5 * MEGA
    assert peak_bytes(lambda: None, torch.device("cpu")) == 0


def config(k: int, layers: list[str], batch: int = 8) -> dict:
    recipe = {"momentum": 0.9, "batch_norm": "affine+statistics"}
    about = {"stage": "memory", "version": 1, "run": "memory/tiny/net", "network": "resnet10q"}
    return about | {"recipe": recipe, "k": k, "layers": layers, "batch": batch}


def measured(bench, **content: object) -> float:
    """Megabytes, by the stage itself."""
    file = bench.folder / "config.json"
    file.write_text(json.dumps(config(**content)))
    out = bench.folder / "metrics.json"
    inputs = ["--config", file, "--manifest", bench.folder / "manifest.npz", "--out", out]
    memory.main([str(x) for x in [*inputs, "--threads", 1, "--device", "cpu"]])
    found = json.loads(out.read_text())
    assert "counted by torch's profiler on 1 processor thread(s)" in found["notes"][0]
    return found["megabytes"]


def kept_for_backward(k: int, batch: int) -> int:
    """Bytes of all distinct tensors that autograd saves in a forward pass, and of the network."""
    network, kept = construct.build("resnet10q", 24, 0).train(), {}

    def save(t: torch.Tensor) -> torch.Tensor:
        kept[t.untyped_storage().data_ptr()] = t
        return t

    x = torch.rand(batch, 3, k, k).contiguous(memory_format=torch.channels_last)
    with torch.autograd.graph.saved_tensors_hooks(save, lambda t: t):
        network(x).sum()  # in fp32
    own = sum(p.nbytes for p in network.parameters())
    return own + sum(t.untyped_storage().nbytes() for t in kept.values())


def test_a_step_takes_at_least_what_its_backward_pass_needs_and_not_much_more(bench, monkeypatch):
    monkeypatch.setattr("fixres.hardware.device.has_fast_bf16", lambda _: False)
    least = kept_for_backward(48, 8) / 1e6
    assert least < measured(bench, k=48, layers=[]) < 2 * least


def test_memory_grows_with_resolution_and_batch_and_fine_tuning_needs_less(bench):
    training = [measured(bench, k=k, layers=[]) for k in (24, 48)]
    tuning = [measured(bench, k=k, layers=LAYERS) for k in (24, 48)]
    assert training[0] < training[1] < measured(bench, k=48, layers=[], batch=16)
    assert tuning[0] < tuning[1]
    assert all(t < whole for t, whole in zip(tuning, training, strict=True))
    assert measured(bench, k=48, layers=[]) == training[1]  # it is a count: the same each time


def test_an_evaluation_is_timed_without_a_backward_pass(bench):
    """In eval mode: batch-norm statistics stay. Its metrics have no hours."""
    about = {"stage": "time", "version": 1, "run": "timing/tiny/net-k32-eval", "k": 32, "batch": 8}
    about |= {"network": "resnet10q", "passes": ["forward"], "augmentation": {"name": "test DA"}}
    result = fixres(*bench.command(about, out="metrics.json"))
    assert result.returncode == 0, result.stderr
    found = json.loads((bench.folder / "metrics.json").read_text())
    assert found["forward_ms"] > 0
    assert not {"backward_ms", "hours"} & found.keys()
    whole = about | {"layers": [], "recipe": RECIPE | {"samples_per_epoch": 960}}
    whole.pop("passes")
    bench.run(whole, out="metrics.json")
    found = json.loads((bench.folder / "metrics.json").read_text())
    per_batch = found["forward_ms"] + found["backward_ms"]
    assert found["hours"] == pytest.approx(3 * 960 / 8 * per_batch / 3.6e6)
