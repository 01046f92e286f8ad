"""Weights and checkpoints on disk: safetensors that carry a digest of their content and say what they belong to.

safetensors holds no code and no checksum; the digest makes a file that was cut short or altered an error that names it.
"""

import errno
import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from fixres.job import JobError, atomic, digest


class DamagedError(JobError):
    """A file whose content is not what was written."""


def _content_digest(tensors: dict[str, torch.Tensor], meta: str) -> str:
    parts: list[str | bytes] = [meta]
    for name in sorted(tensors):
        t = tensors[name]
        parts += [f"{name} {t.dtype} {tuple(t.shape)}", t.contiguous().view(-1).view(torch.uint8).numpy().tobytes()]
    return digest(*parts)


def save(path: Path, tensors: dict[str, torch.Tensor], meta: dict | None = None) -> None:
    """Write tensors and a JSON-able `meta` atomically."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    text = json.dumps(meta or {}, sort_keys=True)
    with atomic(path) as temporary:
        # One entry: safetensors writes several in any order, and the same content is to be the same bytes.
        header = json.dumps({"meta": text, "digest": _content_digest(tensors, text)}, sort_keys=True)
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


def load_into(network: torch.nn.Module, path: Path) -> dict:
    """Load a network's weights, checked key by key; returns the file's meta. Raises `JobError` naming what does not fit."""
    try:
        tensors, meta = load(path)
    except FileNotFoundError:
        raise JobError(f"{path}: no such weights; ask Snakemake for them: snakemake '{path}'") from None
    except DamagedError as error:
        raise JobError(f"{error}; delete it and let Snakemake make it again") from None
    own = network.state_dict()
    problems = [f"missing {name}" for name in own if name not in tensors]
    problems += [f"unexpected {name}" for name in tensors if name not in own]
    problems += [
        f"{name} is {tuple(tensors[name].shape)}, expected {tuple(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    if problems:
        raise JobError(f"{path} does not fit {type(network).__name__}: {'; '.join(problems[:8])}")
    network.load_state_dict(tensors)
    return meta
