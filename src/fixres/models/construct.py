"""Build a network that is no entry of the zoo: of timm, of torchvision, or of the user's own code.

The source says how: timm:NAME[.TAG], torchvision:NAME[.WEIGHTS], or python:package.module:function.
"""

import importlib
import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from fixres.jobs import JobError
from fixres.models.catalogue.zoo import nearest

if TYPE_CHECKING:
    import torch

    Build = Callable[[int], torch.nn.Module]


def builder(source: str, path: str = "", options: dict | None = None) -> "Build":
    """A function from the number of classes to the network, with random weights.

    Parameters
    ----------
    path : the folder in which the module of python:package.module:function is found.
    options : further arguments of the constructor.

    Raises
    ------
    JobError : when it is called: there is no such network. The message names the nearest.
    """
    kind, _, name = source.partition(":")
    build = {"timm": _timm, "torchvision": _torchvision, "python": _python}[kind]
    return lambda classes: build(name, path, classes, options or {})


def _timm(name: str, path: str, classes: int, options: dict) -> "torch.nn.Module":
    import timm

    check_timm(name)
    return timm.create_model(name, num_classes=classes, **options)


def _torchvision(name: str, path: str, classes: int, options: dict) -> "torch.nn.Module":
    from torchvision import models

    architecture = check_torchvision(name)
    return models.get_model(architecture, weights=None, num_classes=classes, **options)


def check_timm(name: str) -> str:
    """The architecture of a name of timm. Raises JobError where timm has none."""
    import timm

    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        raise JobError(f"timm:{name}: {nearest(architecture, timm.list_models())}")
    return architecture


def check_torchvision(name: str) -> str:
    """The architecture of a name of torchvision. Raises JobError where it has none."""
    from torchvision import models

    architecture, known = name.partition(".")[0], models.list_models(module=models)
    if architecture not in known:
        raise JobError(f"torchvision:{name}: {nearest(architecture, known)}")
    return architecture


def _python(name: str, path: str, classes: int | None, options: dict) -> "torch.nn.Module":
    """Call the user's constructor. It gets the number of classes where it takes one."""
    function = imported(name, path)
    if classes is not None and takes_classes(name, path):
        options = {"num_classes": classes, **options}
    network = function(**options)
    import torch

    if not isinstance(network, torch.nn.Module):
        found = type(network).__name__
        raise JobError(f"python:{name}: found a {found}, expected a function that gives a Module")
    return network


def takes_classes(name: str, path: str) -> bool:
    """Whether the user's constructor takes num_classes. Else its network has a fixed number."""
    taken = inspect.signature(imported(name, path)).parameters.values()
    return any(p.name == "num_classes" or p.kind is p.VAR_KEYWORD for p in taken)


def imported(name: str, path: str) -> Callable:
    """The user's constructor. Raises JobError where there is none."""
    module, _, function = name.partition(":")
    if path and path not in sys.path:
        sys.path.insert(0, path)
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and not module.startswith(error.name):
            raise JobError(
                f"python:{name}: {module} imports {error.name}, which is not installed; install it "
                "into the suite's environment (.venv/bin/pip install …)"
            ) from None
        where = path or "the suite's environment"
        raise JobError(
            f"python:{name}: no module {module} in {where}; path is the folder that holds it"
        ) from None
    if not callable(getattr(found, function, None)):
        known = [key for key, value in vars(found).items() if callable(value) and key[0] != "_"]
        raise JobError(f"python:{name}: {nearest(function, known)}, of the functions of {module}")
    return getattr(found, function)


def weights_of(entry: dict) -> dict:
    """Where the weights of such a network come from, as `published.fetch` is told it.

    Parameters
    ----------
    entry : see graph/custom.py; its `weights` are "pretrained" or the path of a file.

    Raises
    ------
    JobError : the library has no such weights.
    """
    if entry["weights"] != "pretrained":
        return {"file": entry["weights"], "sha256": None}
    kind, _, name = entry["source"].partition(":")
    if kind == "timm":
        return {"timm": timm_weights(name)}
    if kind == "torchvision":
        return {"torchvision": str(torchvision_weights(name))}
    return {"python": {"name": name, "path": entry["path"], "options": entry["options"]}}


def timm_weights(name: str) -> str:
    """The name with its tag; without one, that of timm's default weights."""
    import timm

    architecture, _, tag = name.partition(".")
    known = timm.list_pretrained(f"{architecture}.*") or timm.list_pretrained(architecture)
    if not tag and known:
        default = timm.get_pretrained_cfg(architecture)
        return f"{architecture}.{default.tag}" if default.tag else architecture
    if name not in known:
        has = f"has {', '.join(known)}" if known else "has none for this network"
        raise JobError(f"timm:{name}: no such weights; timm {has}; or give a file (weights)")
    return name


def torchvision_weights(name: str) -> object:
    """The weights enum of a name such as resnet50.IMAGENET1K_V2; without a tag, the default."""
    from torchvision import models

    architecture, _, tag = name.partition(".")
    known = models.get_model_weights(architecture)
    if tag and tag not in known.__members__:
        raise JobError(
            f"torchvision:{name}: no such weights; torchvision has "
            f"{', '.join(known.__members__)}; or give a file (weights)"
        )
    return known[tag] if tag else known.DEFAULT
