"""Build the manifest of a dataset: find its files, check them, and list its images.

A file that cannot be decoded is reported here by name, instead of failing in the middle of a
training.
"""

import csv
import os
from collections import Counter
from pathlib import Path

import numpy as np

from fixres.artifacts.manifest import SPLITS, Manifest
from fixres.data import sources, validate
from fixres.jobs import JobError, atomic
from fixres.jobs.quoting import visible

OBJECTS = "objects.csv"  # in a dataset that the suite rendered: path, true apparent size, …
SHOWN = 10  # bad files listed in an error


def build(
    root: Path,
    source: str | sources.Source = "imagefolder",
    work: Path | None = None,
    on_bad: str = "stop",
    checksums: str = "published",
    processes: int = 1,
    report: Path | None = None,
    key: str = "datasets.<name>.root",
) -> Manifest:
    """The manifest of the dataset in a user's folder.

    Parameters
    ----------
    root : the folder with the archives or the unpacked layout of the source; never written to.
    source : a name from `sources.SOURCES`, or a source (`sources.picked`).
    work : folder to unpack archives into.
    on_bad : `stop`: bad files are an error. `exclude`: they are left out, and a note says so; but
        good images that only this Pillow cannot read are an error in any case.
    checksums : MD5s to check archives against: `published`, or `listed` in `root`/md5sums.txt.
    report : where to write the report; it is written even if bad files are an error.
    key : the configuration key that names `root`, for messages.

    Raises
    ------
    JobError : files are missing, damaged or bad, or a split has no usable images.
    """
    root, described = root.absolute(), sources.load(source) if isinstance(source, str) else source
    folder = sources.prepare(described, root, work.absolute() if work else None, checksums, key)
    listing = sources.read(described, folder)
    listing.images.sort(key=lambda row: row[2])
    seen = validate.inspect(folder, listing, processes)
    bad = validate.bad(listing, seen.remarks)
    unsupported = [remark for remark in bad if remark.kind == "unsupported"]
    stop = bool(unsupported) or (bool(bad) and on_bad == "stop")
    sizes = _object_sizes(root)
    notes = _notes(described, listing, seen, bad, rendered=sizes is not None)
    if report:
        stopped = f"Stopped by {len(bad)} bad file(s) (on_bad: {on_bad}); no manifest was written."
        shown = [stopped] if stop else notes
        page = validate.report(described, folder, listing, seen, shown)
        with atomic(report) as temporary:
            temporary.write_text(page, encoding="utf-8")
    if stop:
        raise JobError(_bad_files(folder, unsupported or bad, report))
    splits_left = set(listing.split[seen.kept].tolist())
    for number in listing.splits:
        if number not in splits_left:
            where = f"See {report or 'the report'}."
            raise JobError(f"{folder}: no usable images in {SPLITS[number]}. {where}")
    return _manifest(folder, listing, seen, sizes or {}, notes)


def _manifest(
    folder: Path, listing: sources.Listing, seen: validate.Seen, sizes: dict, notes: list[str]
) -> Manifest:
    """The manifest of the kept images."""
    kept = seen.kept
    paths = [path for (path, _, _), keep in zip(listing.images, kept, strict=True) if keep]
    longest = max(len(os.fsencode(path)) for path in paths)
    box = _boxes(listing, seen, paths) if listing.boxes else None
    object_size = np.fromiter((sizes.get(path, np.nan) for path in paths), np.float32, len(paths))
    if box is not None and not sizes:  # r is the side of a square with the box's area
        object_size = np.sqrt((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]))
    return Manifest(
        folder=folder,
        classes=listing.classes,
        path=np.fromiter((os.fsencode(path) for path in paths), f"S{longest}", len(paths)),
        label=listing.label[kept],
        split=listing.split[kept],
        height=seen.height[kept],
        width=seen.width[kept],
        checksum=seen.checksum[kept],
        object_size=object_size,
        notes=tuple(notes),
        box=box,
    )


def _boxes(listing: sources.Listing, seen: validate.Seen, paths: list[str]) -> np.ndarray:
    """(n, 4) float32, boxes of the kept images in pixels, NaN for images without a box."""
    unknown = (np.nan,) * 4
    shares = np.array([listing.boxes.get(path, unknown) for path in paths], np.float32)
    size = np.stack([seen.width[seen.kept], seen.height[seen.kept]], axis=1)
    return shares * np.tile(size, 2).astype(np.float32)


def _object_sizes(root: Path) -> dict[str, float] | None:
    """path -> true apparent size in pixels; None if the suite did not render the dataset."""
    if not (root / OBJECTS).is_file():
        return None
    with open(root / OBJECTS, newline="", encoding="utf-8") as f:
        return {row["path"]: float(row["r"]) for row in csv.DictReader(f)}


def _bad_files(folder: Path, bad: list[validate.Remark], report: Path | None) -> str:
    """The error message that names bad files."""
    lines = [f"{folder}: {len(bad)} bad file(s). {_way_out(bad)}"]
    for remark in bad[:SHOWN]:
        why = f" ({remark.text})" if remark.text else ""
        lines.append(visible(f"  {folder / remark.path}: {validate.KINDS[remark.kind]}{why}"))
    if len(bad) > SHOWN:
        lines.append(f"  … and {len(bad) - SHOWN} more" + (f": {report}" if report else ""))
    return "\n".join(lines)


def _way_out(bad: list[validate.Remark]) -> str:
    """How to fix bad files."""
    if all(remark.kind == "unsupported" for remark in bad):
        # The images are good, so the dataset would differ from a machine with another Pillow.
        return "Install a Pillow that reads them; on_bad: exclude does not apply."
    return "Replace or remove them, or exclude them with on_bad: exclude."


# --- notes to print on every page about the dataset ----------------------------------------------


def _notes(
    source: sources.Source,
    listing: sources.Listing,
    seen: validate.Seen,
    bad: list[validate.Remark],
    rendered: bool,
) -> list[str]:
    """The notes on a dataset: what is rendered, left out, skipped, scaled, missing or different."""
    title, kept, notes = source.title, seen.kept, []
    label, split = listing.label, listing.split
    listed = {SPLITS[number]: split == number for number in listing.splits}
    if rendered and source.published:
        notes.append(
            f"Images rendered by this suite in the layout of {title}; "
            "no number on them is one of the real set."
        )
    if bad:
        kinds = Counter(remark.kind for remark in bad).items()
        left_out = ", ".join(f"{n} {kind}" for kind, n in kinds)
        notes.append(f"{title}: left out as bad: {left_out}.")
    if listing.skipped:
        notes.append(f"{title}: skipped: {sources.counted(listing.skipped)}.")
    if scaled := sum(remark.kind == "scaled" for remark in seen.remarks):
        what = "images of more than 8 bits for a value, scaled to 0 … 255 by their range"
        notes.append(f"{title}: {what}: {scaled}. Other programs may cut off what is above 255.")
    if listing.partial and not kept.all():
        lost = [
            f"{(rows & ~kept).sum()} of {rows.sum()} listed {name} images"
            for name, rows in listed.items()
        ]
        notes.append(f"{title}: this copy lacks {' and '.join(lost)}.")
    for name, rows in listed.items():
        counts = np.bincount(label[rows & kept], minlength=len(listing.classes))
        if not counts.all():
            empty = [listing.classes[c] for c in np.flatnonzero(counts == 0)]
            notes.append(
                f"{title}: no {name} image of {len(empty)} of {len(counts)} classes: "
                f"{sources.abbreviated(empty)}."
            )
    if source.published and not rendered:
        ours = [int((split[kept] == number).sum()) for number in (0, 1)] + [len(listing.classes)]
        names = ("training images", "test images", "classes")
        differ = [
            f"{ours[i]} {names[i]} (published: {source.published[i]})"
            for i in (*listing.splits, 2)
            if ours[i] != source.published[i]
        ]
        if differ:
            notes.append(f"{title}: {', '.join(differ)}.")
    return notes
