"""Weights and checkpoints on disk: safetensors that carry a digest of their content and say what they belong to.

safetensors holds no code and no checksum; the digest makes a file that was cut short or altered an error that names it.
"""

import errno
import hashlib
import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from fixres.jobs import JobError, atomic, record_inputs


class DamagedError(JobError):
    """A file whose content is not what was written."""


def _content_digest(tensors: dict[str, torch.Tensor], meta: str) -> str:
    h = hashlib.sha256()

    def part(
        data: bytes | memoryview,
    ) -> None:  # as jobs.digest, without a second copy of gigabytes of weights
        h.update(len(data).to_bytes(8, "little"))
        h.update(data)

    part(meta.encode())
    for name in sorted(tensors):
        t = tensors[name]
        part(f"{name} {t.dtype} {tuple(t.shape)}".encode())
        part(t.contiguous().view(-1).view(torch.uint8).numpy().data)
    return h.hexdigest()[:32]


def save(path: Path, tensors: dict[str, torch.Tensor], meta: dict | None = None) -> None:
    """Write tensors and a JSON-able `meta` atomically."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    text = json.dumps(meta or {}, sort_keys=True)
    with atomic(path) as temporary:
        # One entry: safetensors writes several in any order, and the same content is to be the same bytes.
        header = json.dumps(
            {"meta": text, "digest": _content_digest(tensors, text)}, sort_keys=True
        )
        try:
            save_file(tensors, temporary, metadata={"fixres": header})
        except SafetensorError as error:
            if "os error 28" in str(error):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from None
            raise


def load(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Tensors and meta of a file written by `save`. Raises `DamagedError` naming the file, or FileNotFoundError."""
    if not path.is_file():
        raise FileNotFoundError(path)
    try:
        with safe_open(path, framework="pt") as f:
            header = json.loads((f.metadata() or {}).get("fixres", "{}"))
            tensors = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError) as error:
        raise DamagedError(f"{path}: damaged ({error})") from None
    text = header.get("meta", "{}")
    if header.get("digest") != _content_digest(tensors, text):
        raise DamagedError(f"{path}: damaged (its content does not match its digest)")
    return tensors, json.loads(text)


def opened(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """As `load`, of an input of this job, with a `JobError` that says what to do."""
    record_inputs(path)
    try:
        return load(path)
    except FileNotFoundError:
        raise JobError(
            f"{path}: no such weights; ask Snakemake for them: snakemake '{path}'"
        ) from None
    except DamagedError as error:
        raise JobError(f"{error}; delete it and let Snakemake make it again") from None


def load_into(network: nn.Module, path: Path, fresh: str | None = None) -> dict:
    """Load a network's weights, checked key by key; returns the file's meta.

    Parameters
    ----------
    fresh : name of a layer that keeps its own weights whatever the file holds for it (the classifier, where the classes are others).

    Raises `JobError` naming what does not fit.
    """
    tensors, meta = opened(path)
    if fresh is not None:
        own = {name: t for name, t in network.state_dict().items() if name.startswith(f"{fresh}.")}
        tensors = {name: t for name, t in tensors.items() if not name.startswith(f"{fresh}.")} | own
    check(tensors, network, str(path))
    network.load_state_dict(tensors)
    return meta


def check(tensors: dict[str, torch.Tensor], network: nn.Module, where: str) -> None:
    """Raise `JobError` unless `tensors` are exactly the network's, key by key and shape by shape."""
    own = network.state_dict()
    problems = [f"missing {name}" for name in own if name not in tensors]
    problems += [f"unexpected {name}" for name in tensors if name not in own]
    shapes = {
        name: (tuple(tensors[name].shape), tuple(t.shape))
        for name, t in own.items()
        if name in tensors
    }
    other = {name: pair for name, pair in shapes.items() if pair[0] != pair[1]}
    linear = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    for layer in linear:
        found, expected = other.get(f"{layer}.weight", ((), ()))
        if len(found) == 2 and found[1] == expected[1]:  # only its rows differ
            shape = f"{layer}.weight is {found}, expected {expected}"
            problems.insert(
                0, f"the classifier is for {found[0]} classes, expected {expected[0]} ({shape})"
            )
            other = {name: pair for name, pair in other.items() if not name.startswith(f"{layer}.")}
    problems += [
        f"{name} is {found}, expected {expected}" for name, (found, expected) in other.items()
    ]
    if problems:
        more = f"; and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise JobError(
            f"{where} does not fit {type(network).__name__}: {'; '.join(problems[:8])}{more}"
        )
