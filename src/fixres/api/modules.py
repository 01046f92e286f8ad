"""The module of a program: a copy to work on, and what is to be known of it."""

import contextlib
import copy
from collections.abc import Iterator

import torch
from torch import nn

from fixres.hardware.device import Device, exact_float32, pick_device
from fixres.jobs import JobError, logs


def check_module(module: nn.Module) -> None:
    """Raise JobError unless it is a module in float32."""
    if not isinstance(module, nn.Module):
        raise JobError(
            f"module: not a network (got {type(module).__name__}, expected a torch.nn.Module)."
        )
    tensors = [*module.named_parameters(), *module.named_buffers()]
    for name, tensor in tensors:
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise JobError(
                f"module: {name} is {tensor.dtype}, expected float32; give module.float()"
            )
        if tensor.is_meta:
            raise JobError(f"module: {name} has no numbers (torch's meta device); load its weights")


@contextlib.contextmanager
def working(
    module: nn.Module, where: torch.device | str | None, progress: bool
) -> Iterator[tuple[nn.Module, Device]]:
    """A copy of the module to work on, as jobs have it, and its device. Torch stays as it is.

    The copy is in eval mode and in channels_last, as the networks of jobs are: so sums are added in
    the same order.
    """
    check_module(module)
    if where is None:
        where = next((p.device for p in module.parameters()), torch.device("cpu"))
    try:
        device = pick_device(str(where))
    except JobError as error:
        raise JobError(str(error).removeprefix("--")) from None
    network = copied(module).to(device, memory_format=torch.channels_last).eval()
    with contextlib.ExitStack() as stack:
        if not progress:
            stack.enter_context(logs.silent())
        on_gpu = [device] if device.type == "cuda" else []
        stack.enter_context(torch.random.fork_rng(devices=on_gpu))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if on_gpu:
            stack.enter_context(exact_float32())
        yield network, Device(device, "fp32")


def copied(module: nn.Module) -> nn.Module:
    """A copy of a module, without its gradients."""
    try:
        copied = copy.deepcopy(module)
    except RuntimeError as error:  # a tensor that autograd has made
        raise JobError(f"module: cannot be copied ({error})") from error
    copied.zero_grad()
    return copied


def classes_of(network: nn.Module, k: int) -> int:
    """The number of classes, from one crop. Raises JobError where the network refuses the crop."""
    name = type(network).__name__
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            logits = network(torch.zeros(1, 3, k, k, device=device))
    except Exception as error:  # each network refuses a size in its own way
        problem = f"a forward pass of one crop of {k}×{k} px fails ({error})"
        raise JobError(f"k_test {k}: {problem}; give a size that {name} takes") from error
    if not isinstance(logits, torch.Tensor) or logits.dim() != 2:
        found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise JobError(f"module: {name} gives {found}, expected logits of the shape (n, classes)")
    return logits.shape[1]


@contextlib.contextmanager
def undone_on_error(module: nn.Module) -> Iterator[None]:
    """A block that changes a module; after an error its modes are as they were."""
    modes = [(m, m.training) for m in module.modules()]
    frozen = [(p, p.requires_grad) for p in module.parameters()]
    try:
        yield
    except Exception:
        for m, mode in modes:
            m.training = mode
        for p, needs in frozen:
            p.requires_grad_(needs)
        raise
