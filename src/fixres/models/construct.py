"""Build a network from timm, torchvision, this suite, or the user's code.

A constructor is written timm:NAME[.TAG], torchvision:NAME[.WEIGHTS], fixres:MODULE:FUNCTION (in
fixres.models), or python:package.module:function. The zoo's entries name constructors, and so does
the configuration key custom.network.source.
"""

import contextlib
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator

import torch
from torch import nn

from fixres.jobs import JobError
from fixres.jobs.quoting import visible
from fixres.models import code
from fixres.models.catalogue import zoo
from fixres.models.catalogue.network import Network
from fixres.nearest import nearest

HUB = "hf-hub:"  # prefix of weights on the Hugging Face Hub

# --- a network of the zoo, or a custom network ----------------------------------------------------


def build(network: Network | str, classes: int, seed: int) -> nn.Module:
    """Build a network, channels_last, with random weights that depend only on `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = _new(network, classes)
    return built.to(memory_format=torch.channels_last)


def check_layers(entry: Network | str, network: nn.Module) -> None:
    """Raise JobError if an entry names layers that the network does not have.

    The layers are first needed by fine-tuning, which may come days of training later.
    """
    entry = zoo.by_name(entry)
    layers = [layer for layer, _ in network.named_modules() if layer]
    named = [("classifier", entry.classifier)]
    named += [("other_heads", name) for name in entry.other_heads]
    named += [("last_batch_norm", name) for name in entry.last_batch_norm]
    named += [("cells", name) for name in entry.cells]
    wrong = [f"  {key} ({nearest(name, layers)})\n" for key, name in named if name not in layers]
    if wrong:
        place, way_out = "custom.network", "Correct them. docs/recommend.md"
        if name := next((name for name, known in zoo.ZOO.items() if known is entry), None):
            place = f"ZOO['{name}'] (models/catalogue/zoo.py)"
            way_out = 'Correct the entry. docs/networks.md, "Adding a network",'
        raise JobError(
            f"{place}: names layers that {entry.title} does not have:\n{''.join(wrong)}"
            f"  {way_out} explains each key."
        )


def outline(network: Network | str, classes: int) -> nn.Module:
    """The network on torch's meta device: names and shapes, but no numbers and no memory."""
    with torch.device("meta"):
        return _new(network, classes)


def _new(network: Network | str, classes: int) -> nn.Module:
    entry = zoo.by_name(network)
    if entry.code:
        code.check(entry.constructor, entry.path, entry.code)
    return call(entry.constructor, classes, entry.path, entry.options)


# --- constructors ---------------------------------------------------------------------------------


def call(constructor: str, classes: int | None, path: str, options: dict) -> nn.Module:
    """The network that a constructor returns, with random weights.

    Parameters
    ----------
    classes : how many; None (only for python:…): the constructor's default.
    path : the folder with the module of python:package.module:function.
    options : further arguments of the constructor.

    Raises
    ------
    JobError : there is no such network. The message names similar ones.
    """
    kind, _, name = constructor.partition(":")
    if kind == "python":
        return _python(name, path, classes, options)
    if kind == "fixres":
        module, _, function = name.partition(":")
        module = importlib.import_module(f"fixres.models.{module}")
        return getattr(module, function)(classes, **options)
    architecture = architecture_of(constructor)
    if kind == "timm":
        import timm

        return timm.create_model(name, num_classes=classes, **options)
    from torchvision import models

    return models.get_model(architecture, weights=None, num_classes=classes, **options)


def architecture_of(constructor: str) -> str:
    """The architecture that timm:… or torchvision:… names. Raises JobError if it is unknown."""
    kind, _, name = constructor.partition(":")
    architecture = name.partition(".")[0]
    if kind == "timm":
        import timm

        known, is_known = timm.list_models(), timm.is_model(architecture)
    else:
        from torchvision import models

        known = models.list_models(module=models)
        is_known = architecture in known
    if not is_known:
        raise JobError(
            f"{constructor}: unknown network ({nearest(architecture, known)}). Correct the name."
        )
    return architecture


def _python(name: str, path: str, classes: int | None, options: dict) -> nn.Module:
    """Call the user's constructor, with the number of classes if it takes one."""
    if classes is not None and takes_classes(name, path):
        options = {"num_classes": classes, **options}
    constructor = imported(name, path)
    with running(name):
        network = constructor(**options)
    if not isinstance(network, nn.Module):
        found = type(network).__name__
        raise JobError(
            f"python:{name}: does not return a network (got {found}, expected torch.nn.Module). "
            "Return the network."
        )
    return network


def takes_classes(name: str, path: str) -> bool:
    """Whether the user's constructor takes num_classes. If not, the number of classes is fixed."""
    taken = inspect.signature(imported(name, path)).parameters.values()
    return any(p.name == "num_classes" or p.kind is p.VAR_KEYWORD for p in taken)


def imported(name: str, path: str) -> Callable:
    """The user's constructor. Raises JobError if it does not exist."""
    module, _, function = name.partition(":")
    if path and path not in sys.path:
        sys.path.insert(0, path)
    if not code.file_of(path, module).is_file():
        where = path or "the suite's environment"
        problem = f"no module {module} in {where}"
        raise JobError(f"python:{name}: {problem}. Give the folder that holds it as path.")
    with running(name):
        found = importlib.import_module(module)
    if not callable(getattr(found, function, None)):
        known = [key for key, value in vars(found).items() if callable(value) and key[0] != "_"]
        raise JobError(
            f"python:{name}: no such function in {module} ({nearest(function, known)}). "
            "Correct the name."
        )
    return getattr(found, function)


@contextlib.contextmanager
def running(name: str) -> Iterator[None]:
    """A block that runs the user's code. Whatever stops the code is raised as one JobError."""
    folder = os.getcwd()
    try:
        yield
        moved = os.getcwd() != folder
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        raise JobError(f"python:{name}: {failure(error)}") from error
    finally:
        os.chdir(folder)
    if moved:
        raise JobError(
            f"python:{name}: its code changes the current folder, which the job relies on. Remove "
            "os.chdir, and open files relative to Path(__file__).parent."
        )


def failure(error: BaseException) -> str:
    """An error of the user's code and the place where it was raised, on one line."""
    if isinstance(error, SyntaxError):
        return visible(f"{error.filename}, line {error.lineno}: {error.msg}. Correct the file.")
    frames = traceback.extract_tb(error.__traceback__)
    installed = (os.path.dirname(os.__file__), "<frozen", os.path.dirname(torch.__path__[0]))
    theirs = [frame for frame in frames if not frame.filename.startswith(installed)]
    [*_, last] = theirs or frames
    place = f" ({last.filename}, line {last.lineno})"
    if isinstance(error, SystemExit):
        guard = 'Move everything but definitions under if __name__ == "__main__":.'
        return visible(f"its code exits with {error.code!r}{place}. {guard}")
    if isinstance(error, ModuleNotFoundError) and error.name:
        way_out = "Install it into the suite's environment (.venv/bin/pip install …)."
        return visible(f"imports {error.name}, which is not installed{place}. {way_out}")
    reason = next(iter(str(error).splitlines()), "")
    return visible(f"its code fails with {type(error).__name__}: {reason}{place}. Correct it.")


# --- their published weights ----------------------------------------------------------------------


def weights_of(entry: dict, sha256: str | None = None) -> dict:
    """The source of such a network's weights, for `published.fetch`.

    Parameters
    ----------
    entry : see graph/custom.py; its `weights` are "pretrained", hf-hub:…, or the path of a file.
    sha256 : of that file, when the job was planned.

    Raises
    ------
    JobError : the library has no such weights.
    """
    if entry["weights"].startswith(HUB):
        return {"hf-hub": entry["weights"].removeprefix(HUB)}
    if entry["weights"] != "pretrained":
        return {"file": entry["weights"], "sha256": sha256}
    kind, _, name = entry["source"].partition(":")
    if kind == "timm":
        return {"timm": timm_weights(name)}
    if kind == "torchvision":
        return {"torchvision": str(torchvision_weights(name))}
    return {"python": {"name": name, "path": entry["path"], "options": entry["options"]}}


def timm_weights(name: str) -> str:
    """The name with its tag, or with the tag of timm's default weights if it has none."""
    import timm

    architecture, _, tag = name.partition(".")
    known = timm.list_pretrained(f"{architecture}.*") or timm.list_pretrained(architecture)
    if not tag and known:
        default = timm.get_pretrained_cfg(architecture)
        return f"{architecture}.{default.tag}" if default.tag else architecture
    if name not in known:
        tags = [n.partition(".")[2] or n for n in known]
        raise JobError(_unknown_weights(f"timm:{name}", tag, tags))
    return name


def torchvision_weights(name: str) -> object:
    """The weights enum of a name such as resnet50.IMAGENET1K_V2, or the default without a tag."""
    from torchvision import models

    architecture, _, tag = name.partition(".")
    known = models.get_model_weights(architecture)
    if tag and tag not in known.__members__:
        raise JobError(_unknown_weights(f"torchvision:{name}", tag, list(known.__members__)))
    return known[tag] if tag else known.DEFAULT


def _unknown_weights(source: str, tag: str, known: list[str]) -> str:
    if not known:
        return f"{source}: no published weights for this network. Give a file (weights)."
    expected = f"{', '.join(known[:-1])} or {known[-1]}" if known[1:] else known[0]
    return (
        f"{source}: unknown weights (got {tag}, expected {expected}). Name one of these, or give a "
        "file (weights)."
    )
