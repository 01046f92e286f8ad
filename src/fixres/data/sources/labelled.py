"""A folder of images whose classes are in a list, with the file and label of one image per line.

    file,label                                    separated by a comma, a semicolon or a tab;
    cats/1.jpg,cat                                with or without the names of the columns
    ImageId,PredictionString                      Kaggle's LOC_val_solution.csv: without endings;
    ILSVRC2012_val_00048981,n03995372 85 1 499    boxes after the class are ignored
    ILSVRC2012_val_00000001.JPEG 65               separated by blanks, as for timm and Caffe

Files are relative to the folder. Labels are names of classes, or numbers from 0 in the order of the
network's classes.
"""

import csv
import hashlib
import io
import re
from collections import Counter
from functools import cache
from pathlib import Path
from posixpath import normpath, splitext
from typing import NamedTuple

from fixres.data.sources.base import Listing
from fixres.data.sources.lists import abbreviated, found_below
from fixres.data.walk import reading
from fixres.jobs import JobError
from fixres.jobs.quoting import visible

FILES = "file filename file_name filepath file_path path image image_id imageid image_name"
LABELS = "label labels class class_id class_name classname category target predictionstring wnid"
FILES, LABELS = ({*words.split()} for words in (FILES + " image_path img id", LABELS + " synset"))
BOXES = re.compile(r"(n\d{8}( -?\d+){4} ?)+")  # Kaggle's format: pairs of a class and its box
UNLISTED = "not in the list of labels"
EXPECTED = "FILE,LABEL, or FILE LABEL"


class Row(NamedTuple):
    """A line of the list."""

    number: int  # of the line, from 1
    file: str
    label: str


def read(folder: Path, list_file: Path, sha256: str = "") -> Listing:
    """The listed images below a folder, sorted by path, all of them as validation images.

    Parameters
    ----------
    sha256 : the SHA-256 of the list when it was planned; "": any.

    Raises
    ------
    JobError : the list cannot be read or has changed, or a listed image is missing. The message
        names the line.
    """
    found = found_below(folder, ".")
    there, stems = set(found.files), dict[str, list[str]]()
    for file in found.files:
        stems.setdefault(splitext(file)[0], []).append(file)
    images, missing = [], []
    for row in read_rows(list_file, sha256):
        name = normpath(row.file)
        of_name = [name] if name in there else stems.get(name, [])
        if len(of_name) > 1:
            many = f"several such images (got '{visible(row.file)}': {abbreviated(of_name)})"
            raise JobError(f"{list_file}, line {row.number}: {many}. List them with their endings.")
        if of_name:
            images.append((of_name[0], row.label))
        else:
            missing.append(f"{row.file} (line {row.number})")
    if missing:
        example = f"such as {visible(min(there))}" if there else "which has no images"
        raise JobError(
            f"{list_file}: {len(missing)} listed images are missing (got {abbreviated(missing)}, "
            f"expected files below {folder}, {example}). {_way_out(missing)}"
        )
    classes = sorted({label for _, label in images}, key=_in_order)
    if len(classes) < 2:
        raise JobError(f"{list_file}: only one class (got {classes}, expected at least 2).")
    number = {name: i for i, name in enumerate(classes)}
    skipped = found.skipped + Counter({UNLISTED: len(there - {file for file, _ in images})})
    if list_file.absolute().is_relative_to(folder.absolute()):
        skipped -= Counter({list_file.suffix.lower(): 1})
    return Listing(
        tuple(classes),
        sorted((file, number[label], 1) for file, label in images),
        (str(list_file.absolute()),) * 2,
        folders=(".",),
        complete=False,
        skipped=+skipped,
    )


def _way_out(missing: list[str]) -> str:
    if missing[0].endswith("(line 1)"):
        return "Correct the list; if its first line names the columns, call them file and label."
    return "Correct the list, or use the folder that its files are relative to."


def labels_of(list_file: Path) -> list[str]:
    """The distinct labels of a list, in order."""
    with reading(str(list_file)):
        status = list_file.stat()
    return _labels_of(list_file, (status.st_ino, status.st_size, status.st_mtime_ns))


@cache
def _labels_of(list_file: Path, _: tuple[int, ...]) -> list[str]:
    return sorted({row.label for row in read_rows(list_file)}, key=_in_order)


def numbered(labels: list[str], classes: list[str], where: str) -> dict[str, int]:
    """The class number of each label that is a network's class, by name or as a number from 0.

    Other labels are left out. `where` is the file with the labels, for messages.

    Raises JobError if labels could be both names and numbers, but of different classes.
    """
    by_name = {name: i for i, name in enumerate(classes)}
    named = {label: by_name[label] for label in labels if label in by_name}
    counted = {label: int(label) for label in labels if _is_number(label)}
    counted = {label: i for label, i in counted.items() if i < len(classes)}
    if len(named) == len(counted) == len(labels) and named != counted:
        label = next(label for label in labels if named[label] != counted[label])
        raise JobError(
            f"{where}: ambiguous labels (got {label}: the number of the network's class "
            f"{counted[label]}, and the name of its class {named[label]}). Rename the classes in "
            "both lists."
        )
    return counted if len(counted) > len(named) else named


# --- the list ------------------------------------------------------------------------------------


def read_rows(list_file: Path, sha256: str = "") -> list[Row]:
    """The lines of a list, without the line that names the columns."""
    with reading(str(list_file)):
        content = list_file.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        fix = "Convert it: `iconv -f latin1 -t utf-8`."
        raise JobError(f"{list_file}, line {line}: not UTF-8. {fix}") from None
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise JobError(f"{list_file}: changed after the planning. Run the same command again.")
    cells = _cells(text, list_file)
    if not cells:
        raise JobError(f"{list_file}: empty (expected {EXPECTED} in each line).")
    head = [cell.lower() for cell in cells[0][1]]
    at_file, at_label, named = 0, 1, bool(FILES & {*head} and LABELS & {*head})
    if named:
        at_file, at_label = (head.index(next(c for c in head if c in n)) for n in (FILES, LABELS))
    rows, columns = [], len(head) if named else 2
    for number, row in cells[named:]:
        if len(row) != columns or not row[at_file] or not row[at_label]:
            got = f"got '{visible(', '.join(row))}', expected {EXPECTED}"
            fix = "Name the columns in the first line." if len(row) > columns else "Correct it."
            raise JobError(f"{list_file}, line {number}: no file and label ({got}). {fix}")
        rows.append(Row(number, row[at_file], _label(row[at_label], list_file, number)))
    return rows


def _cells(text: str, list_file: Path) -> list[tuple[int, list[str]]]:
    """The number and the cells of each line that is not empty."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    between = next((sign for sign in "\t,;" if sign in first), None)
    if between is None:
        lines = enumerate(text.splitlines(), 1)
        return [(number, line.rsplit(maxsplit=1)) for number, line in lines if line.strip()]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=between, strict=True)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise JobError(f"{list_file}, line {reader.line_num}: {error}. Correct it.") from None
    return [(number, row) for number, row in rows if any(row)]


def _label(text: str, list_file: Path, number: int) -> str:
    """A label: the whole text, or the class of Kaggle's boxes."""
    if not BOXES.fullmatch(text):
        return text
    classes = dict.fromkeys(text.split()[::5])
    if len(classes) > 1:
        got = f"got {', '.join(classes)}, expected one"
        raise JobError(f"{list_file}, line {number}: several classes ({got}). Correct it.")
    return next(iter(classes))


def _in_order(label: str) -> tuple:
    """Sort key: numbers by value, then names."""
    return (0, int(label), label) if _is_number(label) else (1, 0, label)


def _is_number(label: str) -> bool:
    return label.isascii() and label.isdecimal()
