"""The classifier computes in float32 while the other layers compute in bf16."""

import pytest
import torch
from torch import nn

from bench import EVALUATE
from fixres.artifacts import manifest
from fixres.data import requests
from fixres.models import construct, matching
from fixres.models.catalogue import zoo
from fixres.models.float32 import compute_in_float32
from fixres.stages import evaluate, predict

CLASSES = 6


def crops(n: int, k: int) -> torch.Tensor:
    x = torch.randn(n, 3, k, k, generator=torch.Generator().manual_seed(0))
    return x.contiguous(memory_format=torch.channels_last)


def logits(model, x: torch.Tensor, bf16: bool = True) -> torch.Tensor:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        return model(x)


def with_near_ties(name: str) -> nn.Module:
    """Every class but the first has a twin, whose logit is larger by a ten-thousandth of it."""
    network = construct.build(name, CLASSES, 0).eval()
    classifier = network.get_submodule(zoo.ZOO[name].classifier)
    with torch.no_grad():
        classifier.bias.zero_()
        for i in range(0, CLASSES, 2):
            classifier.weight[i + 1] = 1.0001 * classifier.weight[i]
    return network


def tied(logits: torch.Tensor) -> int:
    """The number of images whose two largest logits are equal."""
    largest = logits.topk(2).values
    return int((largest[:, 0] == largest[:, 1]).sum())


@pytest.mark.parametrize("name", zoo.TWINS)
def test_logits_are_float32_and_the_trunk_stays_in_bf16(name):
    """Every twin; its classifier has the name and the place of that of the paper's network."""
    network, entry, x = with_near_ties(name), zoo.ZOO[name], crops(16, 40)
    layer = network.get_submodule(entry.classifier)
    before, alone = logits(network, x), logits(network, x, bf16=False)
    assert before.dtype == torch.bfloat16
    assert tied(before) > 0
    inputs: list[torch.Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    names = list(network.state_dict())
    compute_in_float32(network, entry.classifier)
    after = logits(network, x)
    handle.remove()
    assert after.dtype == torch.float32
    assert tied(after) == 0
    [pooled] = inputs
    assert pooled.dtype == torch.bfloat16
    weight, bias = layer.weight, layer.bias
    assert torch.equal(after, nn.functional.linear(pooled.float(), weight, bias))
    assert list(network.state_dict()) == names
    assert torch.equal(logits(network, x, bf16=False), alone)


@pytest.mark.parametrize("model", matching.MODELS)
def test_a_matched_network_too(model):
    network = matching.insert(with_near_ties("resnet10q"), model)
    alone = logits(network, crops(4, 32), bf16=False)
    compute_in_float32(network, "fc")
    assert logits(network, crops(4, 32)).dtype == torch.float32
    assert torch.equal(logits(network, crops(4, 32), bf16=False), alone)


def test_a_classifier_of_several_layers():
    """Dropout and a linear layer; all of it is in float32."""
    head = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, CLASSES))
    network = nn.Sequential(nn.Linear(4, 8), head).eval()
    x = torch.randn(5, 4)
    compute_in_float32(network, "1")
    assert logits(network, x).dtype == torch.float32
    with torch.no_grad():
        assert torch.equal(logits(network, x), head(logits(network[0], x).float()))


@pytest.mark.parametrize("name", ["resnet10q", "pnasnetq"])
def test_torch_compile_takes_it_in_one_graph(name):
    """Traced by torch's compiler; the graph is run as it is (no compiler of C++ is needed)."""
    network, x = with_near_ties(name), crops(4, 40)
    compute_in_float32(network, zoo.ZOO[name].classifier)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    assert torch.equal(logits(compiled, x), logits(network, x))
    assert logits(compiled, x).dtype == torch.float32


def test_evaluation_gets_float32_logits(trained, bench, monkeypatch):
    """The logits that `evaluate` gets from its network, in bf16."""
    seen = []
    of_network = predict.predict

    def watched(trunk, heads, *rest):
        [model] = heads
        return of_network(trunk, [lambda x: seen.append(model(x)) or seen[-1]], *rest)

    monkeypatch.setattr(predict, "predict", watched)
    start = ["--weights", trained.folder / "weights.safetensors", "--precision", "bf16"]
    words = bench.command(EVALUATE, *start, "--loader", "pillow", out="metrics.json")
    evaluate.main([str(word) for word in words[1:]])
    assert {x.dtype for x in seen} == {torch.float32}
    images = len(manifest.load(bench.folder / "manifest.npz").rows("val"))
    assert images <= requests.BATCH
    assert [len(x) for x in seen] == [images] * len(EVALUATE["k_test"])
    # Not float32 numbers that were rounded to bf16 before.
    assert any(not torch.equal(x, x.bfloat16().float()) for x in seen)
