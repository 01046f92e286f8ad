"""The one optimisation loop: SGD with momentum, of a whole network (train.py) or of its head (finetune.py)."""

import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.sgd import (
    sgd,  # the function: constructing the SGD class imports torch's compiler, a second a job
)

from fixres.data import sampling
from fixres.jobs import JobError, progress, stopping
from fixres.jobs.device import Device
from fixres.jobs.ranks import ALONE, Ranks
from fixres.models.checkpoints import Checkpoints

LOSS_MEMORY = 0.98  # of the running loss in the log
CHECKED = 20  # steps between two looks at the loss


def learning_rate(recipe: dict, step: int, steps_per_epoch: int) -> float:
    """The rate of one step (§5: divided by 10 every 30 epochs; the other schedules are the embedded scale's).

    Parameters
    ----------
    recipe : lr, schedule, lr_step, warmup, epochs.
    """
    total = recipe["epochs"] * steps_per_epoch
    warmup = round(recipe["warmup"] * total)
    if step < warmup:
        return recipe["lr"] * (step + 1) / warmup
    share = (step - warmup) / max(total - warmup, 1)
    if recipe["schedule"] == "step":
        return recipe["lr"] * 0.1 ** (step // steps_per_epoch // recipe["lr_step"])
    if recipe["schedule"] == "cosine":
        return recipe["lr"] * 0.5 * (1 + math.cos(math.pi * share))
    return recipe["lr"] * (1 - share)  # triangle


class Batch(NamedTuple):
    """How a global batch is computed: in micro-batches, whose batch-norm statistics are their own (§5: 64 images a device)."""

    micro: int  # images of one micro-batch
    count: int  # micro-batches of the global batch
    per_process: int  # of them, those of this process


def batching(recipe: dict, ranks: Ranks, section: str) -> Batch:
    """The micro-batches of a recipe (keys batch_size, micro_batch). Raises JobError naming the keys of `section` that clash."""
    size = recipe["batch_size"]
    micro = min(recipe["micro_batch"], size)
    found = f"{section}.batch_size {size} and {section}.micro_batch {micro}"
    if size % micro:
        raise JobError(
            f"{found}: expected whole micro-batches; take a micro_batch that divides {size}, or a multiple of {micro} as batch_size"
        )
    count = size // micro
    if count % ranks.size:
        fitting = [n for n in range(1, count + 1) if count % n == 0]
        raise JobError(
            f"{found} make {count} micro-batch(es), which {ranks.size} processes cannot share evenly; take --processes "
            f"{' or '.join(map(str, fitting))}, or (which changes the batch-norm statistics) another micro_batch"
        )
    return Batch(micro, count, count // ranks.size)


def fit(
    model: Callable[..., torch.Tensor],
    trained: nn.Module,
    stream: Callable[[int], Iterator[tuple[tuple[torch.Tensor, ...], torch.Tensor]]],
    recipe: dict,
    steps_per_epoch: int,
    checkpoints: Checkpoints,
    checkpoint_seconds: float,
    device: Device,
    batch: Batch,
    ranks: Ranks = ALONE,
    seed: int = 0,
) -> None:
    """Train `trained`, in place, from the newest checkpoint to the last step.

    A step is the mean over the micro-batches of the global batch: of their gradients, of their losses, and of the batch-norm statistics
    that each alone would have left behind from where the step began. So it does not matter whether one device takes them one after
    another, several take them side by side, or anything between. The sums run through one binary tree over the micro-batches: one and two
    processes give the same bits on a CPU. With more, all_reduce chooses the order of the last additions, and results differ by rounding.

    Parameters
    ----------
    model : what computes the logits from the inputs; its trained layers are in `trained`.
    trained : holds the parameters and buffers that change and are checkpointed; parameters with requires_grad=False stay.
    stream : given a first step, yields (inputs, targets) of this process's micro-batches from there on, `batch.per_process` a step. Targets are
        class numbers (n,), or distributions over the classes (n, classes).
    seed : of the random numbers inside the network (dropout).
    """
    parameters = [p for p in trained.parameters() if p.requires_grad]
    norms = [
        m
        for m in trained.modules()
        if isinstance(m, _BatchNorm) and m.training and m.track_running_stats
    ]
    if batch.count == 1:
        norms = []  # one forward pass writes the statistics as they are to be
    statistics = [t for m in norms for t in (m.running_mean, m.running_var)]
    counters = [m.num_batches_tracked for m in norms]
    momenta: list[torch.Tensor | None] = [None] * len(parameters)
    steps, first = recipe["epochs"] * steps_per_epoch, 0
    found = ranks.broadcast(checkpoints.latest)
    if found:
        first = found[0]
        _restore(trained, parameters, momenta, found[1])
    batches = iter(stream(first))

    def micro_batch(step: int, index: int, before: list[torch.Tensor]) -> list[torch.Tensor]:
        """Loss, gradients and, of several micro-batches, the statistics that this one alone leaves."""
        inputs, targets = next(batches)
        torch.manual_seed(
            sampling.word(seed, "dropout", step, ranks.rank * batch.per_process + index)
        )
        _overwrite(statistics + counters, before)
        with device.autocast():
            loss = F.cross_entropy(
                model(*inputs), targets, label_smoothing=recipe["label_smoothing"]
            )
        return [
            loss.detach(),
            *torch.autograd.grad(loss, parameters),
            *(t.clone() for t in statistics),
        ]

    def save(step: int) -> None:
        losses.check()
        state = _state(trained, momenta)
        if not all(t.isfinite().all() for t in state.values()):
            raise _diverged("some weights are no finite numbers", step, rate, checkpoints)
        checkpoints.save(step + 1, state)

    losses, saved, asked = Losses(checkpoints), time.monotonic(), None
    bar = progress("training", steps * recipe["batch_size"], "images", first * recipe["batch_size"])
    with stopping.deferred(), bar:
        for step in range(first, steps):
            rate = learning_rate(recipe, step, steps_per_epoch)
            before = [t.clone() for t in statistics + counters]
            mean = tree_sum(lambda i: micro_batch(step, i, before), 0, batch.per_process)  # noqa: B023 (called at once)
            if ranks.size > 1:
                mean.append(torch.full_like(mean[0], bool(stopping.asked())))
            if batch.count > 1:
                mean = [t / batch.count for t in ranks.sum(mean)]
            stop, asked = _stop(mean.pop() if ranks.size > 1 else None, asked)
            loss, gradients = mean[0], mean[1 : 1 + len(parameters)]
            _overwrite(statistics, mean[1 + len(parameters) :])
            with torch.no_grad():
                sgd(
                    parameters,
                    gradients,
                    momenta,
                    lr=rate,
                    momentum=recipe["momentum"],
                    nesterov=recipe["nesterov"],
                    weight_decay=recipe["weight_decay"],
                    dampening=0.0,
                    maximize=False,
                    foreach=True,
                )
            losses.add(step, rate, loss)
            last = step + 1 == steps
            if last or (step + 1) % CHECKED == 0:
                value = losses.check()
                bar.update(
                    0,
                    f"epoch {step // steps_per_epoch + 1}/{recipe['epochs']}, loss {value:.3f}, lr {rate:.4g}",
                )
            bar.update(recipe["batch_size"])
            if stop and not last:
                ranks.broadcast(lambda: save(step))  # noqa: B023 (called at once); nobody leaves before it stands
                raise stopping.Stopped(stopping.asked() or "a signal to another process")
            if ranks.first and (last or time.monotonic() - saved >= checkpoint_seconds):
                save(step)
                saved = time.monotonic()


class Losses:
    """The running loss; and each step's own since the last look, so that a GPU need not be waited for at every step."""

    def __init__(self, checkpoints: Checkpoints):
        self.checkpoints, self.mean = checkpoints, None
        self.unseen: list[tuple[int, float, torch.Tensor]] = []

    def add(self, step: int, rate: float, loss: torch.Tensor) -> None:
        self.mean = (
            loss if self.mean is None else LOSS_MEMORY * self.mean + (1 - LOSS_MEMORY) * loss
        )
        self.unseen.append((step, rate, loss))

    def check(self) -> float:
        """The running loss. Raises JobError with the first step whose loss is no finite number."""
        if self.unseen:
            values = torch.stack([loss for _, _, loss in self.unseen]).tolist()
            for (step, rate, _), value in zip(self.unseen, values, strict=True):
                if not math.isfinite(value):
                    raise _diverged(f"the loss is {value}", step, rate, self.checkpoints)
            self.unseen.clear()
        return self.mean.item()


def _diverged(what: str, step: int, rate: float, checkpoints: Checkpoints) -> JobError:
    good = checkpoints.newest()
    kept = f"the last good checkpoint is {good}" if good else "no checkpoint was written before"
    return JobError(
        f"{what} at step {step} (lr {rate:.4g}): the training has diverged. Lower the learning rate or lengthen the warm-up in "
        f"config.yaml; {kept}"
    )


def _stop(
    asked: torch.Tensor | None, before: torch.Tensor | None
) -> tuple[bool, torch.Tensor | None]:
    """Whether to stop after this step, and what the next step is to be told.

    Of several processes all stop after the same step: whether one was asked travels with the gradients, and is looked at a step later,
    when a GPU has long computed it.
    """
    if asked is None:
        return bool(stopping.asked()), None
    return before is not None and bool(before > 0), asked


def tree_sum(leaf: Callable[[int], list[torch.Tensor]], first: int, n: int) -> list[torch.Tensor]:
    """leaf(first) + … + leaf(first + n - 1), tensor by tensor, called in that order and added up in a balanced binary tree.

    The halves of 2n are the trees of n: two processes with a half each hold the very numbers that one process adds last. About log2(n)
    lists are in memory at once.
    """
    if n == 1:
        return leaf(first)
    left = tree_sum(leaf, first, n // 2)
    return [a + b for a, b in zip(left, tree_sum(leaf, first + n // 2, n - n // 2), strict=True)]


def _overwrite(tensors: list[torch.Tensor], values: list[torch.Tensor]) -> None:
    with torch.no_grad():
        for t, value in zip(tensors, values, strict=True):
            t.copy_(value)


def _state(trained: nn.Module, momenta: list[torch.Tensor | None]) -> dict[str, torch.Tensor]:
    state = {f"model.{name}": tensor for name, tensor in trained.state_dict().items()}
    return state | {
        f"momentum.{i}": buffer for i, buffer in enumerate(momenta) if buffer is not None
    }


def _restore(
    trained: nn.Module,
    parameters: list[nn.Parameter],
    momenta: list[torch.Tensor | None],
    state: dict[str, torch.Tensor],
) -> None:
    trained.load_state_dict(
        {name.removeprefix("model."): t for name, t in state.items() if name.startswith("model.")}
    )
    for i, p in enumerate(parameters):
        if f"momentum.{i}" in state:
            momenta[i] = torch.empty_like(p).copy_(state[f"momentum.{i}"])
