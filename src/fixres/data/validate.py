"""Every image of a dataset, decoded once, in full: what a later job would trip over, or ought to be known of a set, is found here, by name.

What is found is a list of remarks, each of one of the `KINDS`; `report` prints all of them.
"""

import hashlib
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fixres.data.sources import Listing, Source, images_below
from fixres.jobs import progress
from fixres.jobs.pool import spread
from fixres.jobs.quoting import code, plain

CHUNK = 100  # images that a process takes at once
KINDS = {
    "unreadable": "cannot be decoded",
    "altered": "is not the image that the list names (its MD5 is another)",
    "absent": "is listed, but there is no such file",
    "unlisted": "lies in an image folder, but no list names it",
    "not JPEG": "",
    "CMYK": "",
    "grey": "",
    "duplicate": "",
}
GREY_MODES = ("1", "L", "LA", "I", "I;16", "F")


class Remark(NamedTuple):
    """Something to be said of one file."""

    kind: str  # one of KINDS
    path: str  # below the layout folder
    text: str = ""


class Seen(NamedTuple):
    """What decoding found; arrays have one row an image of the listing, zeros where there is none."""

    height: np.ndarray  # (n,) int32, pixels
    width: np.ndarray  # (n,) int32, pixels
    checksum: np.ndarray  # (n,) uint64, BLAKE2b of the file
    remarks: list[Remark]


def checksum_of(data: bytes) -> int:
    """BLAKE2b of a file's content, 64 bits."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())


def _inspect(work: tuple[str, list[str], list[str | None]]) -> tuple[np.ndarray, list[Remark]]:
    """(height, width, checksum) of each file after a full decode, with what is to be said of it."""
    from PIL import Image

    folder, files, md5s = work
    seen, remarks = np.zeros((len(files), 3), np.uint64), []
    for row, file, md5 in zip(seen, files, md5s, strict=True):
        try:
            with open(os.path.join(folder, file), "rb") as f:
                data = f.read()
            if md5 and hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
                remarks.append(Remark("altered", file))
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                if image.mode not in ("RGB", "L"):
                    image.convert("RGB")
                row[:] = image.height, image.width, checksum_of(data)
                if image.format not in (
                    "JPEG",
                    "MPO",
                ):  # MPO: a JPEG with further pictures behind the first
                    remarks.append(Remark("not JPEG", file, str(image.format)))
                if image.mode == "CMYK":
                    remarks.append(Remark("CMYK", file))
                elif image.mode in GREY_MODES:
                    remarks.append(Remark("grey", file))
        except FileNotFoundError:
            remarks.append(Remark("absent", file))
        except Exception as error:
            said = str(error).partition(" <_io.")[
                0
            ]  # without an address in memory: the same files, the same report
            remarks.append(
                Remark("unreadable", file, f"{type(error).__name__}: {said}".replace("\n", " "))
            )
    return seen, remarks


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
    remarks += _duplicates(files, listing, checksum)
    unlisted = {
        file for start in listing.folders for file in images_below(folder, start)
    }.difference(files)
    remarks += [Remark("unlisted", file) for file in sorted(unlisted)]
    return Seen(
        height.astype(np.int32), width.astype(np.int32), np.ascontiguousarray(checksum), remarks
    )


def _duplicates(files: list[str], listing: Listing, checksum: np.ndarray) -> list[Remark]:
    """A remark for every file but the first of the same content, with the first one's name and where the two are at odds."""
    order = np.argsort(checksum, kind="stable")
    same = (
        np.flatnonzero((checksum[order][1:] == checksum[order][:-1]) & (checksum[order][1:] != 0))
        + 1
    )
    first, remarks = {}, []
    for place in same.tolist():
        row, value = int(order[place]), int(checksum[order[place]])
        original = first.setdefault(value, int(order[place - 1]))
        (path, label, split), (_, label_, split_) = listing.images[original], listing.images[row]
        odds = [
            what
            for what, differs in (
                ("another label", label != label_),
                ("the other split", split != split_),
            )
            if differs
        ]
        remarks.append(
            Remark(
                "duplicate",
                files[row],
                f"as {path}" + (f", under {' and in '.join(odds)}" if odds else ""),
            )
        )
    return remarks


def bad(listing: Listing, remarks: Iterable[Remark]) -> list[Remark]:
    """The remarks that keep a file from being used, or say that a list is not whole."""
    kinds = {
        "unreadable": True,
        "altered": True,
        "absent": not listing.partial,
        "unlisted": listing.complete,
    }
    return [remark for remark in remarks if kinds.get(remark.kind)]


def report(
    source: Source,
    folder: Path,
    listing: Listing,
    seen: Seen,
    kept: np.ndarray,
    notes: Iterable[str],
) -> str:
    """The page beside the manifest, as Markdown: counts, sizes, and every remark.

    Parameters
    ----------
    kept : (n,) bool, the rows of the listing that are in the manifest.
    """
    lines = [
        f"# {source.title}",
        "",
        f"Images below {code(str(folder))}. From: {source.where}. Terms: {source.terms}.",
        "",
    ]
    head = (
        "split",
        "images",
        "listed",
        "published",
        "classes with images",
        "smallest, largest class",
        "width × height",
    )
    lines += [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    label, split = listing.label, listing.split
    for number, name in enumerate(("train", "val")):
        rows = kept & (split == number)
        counts, h, w = (
            np.bincount(label[rows], minlength=len(listing.classes)),
            seen.height[rows],
            seen.width[rows],
        )
        published = source.published[number] if source.published else "–"
        sizes = f"{w.min()}×{h.min()} to {w.max()}×{h.max()}" if rows.any() else "–"
        classes = f"{(counts > 0).sum()} of {len(counts)}"
        row = (
            name,
            rows.sum(),
            (split == number).sum(),
            published,
            classes,
            f"{counts.min()}, {counts.max()}",
            sizes,
        )
        lines.append(f"| {' | '.join(map(str, row))} |")
    lines += ["", *(f"- {plain(note)}" for note in notes)] if notes else []
    by_kind: dict[str, list[Remark]] = {kind: [] for kind in KINDS}
    for remark in seen.remarks:
        by_kind[remark.kind].append(remark)
    lines += [
        "",
        f"Remarks: {', '.join(f'{len(remarks)} {kind}' for kind, remarks in by_kind.items())}.",
    ]
    for kind, remarks in by_kind.items():
        if remarks:
            lines += [
                "",
                f"## {kind} ({len(remarks)})",
                *(["", f"Each {KINDS[kind]}."] if KINDS[kind] else []),
                "",
            ]
            lines += [
                f"- {code(remark.path)}" + (f": {plain(remark.text)}" if remark.text else "")
                for remark in remarks
            ]
    return "\n".join(lines) + "\n"
