"""A training step is cut into micro-batches, which any number of processes can share."""

import copy
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import RECIPE, same
from fixres.data import sampling
from fixres.hardware.device import Device
from fixres.hardware.ranks import ALONE, Ranks
from fixres.jobs import JobError
from fixres.models.checkpoints import Checkpoints
from fixres.stages import sgd

CPU = Device(torch.device("cpu"), "fp32")


@pytest.mark.parametrize(
    ("recipe", "processes", "parts"),
    [
        ({"batch_size": 12, "micro_batch": 5}, 1, ("base_training.micro_batch 5", "divides 12")),
        ({"batch_size": 12, "micro_batch": 3}, 3, ("4 micro-batch(es)", "--processes 1 or 2 or 4")),
        (
            {"batch_size": 12, "micro_batch": 64},
            2,
            ("1 micro-batch(es)", "base_training.batch_size 12"),
        ),
    ],
)
def test_micro_batches_that_cannot_be_shared_are_told(recipe, processes, parts):
    with pytest.raises(JobError) as error:
        sgd.batching(recipe, Ranks(0, processes), "base_training")
    assert all(part in str(error.value) for part in parts)


@settings(deadline=None)
@given(
    seed=st.integers(0, 5),
    micro=st.sampled_from([2, 4, 8, 16]),
    repeats=st.integers(1, 3),
    spread=st.booleans(),
    first=st.integers(0, 5),
)
def test_ranks_see_the_same_micro_batches_whatever_their_number(
    seed, micro, repeats, spread, first
):
    """Two epochs of 40 images, batches of 16: the micro-batches of one process, dealt out."""
    epochs = sampling.Epochs(seed, 40, 40 * repeats, 16, repeats, spread)

    def micro_batches(rank, world):
        drawn = sampling.stream(epochs, first, 2 * epochs.steps, micro, rank, world)
        return [(epoch, tuple(image), tuple(repeat)) for epoch, image, repeat in drawn]

    def steps(rank, world, per_process):
        """This rank's micro-batches, in groups of a step."""
        return zip(*[iter(micro_batches(rank, world))] * per_process, strict=True)

    alone = micro_batches(0, 1)
    assert all(len(image) == micro for _, image, _ in alone)
    for world in (2, 4, 8):
        per_process = 16 // micro // world
        if per_process:
            ranks = [steps(rank, world, per_process) for rank in range(world)]
            dealt = [m for step in zip(*ranks, strict=True) for share in step for m in share]
            assert dealt == alone
    second = [(image, repeat) for epoch, image, repeat in alone if epoch == 1]
    pairs = [pair for batch in second for pair in zip(*batch, strict=True)]
    assert len(set(pairs)) == len(pairs)


@settings(deadline=None)
@given(
    seed=st.integers(0, 5),
    count=st.integers(1, 8),
    micro=st.integers(1, 6),
    repeats=st.integers(1, 4),
    steps=st.integers(1, 5),
    first=st.integers(0, 7),
)
def test_copies_are_spread_over_the_micro_batches(seed, count, micro, repeats, steps, first):
    """The crops of a step are those of the stream, each once, wherever the training resumes.

    The copies of an image go to as many micro-batches as there are: to all, or one to each.
    """
    size = count * micro
    # More images than draws: each is drawn once an epoch. A rest of the epoch fills no batch.
    samples = steps * size + size // 2
    epochs = sampling.Epochs(seed, samples, samples, size, repeats, spread=True)
    first = min(first, 2 * steps)
    dealt = [
        (epoch, list(zip(image.tolist(), repeat.tolist(), strict=True)))
        for epoch, image, repeat in sampling.stream(epochs, first, 2 * steps, micro)
    ]
    assert len(dealt) == (2 * steps - first) * count
    for step in range(first, 2 * steps):
        parts = dealt[(step - first) * count :][:count]
        assert {epoch for epoch, _ in parts} == {step // steps}
        batches = [crops for _, crops in parts]
        assert [len(crops) for crops in batches] == [micro] * count
        image, repeat = sampling.order(seed, step // steps, samples, samples, repeats)
        share = sampling.rank_slice(step % steps, size)
        of_step = list(zip(image[share].tolist(), repeat[share].tolist(), strict=True))
        assert sorted(crop for crops in batches for crop in crops) == sorted(of_step)
        for drawn in {i for i, _ in of_step}:
            copies = [sum(i == drawn for i, _ in crops) for crops in batches]
            assert max(copies) - min(copies) <= 1


@settings(deadline=None)
@given(
    seed=st.integers(0, 5),
    micro=st.sampled_from([4, 8, 16]),
    repeats=st.integers(1, 3),
    spread=st.booleans(),
)
def test_together_and_a_single_micro_batch_are_pieces_of_the_stream(seed, micro, repeats, spread):
    """One after another, the micro-batches are the stream in its order."""
    spread = spread and micro == 16
    epochs = sampling.Epochs(seed, 40, 100, 16, repeats, spread)
    dealt = list(sampling.stream(epochs, 0, epochs.steps, micro))
    image, repeat = sampling.order(seed, 0, 40, 100, repeats)
    starts = range(0, 96 + 1, micro)
    for (_, images, copies), (start, end) in zip(dealt, pairwise(starts), strict=True):
        assert images.tolist() == image[start:end].tolist()
        assert copies.tolist() == repeat[start:end].tolist()


@settings(deadline=None)
@given(n=st.integers(1, 33), values=st.randoms(use_true_random=False))
def test_the_tree_of_the_halves_is_the_tree(n, values):
    """Bit for bit in float32, where the order of additions shows; leaves are called in order."""
    leaves = [
        torch.tensor([values.uniform(-1, 1) * 10 ** values.randint(-6, 6)]) for _ in range(2 * n)
    ]
    called = []

    def leaf(i):
        called.append(i)
        return [leaves[i]]

    [whole] = sgd.tree_sum(leaf, 0, 2 * n)
    assert called == list(range(2 * n))
    assert torch.equal(whole, sgd.tree_sum(leaf, 0, n)[0] + sgd.tree_sum(leaf, n, n)[0])
    exact = torch.stack(leaves).double().sum(0)
    torch.testing.assert_close(whole.double(), exact, rtol=1e-4, atol=1e-1)


def test_a_step_is_the_mean_over_micro_batches(tmp_path):
    """Against copies of the network, one for each micro-batch, as eight devices would hold them.

    Gradients and running statistics of the copies are averaged.
    """
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.Flatten(),
        torch.nn.LazyLinear(5),
    )
    network(torch.zeros(2, 3, 6, 6))
    reference = copy.deepcopy(network)
    recipe = RECIPE | {"epochs": 1, "batch_size": 12, "micro_batch": 2, "warmup": 0.0}
    batches = [(torch.randn(2, 3, 6, 6), torch.randint(5, (2,))) for _ in range(6 * 3)]
    train_copies(reference, batches, recipe)

    def stream(first):
        return (((x,), y) for x, y in batches[6 * first :])

    how = sgd.Optimisation(recipe, 3, sgd.batching(recipe, ALONE, "base_training"), CPU)
    sgd.fit(network, network, stream, how, Checkpoints(tmp_path, "k"), 100)
    for (name, ours), theirs in zip(
        network.state_dict().items(), reference.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, msg=lambda m, name=name: f"{name}: {m}")
    assert network[1].num_batches_tracked == 4  # one from the first pass above, one a step


def train_copies(reference: torch.nn.Module, batches: list, recipe: dict) -> None:
    """Train `reference` for three steps of six micro-batches, each with a copy of the network."""
    optimiser = torch.optim.SGD(
        reference.parameters(), lr=1, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    for step in range(3):
        copies = [copy.deepcopy(reference) for _ in range(6)]
        for one, (x, y) in zip(copies, batches[6 * step : 6 * step + 6], strict=True):
            torch.nn.functional.cross_entropy(one(x), y).backward()
        optimiser.param_groups[0]["lr"] = sgd.learning_rate(recipe, step, 3)
        parameters = (c.parameters() for c in copies)
        for p, *theirs in zip(reference.parameters(), *parameters, strict=True):
            p.grad = torch.stack([q.grad for q in theirs]).mean(0)
        buffers = (c.buffers() for c in copies)
        for b, *theirs in zip(reference.buffers(), *buffers, strict=True):
            b.copy_(torch.stack(theirs).double().mean(0))
        optimiser.step()


def test_dropout_depends_on_its_coordinates_alone(tmp_path):
    """Interrupted after four steps, or undisturbed: the same bits."""
    recipe = RECIPE | {"epochs": 2, "batch_size": 8, "micro_batch": 4}
    data = [(torch.randn(4, 6), torch.randint(3, (4,))) for _ in range(2 * 8)]
    batch = sgd.batching(recipe, ALONE, "base_training")

    def trained(folder, seed, stop=None):
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(6, 3))

        def stream(first):
            for i, (x, y) in enumerate(data[2 * first :], 2 * first):
                if i == stop:
                    raise InterruptedError
                yield (x,), y

        how = sgd.Optimisation(recipe, 4, batch, CPU, seed=seed)
        sgd.fit(network, network, stream, how, Checkpoints(tmp_path / folder, "k"), 0)
        return network.state_dict()

    undisturbed = trained("a", 1)
    with pytest.raises(InterruptedError):
        trained("b", 1, stop=9)
    assert same(trained("b", 1), undisturbed)
    assert not same(trained("c", 2), undisturbed)
