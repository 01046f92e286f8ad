"""The words of the command `recommend`: what is wrong with them, before anything takes time."""

import argparse
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from fixres.config import ConfigError, CustomNetwork
from fixres.config.custom import Share
from fixres.config.errors import explain, shown
from fixres.config.fields import Name, Pixels
from fixres.graph.checks import expanded
from fixres.graph.classes import RELEASE, read_classes
from fixres.jobs import JobError
from fixres.jobs.quoting import visible
from fixres.nearest import nearest

NETWORK = (
    r"^(timm:[^:]+|timm:local-dir:.+|timm:hf-hub:[^:]+/[^:]+|torchvision:[^:]+"
    r"|python:[\w.]+:\w+)$"
)
# Option -> what its values are, and what is said to be expected.
KINDS = {
    "--network": (
        Annotated[str, Field(pattern=NETWORK)],
        "timm:NAME[.TAG], timm:local-dir:FOLDER, timm:hf-hub:USER/NAME, torchvision:NAME[.WEIGHTS] "
        "or python:package.module:function",
    ),
    "--name": (Name, "at most 64 letters, digits, _, . and -, and first a letter or digit"),
    "--k-test": (Pixels, "1 to 65,535 pixels"),
    "--k-train": (Pixels, "1 to 65,535 pixels"),
    "--crop-pct": (Share, "0.1 to 1, such as 0.875"),
    "--split": (Annotated[float, Field(gt=0, le=1)], "above 0, at most 1, such as 0.2"),
    "--budget": (Annotated[float, Field(gt=0, allow_inf_nan=False)], "more than 0 minutes"),
}
ACTIVATIONS = 8  # the memory of a forward pass, at the very least, over that of its crops
# A network that is right, so that what is said of another can be checked key by key.
RIGHT = {
    "source": "timm:resnet18",
    "stride": 32,
    "classifier": "fc",
    "last_norm": ["bn"],
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
    "native": 224,
    "crop_pct": 0.875,
}


def check_text(arguments: list[str]) -> None:
    """Raise JobError for an argument that no text file could hold on one line."""
    for word in arguments:
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in word):
            raise JobError(
                "recommend: an argument has a control character or is not UTF-8 (got "
                f"{visible(word)}, expected text on one line). Rename the file or folder"
            )


def check(args: argparse.Namespace) -> None:
    """Raise JobError with one line for each option that has an invalid value."""
    if found := [*problems(args)]:
        raise JobError("\n".join(found))


def problems(args: argparse.Namespace) -> Iterator[str]:
    for option, (kind, expected) in KINDS.items():
        given = getattr(args, option.removeprefix("--").replace("-", "_"))
        for value in given if isinstance(given, list) else [given]:
            if value is not None and not _is(kind, value):
                got = f"got {shown(value)}, expected {expected}"
                yield f"{option}: out of range ({got}). Correct it"
    if not args.images or not (root := Path(expanded(args.images))).is_dir():
        wrong = "no such folder" if not args.images or not root.exists() else "not a folder"
        unset = "Is the variable set?" if "$" in args.images or not args.images else "Correct it"
        yield f"--images: {wrong} (got '{args.images}', expected a folder of images). {unset}"
    if args.classes not in (None, "imagenet", RELEASE):
        try:
            read_classes(args.classes, "--classes")
        except ConfigError as error:
            yield str(error)
    if args.labels is not None and not Path(expanded(args.labels)).is_file():
        yield (
            f"--labels: no such file (got '{args.labels}', expected a list of files and labels). "
            "Correct the path"
        )
    if args.classes is not None and args.train:
        yield "--classes: given with --train, which takes the folder's classes. Remove one of them"
    if args.weights not in ("pretrained", "none") and not Path(expanded(args.weights)).is_file():
        yield (
            f"--weights: no such file (got {args.weights}, expected pretrained, none, or a file). "
            "Correct the path"
        )
    if args.weights == "none" and not args.train:
        yield (
            "--weights: 'none' without --train would measure random weights. Give weights, or add "
            "--train"
        )
    if args.path and not Path(expanded(args.path)).is_dir():
        yield (
            f"--path: no such folder (got {args.path}, expected the folder of your package). "
            "Correct the path"
        )


def _is(kind: Any, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def read_given(pairs: list[str], keys: list[str]) -> dict[str, Any]:
    """What the user says of the network: the values of --given KEY=VALUE, for some of these keys.

    Raises
    ------
    JobError : a pair is none, or its value is not the key's.
    """
    given: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise JobError(f"--given {pair}: expected KEY=VALUE, such as classifier=head")
        if key not in keys:
            raise JobError(f"--given {pair}: {nearest(key, keys)}")
        if key in given:
            raise JobError(f"--given {pair}: duplicate value for {key}. Remove one of them")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise JobError(
                f"--given {pair}: not valid YAML (expected a value such as [bn2], in quotes for "
                f"the shell: '{key}=[bn2]'). Correct it"
            ) from None
        # One layer is often enough, and a name such as 4 or on is a name.
        alone = key == "last_norm" and not isinstance(value, list)
        given[key] = [text] if alone and text else text if key == "classifier" else value
    try:
        CustomNetwork(**RIGHT | given)
    except ValidationError as error:
        lines = (explain(problem, section=CustomNetwork) for problem in error.errors())
        raise JobError("\n".join(f"--given {line}" for line in lines)) from None
    return given


def check_room(option: str, batch: int, k: int, device: str) -> None:
    """Raise JobError where a forward pass of k×k crops would fill the memory of this machine.

    On a CPU the allocator hands out more memory than there is, and the kernel then kills the
    process. `option` is the option that asked for such crops.
    """
    needed = ACTIVATIONS * 4 * 3 * batch * k * k
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if device == "cpu" and needed > there:
        raise JobError(
            f"{option}: {batch} image(s) of {k} px do not fit into this machine's memory (got at "
            f"least {needed / 1e9:,.0f} GB, expected at most {there / 1e9:,.0f} GB). Use a smaller "
            "resolution"
        )
