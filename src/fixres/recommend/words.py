"""The words of the command `recommend`: what is wrong with them, before anything takes time."""

import argparse
import math
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from fixres.config import CustomNetwork
from fixres.config.custom import Share
from fixres.config.errors import explain
from fixres.config.fields import Name, Pixels
from fixres.graph.checks import expanded
from fixres.jobs import JobError
from fixres.jobs.quoting import visible
from fixres.nearest import nearest

LONGEST = 100  # letters of a name: it becomes part of names of files
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
# What may be given, in place of what would be found.
KEYS = ("classifier", "last_norm", "mean", "std", "native", "crop_pct", "stride", "any_size")
KEYS += ("options", "outputs")


def check_text(arguments: list[str]) -> None:
    """Raise JobError for a word that no file of text could hold on one line."""
    for word in arguments:
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in word):
            raise JobError(
                f"recommend: a word with a control character, or not UTF-8 (got {visible(word)}, "
                "expected text on one line). Rename the file or folder"
            )


def check(args: argparse.Namespace) -> None:
    """Raise JobError with a line for each option that cannot be meant."""
    if problems := [*_problems(args)]:
        raise JobError("\n".join(problems))


def _problems(args: argparse.Namespace) -> Iterator[str]:
    yield from _wrong({"source": args.network}, "--network")
    if args.name is not None:
        named = "letters, digits, _, . and -, beginning with a letter or digit"
        yield from _unless(args.name, Name, "--name", f"at most {LONGEST} {named}", LONGEST)
    for option, values, kind, expected in (
        ("--k-test", args.k_test, Pixels, "pixels, 1 or more"),
        ("--k-train", args.k_train and [args.k_train], Pixels, "pixels, 1 or more"),
        ("--crop-pct", args.crop_pct, Share, "0.1 to 1, such as 0.875"),
    ):
        for value in values or ():
            yield from _unless(value, kind, option, expected)
    if args.k_train == 0:
        yield "--k-train: found 0, expected pixels, 1 or more"
    if args.split is not None and not 0 < args.split < 1:
        yield (
            f"--split: no share of the images (got {args.split:g}, expected a number between 0 "
            "and 1, such as 0.2 for a fifth). Correct it"
        )
    if args.budget is not None and not (math.isfinite(args.budget) and args.budget > 0):
        yield f"--budget: no number of minutes (got {args.budget:g}, expected more than 0)"
    if not args.images:
        yield "--images: empty (expected a folder with train/ and val/). Is the variable set?"
    if args.classes is not None and args.train:
        yield "--classes: given with --train, which takes the folder's classes. Leave one of them"
    if args.weights not in ("pretrained", "none") and not Path(expanded(args.weights)).is_file():
        yield (
            f"--weights: no such file (got {args.weights}, expected pretrained, none, or a file). "
            "Correct the path"
        )
    if args.weights == "none" and not args.train:
        yield "--weights: none, without --train: random weights would be measured. Give weights"
    if args.path and not Path(expanded(args.path)).is_dir():
        yield f"--path: no such folder (got {args.path}). Correct it"


def _unless(value: Any, kind: Any, option: str, expected: str, longest: int = 0) -> Iterator[str]:
    """A line, unless a value is of a kind of the configuration."""
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        pass
    else:
        if not longest or len(value) <= longest:
            return
    yield f"{option}: not what can be meant (got {value}, expected {expected}). Correct it"


def _wrong(said: dict, where: str) -> Iterator[str]:
    """A line for each key of a custom network that what is said of it gets wrong."""
    try:
        CustomNetwork(**RIGHT | said)
    except ValidationError as error:
        for problem in error.errors():
            yield f"{where} {explain(problem, section=CustomNetwork)}"


def read_given(pairs: list[str]) -> dict[str, Any]:
    """What the user says of the network: the values of --given KEY=VALUE.

    Raises
    ------
    JobError : a pair is none, or its value is not the key's.
    """
    given: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise JobError(f"--given {pair}: expected KEY=VALUE, such as classifier=head")
        if key not in KEYS:
            raise JobError(f"--given {pair}: {nearest(key, KEYS)}")
        if key in given:
            raise JobError(f"--given {pair}: {key} is given twice. Leave one of them")
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
    if problems := [*_wrong(given, "--given")]:
        raise JobError("\n".join(problems))
    return given


def check_room(option: str, batch: int, k: int, device: str) -> None:
    """Raise JobError where a forward pass of k×k crops would fill the memory of this machine.

    A processor's allocator gives more than there is, and then the kernel ends the process. `option`
    is what asks for such crops.
    """
    needed = ACTIVATIONS * 4 * 3 * batch * k * k
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if device == "cpu" and needed > there:
        raise JobError(
            f"{option}: {batch} image(s) of {k} px do not fit this machine's memory (got at least "
            f"{needed / 1e9:,.0f} GB, expected at most {there / 1e9:,.0f}). Take smaller ones"
        )
