"""Weights that others published: fetched or read from a file, never trusted, always checked.

Files are read without running code that they may hold (torch's weights_only, or safetensors). Only
torch hub runs foreign code: the hubconf.py of a repository.
"""

import hashlib
import json
import pickle
import re
import shlex
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from fixres.artifacts import weights
from fixres.jobs import JobError, downloads, file_digest, log, record_inputs
from fixres.jobs.quoting import visible
from fixres.models import construct

SHOWN = 120  # letters of an error of torch's
MIN_DIGITS = 8  # of the SHA-256 of a download
# Keys under which a checkpoint keeps the network, next to the optimiser and the rest. If it has
# none of these keys, its largest state dict is used.
WRAPPERS = ("model", "state_dict")
DEEPEST = 3  # keys within keys
COUNTER = "n_averaged"  # torch's AveragedModel stores it with the network
# If a file holds several whole networks, the trained network has one of these prefixes.
USUAL = ("model.", "net.", "module.")
# What training scripts store with the weights: arguments, paths, NumPy numbers. None of this is
# needed, so it is read as objects that hold nothing and do nothing.
_PATHS = ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
_NUMPY = [f"numpy.{core}.multiarray" for core in ("core", "_core")]
BESIDE = [
    "argparse.Namespace",
    *(f"{module}.{name}" for module in ("pathlib", "pathlib._local") for name in _PATHS),
    *(f"{module}.{name}" for module in _NUMPY for name in ("scalar", "_reconstruct")),
    *("numpy.dtype", "numpy.ndarray"),
]

Tensors = dict[str, torch.Tensor]  # by their names in the network


class _Inert:
    """Replaces an object that a file holds in addition to weights."""

    def __new__(cls, *_: Any) -> "_Inert":
        return super().__new__(cls)

    def __init__(self, *_: Any):
        pass

    def __setstate__(self, _: Any) -> None:
        pass


class Fetched(NamedTuple):
    """Published weights as they came."""

    tensors: Tensors
    where: str  # the source, for messages
    sha256: str | None  # of the file, if there is one


def fetch(source: dict, folder: Path, way_out: str) -> Fetched:
    """Get published weights.

    Parameters
    ----------
    source : one of
        {"timm": name},
        {"torchvision": "ResNet50_Weights.IMAGENET1K_V1"},
        {"hf-hub": "USER/NAME@COMMIT"}, a network of timm on the Hugging Face Hub,
        {"hub": "owner/repo:entry"} or {"hub": "folder:entry"},
        {"url": …, "sha256": …}: the SHA-256 of the file, or its first 8 digits or more, as in the
        names of PyTorch's files,
        {"file": …, "sha256": …}: a SHA-256 or None,
        {"python": {"name": "package.module:function", "path": …, "options": …}}: the weights that
        this constructor's network comes with.
    folder : where an unfinished download stays. The next attempt continues it.
    way_out : what to do if the source cannot be reached: the end of the error message, a sentence.

    Raises
    ------
    JobError : names the source.
    """
    kind = next(iter(source))
    if kind == "file":
        path = Path(source["file"]).expanduser()
        if not path.is_file():
            raise JobError(f"{path}: no such file of weights. {way_out}")
        record_inputs(path)
        sha256 = verified(path, source.get("sha256"), str(path))
        return Fetched(read(path), str(path), sha256)
    if kind == "url":
        path = download(source["url"], source["sha256"], folder, way_out)
        fetched = Fetched(read(path), source["url"], file_digest(path))
        path.unlink()
        return fetched
    where = f"{kind} {source['python']['name'] if kind == 'python' else source[kind]}"
    try:
        return Fetched(LIBRARIES[kind](source[kind]), where, None)
    except JobError:
        raise
    except (Exception, SystemExit) as error:  # each library, and its HTTP client, has its own
        what = type(error).__name__
        reason = visible(next(iter(str(error).splitlines()), "")) or what
        raise JobError(
            f"{where}: the weights could not be fetched ({what}: {reason}). {way_out}"
        ) from error


# --- libraries ---------------------------------------------------------------------------------


def _timm(name: str) -> Tensors:
    import timm

    try:
        found = timm.get_pretrained_cfg(name)
    except RuntimeError:  # no such architecture
        found = None
    # timm may map an old name to other weights.
    if found is None or f"{found.architecture}.{found.tag}" != name:
        missing = f"timm {timm.__version__} has no weights of exactly this name"
        hint = f"Take a name from timm.list_pretrained('{name.partition('.')[0]}*')."
        raise JobError(f"timm {name}: {missing}. {hint}")
    return timm.create_model(name, pretrained=True).state_dict()


def _hf_hub(name: str) -> Tensors:
    import timm

    return timm.create_model(f"hf-hub:{name}", pretrained=True).state_dict()


def _torchvision(name: str) -> Tensors:
    from torchvision.models import get_weight

    try:
        found = get_weight(name)
    except (ValueError, AttributeError, KeyError):
        expected = "expected a name such as ResNet50_Weights.IMAGENET1K_V1"
        problem = f"no weights of this name ({expected})"
        raise JobError(f"torchvision {name}: {problem}. Correct the name.") from None
    return found.get_state_dict(progress=False, check_hash=True)


def _hub(name: str) -> Tensors:
    repository, colon, entry = name.rpartition(":")
    if not colon:
        expected = "expected owner/repository:entry or folder:entry"
        raise JobError(f"hub {name}: entry missing ({expected}). Add the entry.")
    local = Path(repository).expanduser()
    log(f"torch hub is running the code of {repository}")
    if (local / "hubconf.py").is_file():
        made = torch.hub.load(str(local), entry, source="local")
    else:
        made = torch.hub.load(repository, entry, trust_repo=True)
    return made.state_dict() if isinstance(made, nn.Module) else made


def _python(constructor: dict) -> Tensors:
    """The weights that the user's own constructor comes with."""
    log(f"running the code of {constructor['name']}")
    source, path = f"python:{constructor['name']}", constructor["path"]
    return construct.call(source, None, path, constructor["options"]).state_dict()


LIBRARIES = {"timm": _timm, "torchvision": _torchvision, "hub": _hub, "python": _python}
LIBRARIES |= {"hf-hub": _hf_hub}


# --- files -------------------------------------------------------------------------------------


def read(path: Path) -> Tensors:
    """Read the tensors of a .safetensors file, or of a PyTorch checkpoint (.pth, .pt, .bin).

    The tensors may be bare, or under a key such as `model` or `state_dict`.

    Raises
    ------
    JobError : the file is damaged, holds code, or holds no network.
    """
    if path.suffix == ".safetensors":
        try:
            return unwrapped(load_file(path), str(path))
        except (SafetensorError, OSError, ValueError) as error:
            reason = visible(str(error))
            problem = f"damaged, or not a safetensors file ({reason})"
            raise JobError(f"{path}: {problem}. Get the file again.") from None
    try:
        with torch.serialization.safe_globals([(_Inert, name) for name in BESIDE]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file may raise anything
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        if isinstance(error, pickle.UnpicklingError) and code:
            raise JobError(
                f"{path}: refused, because it holds code in addition to tensors ({code[1]}), which "
                "reading would run. If you trust it, load it with torch yourself and save its "
                "state_dict as .safetensors."
            ) from error
        reason = visible(f"{type(error).__name__}: {error}".partition(". ")[0][:SHOWN])
        way_out = "Give the network's state_dict as .safetensors or .pth."
        raise JobError(
            f"{path}: damaged, or not a PyTorch checkpoint ({reason}). {way_out}"
        ) from error
    return unwrapped(content, str(path))


def unwrapped(content: Any, where: str) -> Tensors:
    """The state dict in a checkpoint, bare or under a key. The log says which key was used.

    Raises
    ------
    JobError : it contains no network, or entries other than dense tensors by name.
    """
    place: list = []
    while isinstance(content, dict) and not _tensors_in(content) and len(place) < DEEPEST:
        sizes = {key: n for key, value in content.items() if (n := _size(value))}
        if not sizes:
            break
        taken = next((key for key in WRAPPERS if key in sizes), max(sizes, key=sizes.__getitem__))
        log(f"{where}: using the weights under {taken!r}")
        for other in (key for key, n in sizes.items() if key != taken and 2 * n >= sizes[taken]):
            log(f"  it also holds {other!r}. {_way_to([*place, other], where)}")
        place.append(taken)
        content = content[taken]
    if not isinstance(content, dict) or not _tensors_in(content):
        is_dict = isinstance(content, dict)
        keys = f" with keys {', '.join(map(str, list(content)[:6]))}" if is_dict else ""
        wanted = f"expected tensors by name, bare or under a key such as {' or '.join(WRAPPERS)}"
        found = visible(f"got {type(content).__name__}{keys}")
        raise JobError(f"{where}: no network in it ({found}, {wanted}). Give a state_dict.")
    odd = [f"{name!r} {problem}" for name, t in content.items() if (problem := _oddity(name, t))]
    if odd:
        more = f"; and {len(odd) - 1} more" if odd[1:] else ""
        raise JobError(
            f"{where}: {visible(odd[0])}{more} (expected dense tensors by name). Save the whole "
            "network's state_dict in floating point, as .safetensors."
        )
    return content


def _tensors_in(content: dict) -> int:
    return sum(isinstance(value, torch.Tensor) for value in content.values())


def _size(content: Any, deepest: int = DEEPEST) -> int:
    """The number of tensors of a state dict, bare or under one of `WRAPPERS`; 0 for others."""
    if not isinstance(content, dict) or not deepest:
        return 0
    return _tensors_in(content) or max(_size(content.get(key), deepest - 1) for key in WRAPPERS)


def _way_to(place: list, where: str) -> str:
    """How to use another state dict of a file."""
    file = str(Path(where).with_name(f"{Path(where).stem}-{place[-1]}.pth"))
    literals = (json.dumps(key) if isinstance(key, str) else repr(key) for key in place)
    keys = "".join(f"[{literal}]" for literal in literals)
    loaded = f'torch.load({json.dumps(where)}, map_location="cpu", weights_only=True)'
    program = f"import torch; torch.save({loaded}{keys}, {json.dumps(file)})"
    return f"To use it instead, save it to its own file: python -c {shlex.quote(program)}"


def _oddity(name: Any, tensor: Any) -> str:
    """Why an entry of a state dict cannot belong to a network; "" if it can."""
    if not isinstance(name, str):
        return f"(a key) is not a string but of the type {type(name).__name__}"
    if not isinstance(tensor, torch.Tensor):
        return f"is not a tensor but of the type {type(tensor).__name__}"
    if tensor.is_quantized:
        return "is quantised"
    if tensor.is_meta:
        return "has no values (it is on the meta device)"
    return "is sparse" if tensor.layout != torch.strided or tensor.is_nested else ""


def without_prefix(tensors: Tensors, network: nn.Module, where: str) -> Tensors:
    """The tensors under the network's names, without the prefix that the file's names have.

    Wrappers leave such prefixes: `module.` (DataParallel), `_orig_mod.` (torch.compile), `model.`
    or `net.` (Lightning). Lightning stores other parts of its module with the network, such as a
    loss with weights or a second network; these are skipped if the whole network has its own
    prefix. The log says what was stripped and skipped.
    """
    names = [name for name in tensors if name != COUNTER]
    own = set(network.state_dict())
    found = Counter(prefix for name in names for prefix in _prefixes(name, own))
    if not found or found[""] == max(found.values()):
        return tensors
    # If there are other names, a prefix counts only if the whole network is under it.
    whole = [prefix for prefix, n in found.items() if n == len(own)]
    usual = [prefix for prefix in whole if prefix.startswith(USUAL)] or whole
    if len(usual) > 1:
        several = f"whole networks under several prefixes, {', '.join(sorted(usual))}"
        raise JobError(
            f"{where}: {visible(several)} (expected one network). Save only the state_dict of the "
            "network that you mean."
        )
    common = [prefix for prefix in found if all(name.startswith(prefix) for name in names)]
    prefix = usual[0] if usual else max(common, key=found.__getitem__, default="")
    if not prefix:
        return tensors
    left = [name for name in names if not name.startswith(prefix)]
    of_all = "of all names" if not left else "of the network's names"
    log(f"{where}: stripped the prefix {visible(prefix)} {of_all}")
    if left:
        others = [other for other in whole if other != prefix]
        more = f"; among them {', '.join(others)}, also a whole network" if others else ""
        log(visible(f"  skipped {len(left)} tensors with other names ({left[0]}, …{more})"))
    return {name.removeprefix(prefix): tensors[name] for name in names if name not in set(left)}


def _prefixes(name: str, own: set[str]) -> Iterator[str]:
    """The prefixes of a name that precede one of the network's `own` names; "" for none."""
    parts = name.split(".")
    for n in range(len(parts)):
        if ".".join(parts[n:]) in own:
            yield "".join(f"{part}." for part in parts[:n])


def fitted(
    fetched: Fetched, network: nn.Module, classifiers: weights.Layers, headless: bool = False
) -> Tensors:
    """The weights with the names and types of `network`, checked key by key.

    Checkpoints from before PyTorch 0.4.1 lack the batch-norms' counters of steps. These play no
    part in the result, and start at 0.

    Parameters
    ----------
    classifiers : the names of the layers that give logits.
    headless : whether to skip these layers, which the file then need not have.

    Raises
    ------
    JobError : names what does not fit.
    """
    fresh = classifiers if headless else ()
    own = weights.without(fresh, network.state_dict())
    counters = [name for name in own if name.endswith(".num_batches_tracked")]
    zeros = {name: torch.zeros((), dtype=own[name].dtype) for name in counters}
    found = without_prefix(fetched.tensors, network, fetched.where)
    # A counter that was converted to floating point is ignored.
    whole = {n: t for n, t in found.items() if n not in zeros or not t.is_floating_point()}
    tensors = weights.without(fresh, zeros | whole)
    lacking = [name for name in own if name not in tensors]
    is_backbone = len(own) - len(lacking) == len(tensors)
    if (
        lacking
        and is_backbone
        and all(name.startswith(weights.beginnings(classifiers)) for name in lacking)
    ):
        raise JobError(
            f"{fetched.where}: no classifier in it (missing {', '.join(lacking)}). Give the "
            "weights of the whole network, or train a fresh classifier (custom.train)."
        )
    weights.check(tensors, network, fetched.where, fresh)
    for name in (name for name in own if name.split(".")[-1] == "running_var"):
        # A channel that is always 0 has no variance, but a layer with none has lost its statistics.
        lost = len(tensors[name]) and not tensors[name].any()
        if lost or (tensors[name] < 0).any():
            problem = "no variance in any channel" if lost else "a negative variance"
            expected = "expected the statistics of a trained network"
            raise JobError(
                f"{fetched.where}: {visible(name)} has {problem} ({expected}). Take other weights."
            )
    return {name: tensors[name].to(t.dtype) for name, t in own.items()}


# --- downloads ---------------------------------------------------------------------------------


def verified(path: Path, sha256: str | None, where: str) -> str:
    """The file's SHA-256. Raises JobError, which names `where`, unless it begins with `sha256`."""
    found = file_digest(path)
    if sha256 and not found.startswith(sha256.lower()):
        raise JobError(
            f"{where}: wrong checksum (got SHA-256 {found}, expected {sha256}). Get the file "
            "again, or correct the checksum. If the file has just been replaced, run the same "
            "command again."
        )
    return found


def download(url: str, sha256: str, folder: Path, way_out: str) -> Path:
    """Download a file, or continue an interrupted download, and check it.

    Parameters
    ----------
    sha256, folder, way_out : as in `fetch`.

    Returns
    -------
    The complete file in `folder`, with the suffix of the URL.

    Raises
    ------
    JobError : names the URL.
    """
    if len(sha256 or "") < MIN_DIGITS:
        expected = f"expected the file's SHA-256 or at least its first {MIN_DIGITS} digits"
        problem = f"checksum too short (got {sha256!r}, {expected})"
        raise JobError(f"{url}: {problem}. Give more digits.")
    # The name identifies the file, so that a part of another file is never continued.
    tag = hashlib.sha256(f"{url} {sha256}".encode()).hexdigest()[:8]
    suffix = Path(urllib.parse.urlparse(url).path).suffix
    part = folder / f"download-{tag}{suffix}"
    downloads.fetch(url, part, lambda file: verified(file, sha256, url), way_out)
    return part
