"""Weights and checkpoints on disk: safetensors with a digest and a description of their origin.

A safetensors file contains no code, but no checksum either. So `save` adds a digest of the content,
and a truncated or altered file causes an error with its name.
"""

import json
import os
import re
from itertools import zip_longest
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from fixres.jobs import REMAKE, JobError, atomic, digest, record_inputs
from fixres.jobs.quoting import visible

SHOWN = 8  # problems listed in an error
Layers = str | tuple[str, ...]  # one name, or several


class DamagedError(JobError):
    """The content of a file differs from what was written."""


def save(path: Path, tensors: dict[str, torch.Tensor], meta: dict | None = None) -> None:
    """Write tensors and a JSON-able `meta`, atomically."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    text = json.dumps(meta or {}, sort_keys=True)
    # One entry in the header, because safetensors writes several in any order, but the same content
    # must give the same bytes.
    header = {"meta": text, "digest": _content_digest(tensors, text)}
    write(path, tensors, {"fixres": json.dumps(header, sort_keys=True)})


def write(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, atomically. Raises OSError with the path, like other files.

    safetensors itself has the number of such an error only in its message.
    """
    with atomic(path) as temporary:
        try:
            save_file(tensors, temporary, metadata=metadata)
        except SafetensorError as error:
            if found := re.search(r"\(os error (\d+)\)", str(error)):
                raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from None
            raise


def load(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """The tensors and `meta` of a file that `save` wrote.

    Raises DamagedError or FileNotFoundError.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    try:
        with safe_open(path, framework="pt") as f:
            header = json.loads((f.metadata() or {}).get("fixres", "{}"))
            tensors = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError) as error:
        raise DamagedError(f"{path}: damaged ({error}).") from None
    text = header.get("meta", "{}")
    if header.get("digest") != _content_digest(tensors, text):
        raise DamagedError(f"{path}: damaged (its content does not match its digest).")
    return tensors, json.loads(text)


def meta_of(path: Path) -> dict:
    """The `meta` of a file that `save` wrote, without its tensors. Raises DamagedError."""
    try:
        with safe_open(path, framework="pt") as f:
            header = json.loads((f.metadata() or {}).get("fixres", "{}"))
            return json.loads(header.get("meta", "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise DamagedError(f"{path}: damaged ({error}).") from None


def opened(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Read a file that is an input of this job. Raises JobError, which says how to fix it."""
    record_inputs(path)
    try:
        return load(path)
    except FileNotFoundError:
        raise JobError(f"{path}: no such weights. Make them: `snakemake '{path}'`.") from None
    except DamagedError as error:
        raise JobError(f"{error} {REMAKE}") from None


def load_into(network: nn.Module, path: Path, fresh: Layers = ()) -> dict:
    """Load weights into a network, checked key by key. Returns the file's `meta`.

    The layers `fresh` keep their current weights, whatever the file has for them, like a classifier
    for other classes. Raises JobError, which names what does not fit.
    """
    tensors, meta = opened(path)
    check(tensors, network, str(path), fresh)
    network.load_state_dict(network.state_dict() | without(fresh, tensors))
    return meta


def without(layers: Layers, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors without the tensors of some layers."""
    return {name: t for name, t in tensors.items() if not name.startswith(beginnings(layers))}


def beginnings(layers: Layers) -> tuple[str, ...]:
    """The prefixes of the tensor names of some layers."""
    return tuple(f"{name}." for name in ((layers,) if isinstance(layers, str) else layers))


def check(
    tensors: dict[str, torch.Tensor], network: nn.Module, where: str, fresh: Layers = ()
) -> None:
    """Raise JobError unless the tensors have the network's keys and shapes, and finite numbers.

    The layers `fresh` are skipped.
    """
    own, tensors = without(fresh, network.state_dict()), without(fresh, tensors)
    missing = [f"missing {name}" for name in own if name not in tensors]
    unexpected = [f"unexpected {name}" for name in tensors if name not in own]
    names = [name for pair in zip_longest(missing, unexpected) for name in pair if name]
    shapes = {
        name: (tuple(tensors[name].shape), tuple(t.shape))
        for name, t in own.items()
        if name in tensors and tensors[name].shape != t.shape
    }
    classes = []
    for layer in (name for name, m in network.named_modules() if isinstance(m, nn.Linear)):
        weight = f"{layer}.weight"
        found, expected = shapes.get(weight, ((), ()))
        if len(found) == 2 and found[1] == expected[1]:  # only the number of rows differs
            counts = f"the classifier is for {found[0]} classes, expected {expected[0]}"
            classes.insert(0, f"{counts} ({weight} is {found}, expected {expected})")
            shapes = {n: pair for n, pair in shapes.items() if not n.startswith(f"{layer}.")}
    others = [f"{name} is {found}, expected {own}" for name, (found, own) in shapes.items()]
    if problems := classes + names + others:
        raise JobError(f"{where}: does not fit {type(network).__name__}: {_listed(problems)}.")
    found = {name: _wrong(tensors[name], t) for name, t in own.items()}
    if wrong := [f"{name} {problem}" for name, problem in found.items() if problem]:
        expected = "expected finite floating-point numbers"
        raise JobError(f"{where}: {_listed(wrong)} ({expected}). Use other weights.")


def _listed(problems: list[str]) -> str:
    more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return visible("; ".join(problems[:SHOWN])) + more


def _wrong(found: torch.Tensor, own: torch.Tensor) -> str:
    """What is wrong with the numbers found for the network's tensor `own`; "" if nothing.

    A counter or an index must have whole numbers, of any type.
    """
    kind = str(found.dtype).removeprefix("torch.")
    if found.is_complex() and not own.is_complex():
        return f"is {kind}"
    if not own.is_floating_point():
        exact = found == found.to(own.dtype)
        return "" if exact.all() else f"is {kind}, but not whole numbers"
    if not found.is_floating_point() or found.itemsize == 1:
        return f"is {kind}"
    bad = int((~found.to(own.dtype).isfinite()).sum())
    return f"has {bad} number(s) that are not finite, of {found.numel()}" if bad else ""


def _content_digest(tensors: dict[str, torch.Tensor], meta: str) -> str:
    parts: list[str | memoryview] = [meta]  # views, to avoid copying gigabytes of weights
    for name, t in sorted(tensors.items()):
        parts.append(f"{name} {t.dtype} {tuple(t.shape)}")
        parts.append(t.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest(*parts)
