"""The one optimisation loop: SGD with momentum, of a whole network (train.py) or of its head (finetune.py)."""

import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.sgd import sgd  # the function: constructing the SGD class imports torch's compiler, a second a job

from fixres.data import roc
from fixres.device import ALONE, Device
from fixres.distributed import Ranks
from fixres.job import JobError, progress
from fixres.models.checkpoints import Checkpoints

LOSS_MEMORY = 0.98  # of the running loss in the log


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
    here: int  # of them, those of this process


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
    stream : given a first step, yields (inputs, targets) of this process's micro-batches from there on, `batch.here` a step. Targets are
        class numbers (n,), or distributions over the classes (n, classes).
    seed : of the random numbers inside the network (dropout).
    """
    parameters = [p for p in trained.parameters() if p.requires_grad]
    norms = [m for m in trained.modules() if isinstance(m, _BatchNorm) and m.training and m.track_running_stats]
    if batch.count == 1:
        norms = []  # one forward pass writes the statistics as they are to be
    statistics = [t for m in norms for t in (m.running_mean, m.running_var)]
    counters = [m.num_batches_tracked for m in norms]
    momenta: list[torch.Tensor | None] = [None] * len(parameters)
    steps, first = recipe["epochs"] * steps_per_epoch, 0
    found = ranks.tell(checkpoints.latest)
    if found:
        first = found[0]
        _restore(trained, parameters, momenta, found[1])
    batches = iter(stream(first))

    def micro_batch(step: int, index: int, before: list[torch.Tensor]) -> list[torch.Tensor]:
        """Loss, gradients and, of several micro-batches, the statistics that this one alone leaves."""
        inputs, targets = next(batches)
        torch.manual_seed(roc.word(seed, "dropout", step, ranks.rank * batch.here + index))
        _overwrite(statistics + counters, before)
        with device.autocast():
            loss = F.cross_entropy(model(*inputs), targets, label_smoothing=recipe["label_smoothing"])
        return [loss.detach(), *torch.autograd.grad(loss, parameters), *(t.clone() for t in statistics)]

    loss_sum, saved = None, time.monotonic()
    with progress("training", steps * recipe["batch_size"], "images", first * recipe["batch_size"]) as bar:
        for step in range(first, steps):
            rate = learning_rate(recipe, step, steps_per_epoch)
            before = [t.clone() for t in statistics + counters]
            mean = tree_sum(lambda i: micro_batch(step, i, before), 0, batch.here)  # noqa: B023 (called at once)
            if batch.count > 1:
                mean = [t / batch.count for t in ranks.sum(mean)]
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
            loss_sum = loss if loss_sum is None else LOSS_MEMORY * loss_sum + (1 - LOSS_MEMORY) * loss
            last = step + 1 == steps
            if last or (step + 1) % 20 == 0:
                value = _finite(loss_sum, step, rate)
                bar.update(0, f"epoch {step // steps_per_epoch + 1}/{recipe['epochs']}, loss {value:.3f}, lr {rate:.4g}")
            bar.update(recipe["batch_size"])
            if ranks.first and (last or time.monotonic() - saved >= checkpoint_seconds):
                _finite(loss_sum, step, rate)
                checkpoints.save(step + 1, _state(trained, momenta))
                saved = time.monotonic()


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


def _finite(loss: torch.Tensor, step: int, rate: float) -> float:
    value = loss.item()
    if not math.isfinite(value):
        raise JobError(
            f"the loss is {value} at step {step} (lr {rate:.4g}): the training has diverged. Lower the learning rate or lengthen the "
            "warm-up in config.yaml; the newest checkpoint is from before this step"
        )
    return value


def _state(trained: nn.Module, momenta: list[torch.Tensor | None]) -> dict[str, torch.Tensor]:
    state = {f"model.{name}": tensor for name, tensor in trained.state_dict().items()}
    return state | {f"momentum.{i}": buffer for i, buffer in enumerate(momenta) if buffer is not None}


def _restore(
    trained: nn.Module, parameters: list[nn.Parameter], momenta: list[torch.Tensor | None], state: dict[str, torch.Tensor]
) -> None:
    trained.load_state_dict({name.removeprefix("model."): t for name, t in state.items() if name.startswith("model.")})
    for i, p in enumerate(parameters):
        if f"momentum.{i}" in state:
            momenta[i] = torch.empty_like(p).copy_(state[f"momentum.{i}"])
