"""The cut where torch.fx cannot trace a network: at the input of its first trainable module.

    trunk, head, dropouts = cut(network, ["norm", "head"], k=224)
    logits = head(trunk(x)[0])  # equals network(x)

The trunk runs the network until that module is called, and returns the module's input. The head
runs the network as well, but all modules that finished before the cut return zeros, at no cost, and
the trainable module receives the trunk's activations. So everything behind the cut runs as its
author wrote it, with its control flow.

If a network has several heads side by side, like a distilled transformer, the input of each head
crosses the cut.

The cut is correct only if nothing else in the trunk reaches the logits. Two crops test this: a head
whose logits are not bit-identical to the network's is refused.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from fixres.jobs import JobError


class _Reached(Exception):  # noqa: N818 (not an error)
    """The module is called: the trunk ends here."""


class Trunk(nn.Module):
    """(n, 3, k, k) -> the input of the first trainable module, or of each one side by side."""

    def __init__(self, network: nn.Module, entries: list[nn.Module]):
        super().__init__()
        # In a tuple, so that no layer is registered twice, under two names.
        self._parts = (network, *entries)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        network, *entries = self._parts
        seen: dict[nn.Module, torch.Tensor] = {}

        def reached(module: nn.Module, inputs: tuple) -> None:
            seen.setdefault(module, inputs[0])
            if len(seen) == len(entries):
                raise _Reached

        with contextlib.ExitStack() as hooks, contextlib.suppress(_Reached):
            for entry in entries:
                hooks.enter_context(entry.register_forward_pre_hook(reached))
            network(x)
        return tuple(seen[entry] for entry in entries)


class Head(nn.Module):
    """The trunk's activations -> logits (n, classes)."""

    def __init__(
        self,
        network: nn.Module,
        entries: list[nn.Module],
        trained: list[nn.Module],
        skipped: dict,
        k: int,
    ):
        super().__init__()
        self.trained = nn.ModuleList(trained)
        self._parts, self._skipped, self._k = (network, *entries), skipped, k

    def forward(self, *activations: torch.Tensor) -> torch.Tensor:
        network, *entries = self._parts
        n, device = len(activations[0]), activations[0].device
        try:
            for module, given in self._skipped.items():
                module.forward = _zeros(given, n, device)
            x = torch.zeros(n, 3, self._k, self._k, device=device)
            with contextlib.ExitStack() as hooks:
                for entry, given in zip(entries, activations, strict=True):
                    hooks.enter_context(entry.register_forward_pre_hook(_instead(given)))
                return network(x)
        finally:
            for module in self._skipped:
                module.__dict__.pop("forward", None)


def cut(network: nn.Module, trainable: list[str], k: int) -> tuple[Trunk, Head, list[nn.Module]]:
    """Cut a network at the input of the first trainable module that it calls.

    Parameters
    ----------
    network : in eval mode.
    trainable : names of modules, none inside another.
    k : side of the crops that it will see, pixels.

    Returns
    -------
    The trunk, the head, and the dropout layers of the head.

    Raises
    ------
    ValueError : the network never calls a module.
    JobError : the head would need more of the trunk than this input.
    """
    modules = dict(network.named_modules())
    started, ended = _watch(network, k)
    check_called(network, [name for name in trainable if name not in started])
    first = min(trainable, key=started.index)
    before = started.index(first)
    inner = [modules[name] for name in started[before:]]
    done = outermost([name for name, (_, then) in ended.items() if then <= before])
    skipped = {modules[name]: ended[name][0] for name in done}
    entries = [modules[name] for name in side_by_side(network, trainable, started, k)]
    trunk = Trunk(network, entries)
    head = Head(network, entries, [modules[name] for name in trainable], skipped, k)
    _try(network, trunk, head, first, k)
    return trunk, head, [module for module in inner if isinstance(module, nn.Dropout)]


@torch.no_grad()
def side_by_side(network: nn.Module, trainable: list[str], started: list[str], k: int) -> list[str]:
    """The first trainable module, and the later ones whose input depends on none of the others.

    Found by running the network with the outputs of these modules changed. On torch's meta device,
    which has no numbers, only the first is returned.
    """
    first, *later = sorted(trainable, key=started.index)
    device, found = next(network.parameters()).device, [first]
    if device.type == "meta":
        return found
    x = _crops(k, device)
    for name in later:
        modules = [network.get_submodule(entry) for entry in found]
        with contextlib.ExitStack() as hooks:
            usual = Trunk(network, [network.get_submodule(name)])(x)[0]
            for module in modules:
                hooks.enter_context(module.register_forward_hook(lambda _, __, y: y + 1))
            other = Trunk(network, [network.get_submodule(name)])(x)[0]
        if torch.equal(usual, other):
            found.append(name)
    return found


def check_called(network: nn.Module, missing: list[str]) -> None:
    """Raise ValueError if modules that are to train never run."""
    if missing:
        never = f"never called in the forward pass of {type(network).__name__}"
        raise ValueError(f"{', '.join(missing)}: {never}. Name layers that run.")


def inside(name: str, module: str) -> bool:
    """Whether `name` is the module `module` or a part of it."""
    return name == module or name.startswith(module + ".")


def outermost(names: list[str]) -> list[str]:
    """The names in their order, without repeats and without modules inside other modules."""
    names = list(dict.fromkeys(names))
    return [n for n in names if not any(inside(n, other) for other in names if other != n)]


@torch.no_grad()
def _watch(network: nn.Module, k: int) -> tuple[list[str], dict[str, tuple[Any, int]]]:
    """Run one forward pass and record which modules started and ended.

    Returns the names of the modules in the order in which they started; and for each module that
    ended, its output and the number of modules that had started by then.
    """
    started: list[str] = []
    ended: dict[str, tuple[Any, int]] = {}
    names = {module: name for name, module in network.named_modules() if name}

    def start(module: nn.Module, _: tuple) -> None:
        if module in names:
            started.append(names[module])

    def end(module: nn.Module, _: tuple, given: Any) -> None:
        if module in names:
            ended[names[module]] = given, len(started)

    x = torch.zeros(1, 3, k, k, device=next(network.parameters()).device)
    with register_module_forward_pre_hook(start), register_module_forward_hook(end):
        network(x)
    return started, ended


def _instead(activations: torch.Tensor) -> Callable:
    """A hook that calls a module with these activations."""
    return lambda _, inputs: (activations, *inputs[1:])


def _crops(k: int, device: torch.device) -> torch.Tensor:
    """Two crops of noise."""
    return torch.randn(2, 3, k, k, generator=torch.Generator().manual_seed(0)).to(device)


def _zeros(given: Any, n: int, device: torch.device) -> Callable:
    """A forward pass that gives zeros for n images, in the shape of its output for one image."""

    def like(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            images = (n, *value.shape[1:]) if value.dim() and len(value) == 1 else value.shape
            return torch.zeros(images, dtype=value.dtype, device=device)
        if isinstance(value, (list, tuple)):
            return type(value)(map(like, value))
        return value

    return lambda *_, **__: like(given)


@torch.no_grad()
def difference(network: nn.Module, trunk: nn.Module, head: nn.Module, k: int) -> str | None:
    """None if trunk and head give the network's logits bit by bit; else the reason, if known."""
    device = next(network.parameters()).device
    if device.type == "meta":
        return None
    x = _crops(k, device)
    try:
        return None if torch.equal(head(*trunk(x)), network(x)) else ""
    except Exception as error:  # whatever the author's code raises on zeros
        return f" ({error})"


def _try(network: nn.Module, trunk: Trunk, head: Head, first: str, k: int) -> None:
    """Raise JobError unless trunk and head give the network's logits, bit by bit."""
    if (why := difference(network, trunk, head, k)) is not None:
        raise JobError(
            f"{type(network).__name__}: cannot be cut at {first}, because later layers read more "
            f"of the network than the input of {first}{why}, and torch.fx cannot trace it. Name "
            "later layers (custom.network.last_norm, custom.network.classifier), or make the "
            "forward pass traceable by torch.fx."
        )
