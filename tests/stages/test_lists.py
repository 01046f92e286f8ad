"""Arithmetic on lists of tensors has the bits of one tensor after another."""

import copy
from collections import Counter
from itertools import repeat

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from bench import RECIPE, same
from fixres.hardware.device import Device, PendingNumber
from fixres.hardware.ranks import ALONE
from fixres.models.checkpoints import Checkpoints
from fixres.stages import lists, sgd

CPU = Device(torch.device("cpu"), "fp32")
ONE_BY_ONE = {
    "copies": lambda tensors: [t.clone() for t in tensors],
    "overwrite": lambda tensors, values: [t.copy_(v) for t, v in zip(tensors, values, strict=True)],
    "added": lambda a, b: [x + y for x, y in zip(a, b, strict=True)],
    "divided": lambda tensors, by: [t / by for t in tensors],
}


@given(seed=st.integers(0, 1000), by=st.integers(1, 9), of=st.integers(0, 4))
def test_a_list_is_its_tensors_one_by_one(seed, by, of):
    generator = torch.Generator().manual_seed(seed)

    def tensors():
        """Of several shapes and magnitudes, some with channels last, one a scalar."""
        shapes = [(3, 4, 2, 2), (5,), (), (2, 3)][:of]
        drawn = [
            torch.randn(s, generator=generator) * 10.0 ** (i - 1) for i, s in enumerate(shapes)
        ]
        return [t.to(memory_format=torch.channels_last) if t.ndim == 4 else t for t in drawn]

    a, b = tensors(), tensors()
    for name, arguments in (("copies", (a,)), ("added", (a, b)), ("divided", (a, by))):
        ours, theirs = getattr(lists, name)(*arguments), ONE_BY_ONE[name](*arguments)
        assert len(ours) == of
        for x, y in zip(ours, theirs, strict=True):
            assert torch.equal(x, y)
            assert x.stride() == y.stride()
    addresses = [t.data_ptr() for t in a]
    lists.overwrite(a, b)
    assert all(map(torch.equal, a, b))
    assert [t.data_ptr() for t in a] == addresses


def test_a_training_has_the_bits_of_one_tensor_after_another(tmp_path, monkeypatch):
    """Twelve steps of three micro-batches; a batch-norm has a counter of whole numbers, too."""
    torch.manual_seed(0)
    start = nn.Sequential(
        nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last),
        nn.BatchNorm2d(8),
        nn.Flatten(),
        nn.Linear(8 * 16, 5),
    )
    batches = [(torch.randn(4, 3, 6, 6), torch.randint(5, (4,))) for _ in range(36)]
    recipe = RECIPE | {"epochs": 4, "batch_size": 12, "micro_batch": 4}

    def trained(name):
        network = copy.deepcopy(start)

        def stream(first):
            return (((x,), y) for x, y in batches[3 * first :])

        how = sgd.Optimisation(recipe, 3, sgd.batching(recipe, ALONE, "base_training"), CPU)
        sgd.fit(network, network, stream, how, Checkpoints(tmp_path / name, "k"), 100)
        return network.state_dict()

    in_lists = trained("in lists")
    for name, function in ONE_BY_ONE.items():
        monkeypatch.setattr(lists, name, torch.no_grad()(function))
    assert same(in_lists, trained("one by one"))
    assert not same(in_lists, start.state_dict())


class Calls(TorchDispatchMode):
    """Counts the calls of torch's operators, by name."""

    def __init__(self):
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        self.counts[operator.overloadpacket.__name__] += 1
        return operator(*args, **(kwargs or {}))


def test_the_arithmetic_of_a_step_does_not_grow_with_the_layers():
    """The layers' own operators do; copies, sums and means are calls for a whole list."""
    counted = []
    for depth in (2, 9):
        layers = [(nn.Linear(4, 4), nn.BatchNorm1d(4)) for _ in range(depth)]
        network = nn.Sequential(*(layer for pair in layers for layer in pair))
        how = sgd.Optimisation(RECIPE | {"epochs": 1}, 2, sgd.Batch(3, 4, 4), CPU)
        step = sgd.Step(network, sgd.State(network, how.log()), how)
        batches = repeat(((torch.randn(3, 4),), torch.tensor([0, 1, 2])))
        step(0, 0.1, batches)  # makes the momenta
        with Calls() as calls:
            step(1, 0.1, batches)
        counted.append(calls.counts)
    few, many = counted
    ours = {"clone", "copy_", "add", "div"} | {name for name in many if "foreach" in name}
    assert {name: many[name] for name in ours} == {name: few[name] for name in ours}
    assert many["_foreach_add"] == 3 + 1  # sums of four micro-batches; weight decay
    assert many["native_batch_norm"] == 9 * 4


def test_a_flag_is_seen_one_step_later():
    """As by all other processes: none looks at the flag of the step that was just queued."""
    network = nn.Linear(4, 3)
    how = sgd.Optimisation(RECIPE | {"epochs": 1}, 2, sgd.Batch(3, 1, 1), CPU)
    step = sgd.Step(network, sgd.State(network, how.log()), how)
    flags = (0.0, 0.0, 2.0, 0.0)
    assert [step.is_last(torch.tensor(flag)) for flag in flags] == [False, False, False, True]
    assert PendingNumber(torch.tensor(0.25)).value() == 0.25
