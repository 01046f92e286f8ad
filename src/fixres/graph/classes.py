"""The classes of a dataset in the order of the network that knows them.

A network that others have trained gives numbers, and only the order of its classes says which
number is which class. So that order is checked against the folders before any job runs.
"""

import json
import os
import re
from collections import Counter
from pathlib import Path

from fixres.config import ConfigError
from fixres.config.datasets import Dataset
from fixres.data import sources
from fixres.data.sources import abbreviated, labelled
from fixres.data.walk import folders_in
from fixres.graph.checks import expanded
from fixres.jobs import JobError
from fixres.jobs.quoting import visible

IMAGENET = 1000  # classes of the list that `imagenet` names
RELEASE = "release"  # of --classes: the order of the labels of an official release
WORDNET = re.compile(r"n\d{8}")  # an id in it
WHAT_TO_GIVE = "the network's classes in its order, one a line"


def classes_of(dataset: Dataset, key: str) -> dict:
    """The classes of a dataset that are wanted, in their order, where they are given.

    Raises
    ------
    ConfigError : no such file of classes, or not a list of classes. `key` is the key that names it.
    """
    if isinstance(dataset.classes, int):
        return {"classes": [str(number) for number in range(dataset.classes)]}
    if dataset.classes in ("imagenet", None, ""):
        return {"classes": "imagenet"} if dataset.classes else {}
    return {"classes": read_classes(dataset.classes, key)}


def read_classes(file: str, key: str) -> list[str]:
    """The lines of a file of classes; of a .json, its label_names.

    Raises ConfigError, which names the `key` that gives the file.
    """
    path = Path(expanded(file))
    if not os.path.isfile(path):  # False where a name is too long, too
        raise ConfigError(
            f"{key}: no such file (got '{file}', expected imagenet, or a file with "
            f"{WHAT_TO_GIVE}). Correct the path."
        )
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path}, line {line}: not UTF-8 (got the byte {error.object[error.start]:#04x}, "
            f"expected UTF-8 text; named by {key}). Convert it with iconv -f latin1 -t utf-8."
        ) from None
    lines = _in_json(text) if path.suffix == ".json" else text.split("\n")
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise ConfigError(f"{path}: no class in it (named by {key}). List {WHAT_TO_GIVE}.")
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        raise ConfigError(
            f"{path}: duplicate classes (got {abbreviated(twice)}; named by {key}). Give each "
            "class a unique name, and its folder the same name."
        )
    return names


def _in_json(text: str) -> list[str]:
    """The classes in a timm configuration, as stored with weights: its label_names."""
    try:
        content = json.loads(text)
        names = content.get("label_names") or content["pretrained_cfg"]["label_names"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    are_names = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if are_names else []


def names_are_among(dataset: Dataset, file: str) -> bool:
    """Whether a file lists classes, and all class folders or labels of a dataset are among them."""
    try:
        names = _names(dataset)
        return bool(names) and set(names) <= set(read_classes(file, ""))
    except (ConfigError, JobError):
        return False


def absent_classes(dataset: Dataset, key: str, outputs: int) -> int:
    """How many of the `outputs` classes of a network have no image, as far as names tell.

    These are the names of class folders, or the labels of a list.

    `key` is what names the classes, for messages.

    Raises
    ------
    ConfigError : the network's order of classes is not known, or it is another network's.
    """
    listed = classes_of(dataset, key).get("classes")
    n = IMAGENET if listed == "imagenet" else len(listed or ())
    if listed and n != outputs:
        raise ConfigError(
            f"{key}: not the classes of this network (got {n} names, expected {outputs}, one per "
            f"output of the network). List {WHAT_TO_GIVE}."
        )
    try:
        names = _names(dataset)
        if not names:
            return _absent_of(dataset, outputs)
        if not listed:
            _check_order(names, key, outputs, "labels" if dataset.labels else "folders")
            return 0
        known = _known(names, listed, dataset)
    except JobError as error:
        raise ConfigError(str(error)) from None
    if unknown := [name for name in names if name not in known]:
        got = "WordNet ids such as n01440764" if listed == "imagenet" else abbreviated(listed)
        what, way_out = "class folders", "Name the folders like the network's classes"
        if dataset.labels:
            what = f"labels of {dataset.labels}"
            way_out = "Take the names of the network's classes, or their numbers from 0"
        raise ConfigError(
            f"{key}: lacks {len(unknown)} of the {len(names)} {what}: "
            f"{abbreviated(unknown)} (got {got}). {way_out}, or train the network on these classes "
            "(custom.train, --train)."
        )
    return outputs - len({known[name] for name in names})


def _absent_of(dataset: Dataset, outputs: int) -> int:
    """The same of an official release, if it is known which of the network's classes it has."""
    source = sources.load(dataset.source)
    known = source.published and (source.wordnet or dataset.classes) and not dataset.rendered
    return max(outputs - source.published[2], 0) if known else 0


def _names(dataset: Dataset) -> list[str]:
    """The names of class folders, sorted as text, or the labels of a list; of others none."""
    if dataset.source != "imagefolder" or dataset.rendered:
        return []
    if dataset.labels:
        return labelled.labels_of(Path(expanded(dataset.labels)))
    root = Path(expanded(dataset.root))
    parts = [root] if dataset.split else [root / "train", root / "val"]
    return sorted({name for part in parts for name in folders_in(part)})


def _known(names: list[str], listed: str | list[str], dataset: Dataset) -> dict[str, str | int]:
    """The names that are classes of the network -> the class."""
    # The list itself takes timm, and timm torch.
    wordnet = {name: name for name in names if WORDNET.fullmatch(name)}
    if not dataset.labels:
        return wordnet if listed == "imagenet" else {name: name for name in listed}
    if listed == "imagenet":
        return wordnet or labelled.numbered(names, [""] * IMAGENET, dataset.labels)
    return labelled.numbered(names, listed, dataset.labels)


def _check_order(folders: list[str], key: str, outputs: int, what: str) -> None:
    """Raise ConfigError unless the folders' names alone tell the network's order of classes.

    `what` they are: folders, or labels.
    """
    folders, where = sorted(folders), "list" if what == "labels" else "folder"
    if len(folders) != outputs:
        raise ConfigError(
            f"{key}: the network has {outputs} classes, but the {where} {len(folders)} "
            f"({abbreviated(folders)}). Give a file with {WHAT_TO_GIVE}, or train the network on "
            "these classes first (custom.train, --train)."
        )
    by_number = sorted(folders, key=natural)
    differ = [i for i, pair in enumerate(zip(folders, by_number, strict=True)) if len({*pair}) > 1]
    if differ:
        start = max(differ[0] - 2, 0)
        as_text, in_order = (
            visible(", ".join(names[start : start + 6])) for names in (folders, by_number)
        )
        before = "… " if start else ""
        raise ConfigError(
            f"{key}: the network's order of classes is not known (got {what} that are {before}"
            f"{as_text} … when sorted as text, as torchvision does, and {before}{in_order} … by "
            "their numbers, as timm does; expected that both agree, or a list). Give a file with "
            f"{WHAT_TO_GIVE}: ls FOLDER | LC_ALL=C sort, or ls FOLDER | sort -V, prints one."
        )


def natural(name: str) -> list:
    """What timm sorts class folders by: their numbers as numbers, their letters as small ones."""
    return [int(s) if s.isdecimal() else s for s in re.split(r"(\d+)", name.lower())]
