"""What is compiled and what is not, seeds, and memory.

torch.compile itself is not run: it takes half a minute.
"""

import ctypes
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from bench import FINETUNE, same
from fixres.hardware import memory
from fixres.hardware.device import Device, exact_float32
from fixres.stages import finetune

CPU = Device(torch.device("cpu"), "fp32", compiled=True)


@pytest.fixture
def graphs(monkeypatch) -> list[tuple[int, ...]]:
    """Shapes of the first inputs that compiled functions have seen, in their order."""
    seen = []

    def compile_network(network, dynamic):
        assert dynamic is False

        def run(*inputs):
            seen.append(tuple(inputs[0].shape))
            return network(*inputs)

        return run

    monkeypatch.setattr(torch, "compile", compile_network)
    return seen


def test_whole_batches_are_compiled_and_the_rest_is_not(graphs):
    """Two resolutions, each with a rest."""
    network = torch.nn.AdaptiveAvgPool2d(1)
    model = CPU.prepare(network)
    sizes = [(8, 32), (8, 48), (8, 32), (3, 32), (8, 48), (1, 48)]
    for n, k in sizes:
        x = torch.rand(n, 3, k, k)
        assert torch.equal(model(x), network(x))
    assert graphs == [(n, 3, k, k) for n, k in sizes if n == 8]


def test_a_fine_tuning_compiles_trunk_and_head_once(graphs, trained, bench):
    """96 images, 13 at a time: the probe of one image and the rest of five are not compiled."""
    recipe = FINETUNE["recipe"] | {"batch_size": 13}
    start = ["--weights", trained.folder / "weights.safetensors", "--precision", "fp32"]
    config = FINETUNE | {"recipe": recipe}
    words = list(map(str, bench.command(config, *start, "--compile")))
    finetune.main(words[1:])
    trunk = [shape for shape in graphs if shape[1] == 3]
    assert trunk == [(13, 3, 48, 48)] * 7
    assert {shape[0] for shape in graphs} == {13}
    assert len(graphs) - len(trunk) == recipe["epochs"] * 7
    compiled = bench.read()
    bench.run(config, *start)
    assert same(compiled, bench.read())


def test_a_seed_gives_the_numbers_of_manual_seed():
    drawn = []
    for seed in (torch.manual_seed, CPU.seed):
        torch.rand(3)
        seed(2**63 + 5)
        drawn.append(torch.nn.functional.dropout(torch.ones(1000)))
    assert torch.equal(*drawn)


FAULTS = """
import resource, torch
from fixres.hardware.memory import keep_freed_memory

def faults():
    start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start

before = faults()
keep_freed_memory()
faults()  # the cut-offs of aligned tensors fill glibc's small bins first
print(before, faults())
"""


@pytest.mark.skipif(platform.libc_ver() < ("glibc", "2.36"), reason="an older glibc, or another")
def test_the_next_tensor_gets_the_pages_of_the_last():
    """40 MB, ten times: more than glibc keeps by itself. In a process of its own, for good."""
    found = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, check=True)
    before, after = map(int, found.stdout.split())
    assert after < before / 5


def test_an_older_glibc_keeps_32_mb(monkeypatch):
    """It refuses more. Without a second call the threshold would stay at 128 kB."""
    taken = {}

    def mallopt(parameter, value):
        refused = parameter == memory.MMAP_THRESHOLD and value > 2**25
        if not refused:
            taken[parameter] = value
        return not refused

    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=mallopt))
    memory.keep_freed_memory()
    assert taken == {memory.TRIM_THRESHOLD: 2**30, memory.MMAP_THRESHOLD: 2**25}


def test_tf32_is_off_in_a_block_and_then_as_the_program_had_it():
    conv, products = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before, allowed = torch.get_float32_matmul_precision(), conv.fp32_precision
    try:
        torch.set_float32_matmul_precision("high")
        with exact_float32():
            assert (conv.fp32_precision, products.fp32_precision) == ("ieee", "ieee")
        assert (conv.fp32_precision, products.fp32_precision) == (allowed, "tf32")
        assert products.allow_tf32  # torch's older name for it
    finally:
        torch.set_float32_matmul_precision(before)
