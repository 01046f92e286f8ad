"""Stochastic gradient descent: the one training loop of the suite.

Base training (train.py) trains a whole network with it, fine-tuning (finetune.py) its head:

    batch = sgd.batching(recipe, ranks, "base_training")
    how = sgd.Optimisation(recipe, steps_per_epoch, batch, device, ranks, seed)
    sgd.fit(model, network, stream, how, checkpoints, checkpoint_seconds)

`fit` is the loop. `Step` takes one step. `State` is what a checkpoint holds, and watches for a
training that diverges.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.modules.batchnorm import _BatchNorm

# The function, not the class: to construct torch.optim.SGD imports torch's compiler (1 s a job).
from torch.optim.sgd import sgd

from fixres.data import sampling
from fixres.hardware.device import Device, PendingNumber
from fixres.hardware.ranks import ALONE, Ranks
from fixres.jobs import JobError, progress, stopping
from fixres.models.checkpoints import Checkpoints
from fixres.stages import lists
from fixres.stages.cuda_graphs import Replayed
from fixres.stages.training_log import TrainingLog, open_events

LOSS_MEMORY = 0.98  # weight of the past in the running loss of the log
CHECKED = 20  # steps between two looks at the loss

Batches = Iterator[tuple[tuple[torch.Tensor, ...], torch.Tensor]]  # (inputs, targets)


class DivergedError(JobError):
    """A training that has diverged. `what` says at which step, and how it was seen."""

    def __init__(self, what: str, way_out: str):
        super().__init__(f"{what}: the training has diverged. {way_out}")
        self.what = what


# --- how to optimise ---------------------------------------------------------------------------


class Batch(NamedTuple):
    """How a global batch is cut into micro-batches.

    Each micro-batch has its own batch-norm statistics (§5: 64 images a device).
    """

    micro: int  # images of one micro-batch
    count: int  # micro-batches of the global batch
    per_process: int  # micro-batches that this process computes


@dataclass(frozen=True)
class Optimisation:
    """How a network is optimised, and where."""

    recipe: dict  # epochs, batch_size, label_smoothing; keys of `learning_rate`; settings of SGD
    steps_per_epoch: int
    batch: Batch
    device: Device
    ranks: Ranks = ALONE
    seed: int = 0  # of the random numbers inside the network (dropout)

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.recipe["epochs"] * self.steps_per_epoch

    def log(self, folder: Path | None = None, tensorboard: bool = False) -> TrainingLog:
        """An empty log of this training.

        Parameters
        ----------
        folder : of its results; None: it has none.
        tensorboard : whether the first process also writes event files there.
        """
        events = open_events(folder, tensorboard) if folder and self.ranks.first else None
        return TrainingLog(self.steps, self.steps_per_epoch, self.recipe["batch_size"], events)


def batching(recipe: dict, ranks: Ranks, section: str) -> Batch:
    """Cut the batches of a recipe into micro-batches, the same number for every process.

    Raises JobError that names the keys of `section`, the recipe's place in the configuration,
    that do not fit together.
    """
    size, micro = recipe["batch_size"], min(recipe["micro_batch"], recipe["batch_size"])
    found = f"{section}.batch_size {size} and {section}.micro_batch {micro}"
    if size % micro:
        raise JobError(
            f"{found}: expected whole micro-batches; take a micro_batch that divides {size}, "
            f"or a multiple of {micro} as batch_size"
        )
    count = size // micro
    if count % ranks.size:
        fitting = [n for n in range(1, count + 1) if count % n == 0]
        raise JobError(
            f"{found} make {count} micro-batch(es), which {ranks.size} processes cannot share "
            f"evenly; take --processes {' or '.join(map(str, fitting))}, or (which changes the "
            "batch-norm statistics) another micro_batch"
        )
    return Batch(micro, count, count // ranks.size)


def learning_rate(recipe: dict, step: int, steps_per_epoch: int) -> float:
    """Learning rate of one step.

    The paper divides the rate by 10 every 30 epochs (§5): schedule "step" with lr_step 30. The
    embedded scale has the other schedules.

    The recipe gives lr_step in epochs and warmup as a share of all steps. `step` counts from 0 over
    the whole training.
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


# --- the loop ----------------------------------------------------------------------------------


def fit(
    model: Callable[..., torch.Tensor],
    trained: nn.Module,
    stream: Callable[[int], Batches],
    how: Optimisation,
    checkpoints: Checkpoints,
    checkpoint_seconds: float,
    log: TrainingLog | None = None,
) -> None:
    """Train `trained`, in place, from the newest checkpoint to the last step.

    Parameters
    ----------
    model : computes the logits from the inputs. Its trained layers are in `trained`.
    trained : the parameters and buffers that change, and that a checkpoint holds. A parameter with
        requires_grad=False stays as it is.
    stream : called with the first step, yields (inputs, targets) of the micro-batches of this
        process from that step on, `how.batch.per_process` a step. Targets are class numbers (n,),
        or distributions over the classes (n, classes).
    checkpoint_seconds : time from one checkpoint to the next. The last step always leaves one.
    log : gets the rows of the training.

    Raises
    ------
    JobError : the training has diverged.
    Stopped : a signal asked for the end. A checkpoint of the last finished step was written.
    """
    recipe, ranks, size = how.recipe, how.ranks, how.recipe["batch_size"]
    state = State(trained, log or how.log(), checkpoints)
    first = state.restore(ranks.broadcast(checkpoints.latest))
    batches = iter(stream(first))
    take_step, saved = Step(model, state, how), time.monotonic()

    bar = progress("training", how.steps * size, "images", first * size)
    with stopping.deferred(), bar:
        for step in range(first, how.steps):
            rate = learning_rate(recipe, step, how.steps_per_epoch)
            loss, asked = take_step(step, rate, batches)
            state.add(step, rate, loss)

            last = step + 1 == how.steps
            if last or (step + 1) % CHECKED == 0:
                epoch = f"epoch {step // how.steps_per_epoch + 1}/{recipe['epochs']}"
                bar.update(0, f"{epoch}, loss {state.check():.3f}, lr {rate:.4g}")
            bar.update(size)

            if take_step.is_last(asked) and not last:
                # A broadcast: no process leaves before the first one has written the checkpoint.
                ranks.broadcast(partial(state.save, step, rate))
                raise stopping.Stopped(stopping.asked() or "a signal to another process")
            if ranks.first and (last or time.monotonic() - saved >= checkpoint_seconds):
                state.save(step, rate)
                saved = time.monotonic()


# --- one step ----------------------------------------------------------------------------------


class Step:
    """One step of SGD, with the mean over the micro-batches of the global batch.

    Three things are averaged: the gradients, the losses and the batch-norm statistics. For the
    statistics, every micro-batch starts from those that the step began with. So the result does
    not depend on who computes the micro-batches: one device after another, or several devices
    side by side.

    The sums run through one binary tree over the micro-batches. On a CPU, one process and two
    give the same bits. With more processes all_reduce chooses the order of the last additions,
    and results differ by rounding.
    """

    def __init__(self, model: Callable[..., torch.Tensor], state: "State", how: Optimisation):
        self.model, self.state, self.how = model, state, how
        norms = [m for m in state.trained.modules() if isinstance(m, _BatchNorm)]
        norms = [m for m in norms if m.training and m.track_running_stats]
        if how.batch.count == 1:
            norms = []  # nothing to average: one forward pass writes the statistics in place
        self.statistics = [t for m in norms for t in (m.running_mean, m.running_var)]
        self.counters = [m.num_batches_tracked for m in norms]
        self.flags: PendingNumber | None = None  # of the step before, see `is_last`
        self.compute: Callable[..., list[torch.Tensor]] = self.loss_and_gradients
        if how.device.graphs:
            self.compute = Replayed(self.loss_and_gradients, list(state.trained.buffers()))

    def __call__(
        self, step: int, rate: float, batches: Batches
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Take step number `step`. Returns its loss, and what `is_last` is to be asked with."""
        batch, ranks = self.how.batch, self.how.ranks
        before, counted = lists.copies(self.statistics), lists.copies(self.counters)

        def micro_batch(index: int) -> list[torch.Tensor]:
            inputs, targets = next(batches)
            position = ranks.rank * batch.per_process + index  # in the global batch
            self.how.device.seed(sampling.word(self.how.seed, "dropout", step, position))
            lists.overwrite(self.statistics, before)
            lists.overwrite(self.counters, counted)
            return self.compute(targets, *inputs)

        mean = tree_sum(micro_batch, 0, batch.per_process)
        if ranks.size > 1:
            mean.append(torch.full_like(mean[0], bool(stopping.asked())))
        if batch.count > 1:
            mean = lists.divided(ranks.sum(mean), batch.count)
        asked = mean.pop() if ranks.size > 1 else None
        n = 1 + len(self.state.parameters)
        loss, gradients, statistics = mean[0], mean[1:n], mean[n:]
        lists.overwrite(self.statistics, statistics)
        self.update(gradients, rate)
        return loss, asked

    def is_last(self, asked: torch.Tensor | None) -> bool:
        """Whether this job was asked to end. All of its processes see that after the same step.

        A single process looks at its own signals. If there are several, each adds a flag to the
        tensors that they sum anyway. They look at the sum, `asked`, one step later. A GPU computes
        the newest step then, and nobody waits for that (`PendingNumber`).
        """
        if asked is None:
            return bool(stopping.asked())
        before, self.flags = self.flags, PendingNumber(asked)
        return before is not None and before.value() > 0

    def loss_and_gradients(self, targets: torch.Tensor, *inputs: torch.Tensor) -> lists.Tensors:
        """Loss, gradients and new batch-norm statistics of one micro-batch."""
        smoothing = self.how.recipe["label_smoothing"]
        with self.how.device.autocast():
            loss = F.cross_entropy(self.model(*inputs), targets, label_smoothing=smoothing)
        gradients = torch.autograd.grad(loss, self.state.parameters)
        return [loss.detach(), *gradients, *lists.copies(self.statistics)]

    @torch.no_grad()
    def update(self, gradients: list[torch.Tensor], rate: float) -> None:
        """Move the parameters and their momenta."""
        settings = {key: self.how.recipe[key] for key in ("momentum", "nesterov", "weight_decay")}
        settings |= {"lr": rate, "dampening": 0.0, "maximize": False, "foreach": True}
        sgd(self.state.parameters, gradients, self.state.momenta, **settings)


def tree_sum(leaf: Callable[[int], list[torch.Tensor]], first: int, n: int) -> list[torch.Tensor]:
    """leaf(first) + … + leaf(first + n - 1), tensor by tensor, in a balanced binary tree.

    The leaves are called in order. The two halves of a tree of 2n leaves are trees of n leaves:
    two processes that compute one half each hold the very numbers that one process adds last.
    About log2(n) lists are in memory at once.
    """
    if n == 1:
        return leaf(first)
    left = tree_sum(leaf, first, n // 2)
    return lists.added(left, tree_sum(leaf, first + n // 2, n - n // 2))


# --- what training changes ---------------------------------------------------------------------


class State:
    """All that training changes: the trained layers, the momentum of each parameter, the log.

    To read a loss means to wait for the GPU. So the losses are read together, every few steps
    (`check`). Then they go to the log.
    """

    def __init__(
        self, trained: nn.Module, log: TrainingLog, checkpoints: Checkpoints | None = None
    ):
        self.trained, self.log, self.checkpoints = trained, log, checkpoints
        self.parameters = [p for p in trained.parameters() if p.requires_grad]
        self.momenta: list[torch.Tensor | None] = [None] * len(self.parameters)
        self.loss: torch.Tensor | None = None  # the running loss
        # Since the last look: (step, rate, loss, when the step was finished).
        self.unseen: list[tuple[int, float, torch.Tensor, float]] = []

    def tensors(self) -> dict[str, torch.Tensor]:
        """The content of a checkpoint."""
        state = {f"model.{name}": tensor for name, tensor in self.trained.state_dict().items()}
        momenta = {f"momentum.{i}": t for i, t in enumerate(self.momenta) if t is not None}
        return state | momenta | self.log.tensors()

    def restore(self, found: tuple[int, dict[str, torch.Tensor]] | None) -> int:
        """Load a checkpoint, if one was found; returns the first step that is left to do."""
        if not found:
            return 0
        step, tensors = found
        self.trained.load_state_dict(
            {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
        )
        for i, p in enumerate(self.parameters):
            if f"momentum.{i}" in tensors:
                self.momenta[i] = torch.empty_like(p).copy_(tensors[f"momentum.{i}"])
        self.log.restore(tensors)
        return step

    def save(self, step: int, rate: float) -> None:
        """Write a checkpoint after step `step`, unless the training has diverged (JobError)."""
        self.check()
        tensors = self.tensors()
        if not all(t.isfinite().all() for t in tensors.values()):
            raise self._diverged("some weights are not finite", step, rate)
        self.checkpoints.save(step + 1, tensors)

    def add(self, step: int, rate: float, loss: torch.Tensor) -> None:
        """Add the loss of a step."""
        first = self.loss is None
        self.loss = loss if first else LOSS_MEMORY * self.loss + (1 - LOSS_MEMORY) * loss
        self.unseen.append((step, rate, loss, time.monotonic()))

    def check(self) -> float:
        """The running loss. Raises JobError with the first step whose loss is not finite."""
        if self.unseen:
            values = torch.stack([loss for _, _, loss, _ in self.unseen]).tolist()
            for (step, rate, _, finished), value in zip(self.unseen, values, strict=True):
                if not math.isfinite(value):
                    raise self._diverged(f"the loss is {value}", step, rate)
                self.log.add(step, rate, value, finished)
            self.unseen.clear()
        return self.loss.item()

    def _diverged(self, what: str, step: int, rate: float) -> DivergedError:
        good = self.checkpoints.newest()
        kept = f"the last good checkpoint is {good}" if good else "there was no checkpoint before"
        way_out = "Lower the learning rate or lengthen the warm-up in config.yaml"
        return DivergedError(f"{what} at step {step} (lr {rate:.4g})", f"{way_out}; {kept}")
