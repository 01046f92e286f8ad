"""Arithmetic on lists of tensors has the bits of one tensor after another."""

import copy

import torch
from hypothesis import given
from hypothesis import strategies as st

from bench import RECIPE, same
from fixres.jobs.device import Device, Later
from fixres.jobs.ranks import ALONE
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
    start = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last),
        torch.nn.BatchNorm2d(8),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 16, 5),
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


def test_a_flag_is_seen_one_step_later():
    """As by all other processes: none looks at the flag of the step that was just queued."""
    signal = sgd.StopSignal()
    flags = (0.0, 0.0, 2.0, 0.0)
    assert [signal.seen(torch.tensor(flag)) for flag in flags] == [False, False, False, True]
    assert Later(torch.tensor(0.25)).value() == 0.25
