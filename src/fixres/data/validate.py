"""Decode every image of a dataset completely, before any other job uses it.

This finds and names files that would stop a later job, and oddities of the dataset. The result is a
list of remarks, each of one of the `KINDS`. `report` prints all of them.
"""

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fixres.artifacts.manifest import SPLITS
from fixres.data import image_files
from fixres.data.sources import Listing, Source, counted, images_below
from fixres.hardware.pool import spread
from fixres.jobs import progress
from fixres.jobs.quoting import code, plain

CHUNK = 100  # images that a process takes at once
# Each kind of remark, and the report's words for such a file; empty if the name is enough.
KINDS = {
    "unsupported": "cannot be read here",
    "unreadable": "cannot be decoded",
    "altered": "is not the listed image (its MD5 differs)",
    "absent": "is listed, but missing",
    "unlisted": "is in an image folder, but not listed",
    "not JPEG": "",
    "CMYK": "",
    "grey": "",
    "duplicate": "",
    "scaled": "has more than 8 bits per value; the range of values is scaled to 0 … 255",
}
UNUSABLE = ("unsupported", "unreadable", "altered", "absent")
GREY_MODES = ("1", "L", "LA", *image_files.DEEP)
JPEG_FORMATS = ("JPEG", "MPO")  # MPO: a JPEG with more pictures after the first


class Remark(NamedTuple):
    """A remark about one file."""

    kind: str  # one of KINDS
    path: str  # below the layout folder
    text: str = ""


class Seen(NamedTuple):
    """The result of decoding. Arrays have one row per listed image; zeros if not decoded."""

    height: np.ndarray  # (n,) int32, pixels
    width: np.ndarray  # (n,) int32, pixels
    checksum: np.ndarray  # (n,) uint64, BLAKE2b of the file
    kept: np.ndarray  # (n,) bool: whether the image is usable
    remarks: list[Remark]


def checksum_of(data: bytes) -> int:
    """BLAKE2b of a file's content, 64 bits."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())


# --- decoding -----------------------------------------------------------------------------------


def inspect(folder: Path, listing: Listing, processes: int = 1) -> Seen:
    """Decode every listed image, on `processes` processes."""
    files, md5 = [path for path, _, _ in listing.images], listing.md5 or {}
    chunks = [files[i : i + CHUNK] for i in range(0, len(files), CHUNK)]
    parts, remarks = [], []
    works = ((str(folder), chunk, [md5.get(f) for f in chunk]) for chunk in chunks)
    with progress("checking", len(files), "images") as bar:
        for rows, found in spread(_inspect, works, processes):
            parts.append(rows)
            remarks += found
            bar.update(len(rows))
    height, width, checksum = np.concatenate(parts).T
    unusable = {remark.path for remark in remarks if remark.kind in UNUSABLE}
    kept = np.array([file not in unusable for file in files])
    remarks += _duplicates(files, listing, checksum)
    present = {file for start in listing.folders for file in images_below(folder, start)}
    remarks += [Remark("unlisted", file) for file in sorted(present.difference(files))]
    sizes = height.astype(np.int32), width.astype(np.int32)
    return Seen(*sizes, np.ascontiguousarray(checksum), kept, remarks)


def _inspect(work: tuple[str, list[str], list[str | None]]) -> tuple[np.ndarray, list[Remark]]:
    """(height, width, checksum) of each file, uint64, and the remarks on them."""
    folder, files, md5s = work  # MD5 of a file if the lists have one
    seen, remarks = np.zeros((len(files), 3), np.uint64), []
    for row, file, md5 in zip(seen, files, md5s, strict=True):
        try:
            place = os.path.join(folder, file)
            if not stat.S_ISREG(os.stat(place).st_mode):
                raise OSError("not a regular file")  # reading a pipe might never end
            with open(place, "rb") as f:
                data = f.read()
            if md5 and hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
                remarks.append(Remark("altered", file))
            row[:], found = _decode(file, data)
            remarks += found
        except FileNotFoundError:
            remarks.append(Remark("absent", file))
        except image_files.UnsupportedError as error:
            remarks.append(Remark("unsupported", file, str(error)))
        except Exception as error:
            # A memory address would make every report different: " <_io.BytesIO object at …".
            said = str(error).partition(" <_io.")[0]
            text = f"{type(error).__name__}: {said}".replace("\n", " ")
            remarks.append(Remark("unreadable", file, text))
    return seen, remarks


def _decode(file: str, data: bytes) -> tuple[tuple[int, int, int], list[Remark]]:
    """(height, width, checksum) of one image, and the remarks on its format."""
    remarks = []
    with image_files.load(data) as image:
        if image.mode != "L":
            image_files.to_rgb(image)
        if image.mode in image_files.DEEP:
            black, white = image_files.value_range(image)
            remarks.append(Remark("scaled", file, f"{black:g} to {white:g}"))
        if image.format not in JPEG_FORMATS:
            remarks.append(Remark("not JPEG", file, str(image.format)))
        if image.mode == "CMYK":
            remarks.append(Remark("CMYK", file))
        elif image.mode in GREY_MODES:
            remarks.append(Remark("grey", file))
        return (image.height, image.width, checksum_of(data)), remarks


def _duplicates(files: list[str], listing: Listing, checksum: np.ndarray) -> list[Remark]:
    """A remark for every file with the same content as an earlier file.

    The remark names the first such file, and says if the label or the split differ.
    """
    order = np.argsort(checksum, kind="stable")
    value = checksum[order]
    repeated = np.flatnonzero((value[1:] == value[:-1]) & (value[1:] != 0)) + 1
    first, remarks = {}, []
    for place in repeated.tolist():
        row = int(order[place])
        original = first.setdefault(int(value[place]), int(order[place - 1]))
        path, label, split = listing.images[original]
        _, other_label, other_split = listing.images[row]
        differ = {"another label": label != other_label, "the other split": split != other_split}
        words = " and in ".join(word for word, differs in differ.items() if differs)
        under = f", under {words}" if words else ""
        remarks.append(Remark("duplicate", files[row], f"as {path}{under}"))
    return remarks


def bad(listing: Listing, remarks: Iterable[Remark]) -> list[Remark]:
    """The remarks about unusable files, and about incomplete lists."""
    kinds = {"absent": not listing.partial, "unlisted": listing.complete}
    return [remark for remark in remarks if kinds.get(remark.kind, remark.kind in UNUSABLE)]


# --- the report ---------------------------------------------------------------------------------

HEAD = "split | images | listed | published | classes with images | smallest, largest class"
HEAD += " | width × height"


def report(source: Source, folder: Path, listing: Listing, seen: Seen, notes: Iterable[str]) -> str:
    """The report on a dataset, as Markdown: counts, sizes, and every remark."""
    lines = [
        f"# {source.title}",
        "",
        f"Images below {code(str(folder))}. From: {source.where}. Terms: {source.terms}.",
        "",
        f"| {HEAD} |",
        "|---|---|---|---|---|---|---|",
    ]
    for number in listing.splits:
        row = (SPLITS[number], *_counts(source, listing, seen, number))
        lines.append(f"| {' | '.join(map(str, row))} |")
    lines += ["", *(f"- {plain(note)}" for note in notes)] if notes else []
    by_kind: dict[str, list[Remark]] = {kind: [] for kind in KINDS}
    for remark in seen.remarks:
        by_kind[remark.kind].append(remark)
    totals = ", ".join(f"{len(remarks)} {kind}" for kind, remarks in by_kind.items())
    lines += ["", f"Skipped: {plain(counted(listing.skipped))}."] if listing.skipped else []
    lines += ["", f"Remarks: {totals}."]
    for kind, remarks in by_kind.items():
        if remarks:
            lines += ["", f"## {kind} ({len(remarks)})"]
            lines += ["", f"Each {KINDS[kind]}."] if KINDS[kind] else []
            # A remark on all images describes the dataset, and needs no list.
            every = len(remarks) == len(seen.kept) and kind != "unlisted"
            texts = (f": {plain(remark.text)}" if remark.text else "" for remark in remarks)
            listed = (f"- {code(r.path)}{text}" for r, text in zip(remarks, texts, strict=True))
            lines += ["", "All images."] if every else ["", *listed]
    return "\n".join(lines) + "\n"


def _counts(source: Source, listing: Listing, seen: Seen, split: int) -> tuple:
    """The cells of one split in the report's table, after its name."""
    listed = listing.split == split
    rows = seen.kept & listed
    of_class = np.bincount(listing.label[rows], minlength=len(listing.classes))
    h, w = seen.height[rows], seen.width[rows]
    return (
        rows.sum(),
        listed.sum(),
        source.published[split] if source.published else "–",
        f"{(of_class > 0).sum()} of {len(of_class)}",
        f"{of_class.min()}, {of_class.max()}",
        f"{w.min()}×{h.min()} to {w.max()}×{h.max()}" if rows.any() else "–",
    )
