"""The one optimisation loop: SGD with momentum, of a whole network (train.py) or of its head (finetune.py)."""

import math
import time
from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.optim.sgd import sgd  # the function: constructing the SGD class imports torch's compiler, a second a job

from fixres.device import Device
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


def fit(
    model: Callable[..., torch.Tensor],
    trained: nn.Module,
    stream: Callable[[int], Iterable[tuple[tuple[torch.Tensor, ...], torch.Tensor]]],
    recipe: dict,
    steps_per_epoch: int,
    checkpoints: Checkpoints,
    checkpoint_seconds: float,
    device: Device,
) -> None:
    """Train `trained`, in place, from the newest checkpoint to the last step.

    Parameters
    ----------
    model : what is called with a batch's inputs; gives logits.
    trained : the module whose parameters and buffers change and are checkpointed; parameters with requires_grad=False stay.
    stream : given a first step, yields (inputs, labels) from there on.
    """
    parameters = [p for p in trained.parameters() if p.requires_grad]
    momenta: list[torch.Tensor | None] = [None] * len(parameters)
    steps, first = recipe["epochs"] * steps_per_epoch, 0
    found = checkpoints.latest()
    if found:
        first = found[0]
        _restore(trained, parameters, momenta, found[1])

    loss_sum, saved = None, time.monotonic()
    with progress("training", steps * recipe["batch_size"], "images", first * recipe["batch_size"]) as bar:
        for step, (inputs, labels) in zip(range(first, steps), stream(first), strict=False):
            rate = learning_rate(recipe, step, steps_per_epoch)
            with device.autocast():
                loss = F.cross_entropy(model(*inputs), labels, label_smoothing=recipe["label_smoothing"])
            gradients = list(torch.autograd.grad(loss, parameters))
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
            loss_sum = loss.detach() if loss_sum is None else LOSS_MEMORY * loss_sum + (1 - LOSS_MEMORY) * loss.detach()
            last = step + 1 == steps
            if last or (step + 1) % 20 == 0:
                value = _finite(loss_sum, step, rate)
                bar.update(0, f"epoch {step // steps_per_epoch + 1}/{recipe['epochs']}, loss {value:.3f}, lr {rate:.4g}")
            bar.update(len(labels))
            if last or time.monotonic() - saved >= checkpoint_seconds:
                _finite(loss_sum, step, rate)
                checkpoints.save(step + 1, _state(trained, momenta))
                saved = time.monotonic()


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
