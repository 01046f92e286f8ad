"""Weights that others published: fetched from timm, torchvision, torch hub or a URL, or read from a file; never trusted, always checked.

Files are read without running code that they may hold (torch's weights_only, or safetensors); only `hub` runs foreign code, a repository's
hubconf.py, which is what torch hub is.
"""

import errno
import hashlib
import pickle
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from fixres.jobs import JobError, file_digest, log, progress
from fixres.models import weights

CHUNK = 2**20  # bytes
TIMEOUT = 30.0  # seconds without an answer
NO_ROOM = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
}  # told by __main__: no fault of the source
WRAPPERS = (
    "model",
    "state_dict",
)  # where checkpoints keep the network among the optimiser and the rest


class Fetched(NamedTuple):
    """Published weights as they came."""

    tensors: dict[str, torch.Tensor]
    where: str  # for messages
    sha256: str | None  # of the file, where there is one


def fetch(source: dict, folder: Path, way_out: str) -> Fetched:
    """Get published weights.

    Parameters
    ----------
    source : {"timm": name} | {"torchvision": "ResNet50_Weights.IMAGENET1K_V1"} | {"hub": "owner/repo:entry", or "folder:entry"} |
        {"url": …, "sha256": its SHA-256, or the first 8 digits or more, as in the names of PyTorch's files} |
        {"file": …, "sha256": … or None}.
    folder : where an unfinished download stays, to be carried on by the next attempt.
    way_out : what to do where the source is out of reach; ends the message.

    Raises `JobError` naming the source.
    """
    kind = next(iter(source))
    where = f"{kind} {source[kind]}"
    if kind == "file":
        path = Path(source["file"]).expanduser()
        if not path.is_file():
            raise JobError(f"{path}: no such file of weights; {way_out}")
        sha256 = verified(path, source.get("sha256"))
        return Fetched(read(path), str(path), sha256)
    if kind == "url":
        path = download(source["url"], source["sha256"], folder, way_out)
        fetched = Fetched(read(path), source["url"], file_digest(path))
        path.unlink()
        return fetched
    try:
        return Fetched(LIBRARIES[kind](source[kind]), where, None)
    except JobError:
        raise
    except (
        Exception
    ) as error:  # each library, and the HTTP client below it, has exceptions of its own
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise JobError(
            f"{where}: the weights could not be fetched ({type(error).__name__}: {reason}); {way_out}"
        ) from error


def _timm(name: str) -> dict[str, torch.Tensor]:
    import timm

    try:
        found = timm.get_pretrained_cfg(name)
    except RuntimeError:  # no such architecture
        found = None
    if (
        found is None or f"{found.architecture}.{found.tag}" != name
    ):  # an old name may stand for other weights than it says
        hint = f"timm.list_pretrained('{name.partition('.')[0]}*') lists its names"
        raise JobError(
            f"timm {name}: timm {timm.__version__} has no weights of exactly this name; {hint}"
        )
    return timm.create_model(name, pretrained=True).state_dict()


def _torchvision(name: str) -> dict[str, torch.Tensor]:
    from torchvision.models import get_weight

    try:
        found = get_weight(name)
    except (ValueError, AttributeError, KeyError):
        raise JobError(
            f"torchvision {name}: no weights of this name; expected one like ResNet50_Weights.IMAGENET1K_V1"
        ) from None
    return found.get_state_dict(progress=False, check_hash=True)


def _hub(name: str) -> dict[str, torch.Tensor]:
    repository, colon, entry = name.rpartition(":")
    if not colon:
        raise JobError(f"hub {name}: expected owner/repository:entry, or folder:entry")
    local = Path(repository).expanduser()
    log(f"torch hub runs the code of {repository}")
    if (local / "hubconf.py").is_file():
        made = torch.hub.load(str(local), entry, source="local")
    else:
        made = torch.hub.load(repository, entry, trust_repo=True)
    return made.state_dict() if isinstance(made, nn.Module) else made


LIBRARIES = {"timm": _timm, "torchvision": _torchvision, "hub": _hub}


# --- files -------------------------------------------------------------------------------------------------------------------


def read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a .safetensors file or of a PyTorch checkpoint (.pth, .pt, .bin): bare, or under `model` or `state_dict`.

    Raises `JobError` where the file is damaged, holds code, or holds no network.
    """
    if path.suffix == ".safetensors":
        try:
            return unwrapped(load_file(path), str(path))
        except (SafetensorError, OSError, ValueError) as error:
            raise JobError(f"{path}: damaged, or not a safetensors file ({error})") from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of the many that reading a broken file may raise, one matters
        code = (
            re.search(r"GLOBAL ([\w.]+)", str(error))
            if isinstance(error, pickle.UnpicklingError)
            else None
        )
        if code:
            raise JobError(
                f"{path}: refused, because it holds code beside tensors ({code[1]}) and reading it would run that code. Where you trust "
                "it, load it with torch yourself and save its state_dict as .safetensors"
            ) from error
        raise JobError(
            f"{path}: damaged, or not a PyTorch checkpoint ({type(error).__name__})"
        ) from error
    return unwrapped(content, str(path))


def unwrapped(content: Any, where: str) -> dict[str, torch.Tensor]:
    """The state dict in a checkpoint: `model` or `state_dict` opened, `module.` prefixes (DataParallel) taken off."""
    for key in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if (
        not isinstance(content, dict)
        or not content
        or not all(isinstance(t, torch.Tensor) for t in content.values())
    ):
        keys = (
            f" with keys {', '.join(map(str, list(content)[:6]))}"
            if isinstance(content, dict)
            else ""
        )
        wanted = f"expected tensors by name, bare or under {' or '.join(WRAPPERS)}"
        raise JobError(f"{where}: no network in it: found {type(content).__name__}{keys}, {wanted}")
    if all(name.startswith("module.") for name in content):
        content = {name.removeprefix("module."): t for name, t in content.items()}
    return content


def fitted(fetched: Fetched, network: nn.Module) -> dict[str, torch.Tensor]:
    """The weights as `network` names and types them, checked key by key. Raises `JobError` naming what does not fit.

    Checkpoints from before PyTorch 0.4.1 lack the batch-norms' counters of steps; they play no part in the result and start at 0.
    """
    own = network.state_dict()
    counters = {
        name: torch.zeros((), dtype=t.dtype)
        for name, t in own.items()
        if name.endswith(".num_batches_tracked")
    }
    tensors = counters | fetched.tensors
    weights.check(tensors, network, fetched.where)
    return {name: tensors[name].to(t.dtype) for name, t in own.items()}


# --- downloads ---------------------------------------------------------------------------------------------------------------


def verified(path: Path, sha256: str | None) -> str:
    """The file's SHA-256. Raises `JobError` unless it begins with `sha256`."""
    found = file_digest(path)
    if sha256 and not found.startswith(sha256.lower()):
        raise JobError(
            f"{path}: wrong checksum: SHA-256 {found}, expected {sha256}; get the file again, or correct the checksum"
        )
    return found


def download(url: str, sha256: str, folder: Path, way_out: str) -> Path:
    """Download `url` into `folder`, or carry on where the last attempt broke off; checked against `sha256`.

    Returns the complete file, with the URL's suffix. Raises `JobError` naming the URL.
    """
    if len(sha256 or "") < 8:
        raise JobError(
            f"{url}: found checksum {sha256!r}, expected the file's SHA-256 or at least its first 8 digits"
        )
    folder.mkdir(parents=True, exist_ok=True)
    tag = hashlib.sha256(f"{url} {sha256}".encode()).hexdigest()[
        :8
    ]  # a part of another file is never carried on
    suffix = Path(urllib.parse.urlparse(url).path).suffix
    part = folder / f"download-{tag}{suffix}"
    try:
        _receive(url, part)
    except (urllib.error.URLError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        reason = (
            error if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", error)
        )
        raise JobError(
            f"{url}: the weights could not be fetched ({reason}); give the command again to carry on, or {way_out}"
        ) from None
    try:
        verified(part, sha256)
    except JobError as error:
        part.unlink()
        raise JobError(str(error).replace(str(part), url)) from None
    return part


def _receive(url: str, part: Path) -> None:
    """Append to `part` what is missing of `url`."""
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and done:  # nothing is missing
            return
        raise
    with answer:
        if done and answer.status != 206:
            log(f"{url}: the server cannot carry on a download; from the beginning")
            done = 0
        left = int(answer.headers.get("Content-Length") or 0)
        what = f"download of {url.rsplit('/', 1)[-1]}" + (
            f", carried on at {done / 1e6:.0f} MB" if done else ""
        )
        with (
            open(part, "ab" if done else "wb") as f,
            progress(what, done + left, "bytes", done) as bar,
        ):
            received = 0
            while data := answer.read(CHUNK):
                f.write(data)
                received += len(data)
                bar.update(len(data))
        if received < left:
            raise OSError(
                f"the connection broke off after {done + received} of {done + left} bytes"
            )
