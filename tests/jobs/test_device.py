"""What is compiled, and what is not. torch.compile itself is not run: it takes half a minute."""

import pytest
import torch

from bench import FINETUNE, same
from fixres.jobs.device import Device
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
