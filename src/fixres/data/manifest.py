"""The manifest: what is known of a dataset's images, so that no later job has to open one to find out.

One row an image: path, label, split, height, width, a hash of the file, and the true apparent size of the object where it is known
(pinhole). Building it is one path for every source: find the files, check and unpack the archives, read the lists (`sources/`), decode
every image once (`validate.py`), compare the counts with the published ones. A file that cannot be decoded ends up in an error here, by
name, and not in the middle of a training. `report.md` beside the manifest lists all that is remarkable.

    python -m fixres manifest --config results/data/pinhole/manifest/config.json --root results/data/pinhole/images \\
        --out results/data/pinhole/manifest.npz
"""

import csv
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fixres import jobs
from fixres.data import sources, validate
from fixres.jobs import JobError, atomic
from fixres.jobs.quoting import visible

SPLITS = ("train", "val")
OBJECTS = "objects.csv"  # what the suite rendered: path, true apparent size, …


@dataclass(frozen=True)
class Manifest:
    """The images of one dataset; arrays have one row an image, sorted by split, then as listed."""

    folder: Path  # that the paths are relative to
    classes: tuple[str, ...]
    path: np.ndarray  # (n,) bytes, UTF-8
    label: np.ndarray  # (n,) int32
    split: np.ndarray  # (n,) uint8, index into SPLITS
    height: np.ndarray  # (n,) int32, pixels
    width: np.ndarray  # (n,) int32, pixels
    checksum: np.ndarray  # (n,) uint64, BLAKE2b of the file
    object_size: np.ndarray  # (n,) float32, r in pixels; NaN where unknown
    notes: tuple[str, ...] = ()  # sentences that every page about this set must print

    def rows(self, split: str) -> np.ndarray:
        """Row numbers of one split."""
        return np.flatnonzero(self.split == SPLITS.index(split))

    def files(self, rows: np.ndarray) -> list[str]:
        """Absolute paths of some rows."""
        return [os.path.join(self.folder, os.fsdecode(p)) for p in self.path[rows].tolist()]

    def digest(self) -> str:
        """Changes with any image, label or path, and not with the place where the folder lies."""
        arrays = (self.path, self.label, self.split, self.height, self.width, self.checksum)
        return jobs.digest(
            "\0".join(self.classes), *(np.ascontiguousarray(a).tobytes() for a in arrays)
        )

    def save(self, path: Path) -> None:
        columns = {name: getattr(self, name) for name in COLUMNS}
        with atomic(path) as temporary, open(temporary, "wb") as f:
            texts = {"folder": str(self.folder), "classes": self.classes, "notes": self.notes}
            np.savez(
                f, **{name: np.array(text, np.str_) for name, text in texts.items()}, **columns
            )


COLUMNS = ("path", "label", "split", "height", "width", "checksum", "object_size")
SHOWN = 10  # bad files listed in an error


def load(path: Path) -> Manifest:
    """Read a manifest; a damaged file is an error that names it (the archive carries checksums)."""
    jobs.record_inputs(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            columns = {name: archive[name] for name in COLUMNS}
            texts = {name: tuple(archive[name].tolist()) for name in ("classes", "notes")}
            return Manifest(Path(str(archive["folder"])), **texts, **columns)
    except FileNotFoundError:
        raise JobError(
            f"{path}: no such manifest; ask Snakemake for it: snakemake {path}"
        ) from None
    except Exception as error:
        raise JobError(
            f"{path}: damaged manifest ({error}); delete it and let Snakemake build it again"
        ) from None


def build(
    root: Path,
    source: str = "imagefolder",
    work: Path | None = None,
    on_bad: str = "stop",
    checksums: str = "published",
    processes: int = 1,
    report: Path | None = None,
    key: str = "datasets.<name>.root",
) -> Manifest:
    """From a user's folder to the manifest.

    Parameters
    ----------
    root : holds the source's archives or its unpacked layout; only read.
    source : one of `sources.SOURCES`.
    work : where archives are unpacked.
    on_bad : `stop`: bad files are an error; `exclude`: they are left out, and a note says so.
    checksums : what archives are checked against: `published` MD5s, or those `listed` in md5sums.txt in `root`.
    report : where the report goes, also when bad files are an error.
    key : the configuration key that names `root`, for messages.
    """
    root, of = root.absolute(), sources.load(source)
    folder = sources.prepare(of, root, work.absolute() if work else None, checksums, key)
    listing = sources.read(of, folder)
    listing.images.sort(key=lambda row: row[2])
    seen = validate.inspect(folder, listing, processes)
    bad = validate.bad(listing, seen.remarks)
    out = {
        remark.path for remark in seen.remarks if remark.kind in ("unreadable", "altered", "absent")
    }
    kept = np.array([path not in out for path, _, _ in listing.images])
    sizes = _object_sizes(root)
    notes = _notes(of, listing, kept, bad, rendered=sizes is not None)
    stopped = (
        [f"Stopped by {len(bad)} bad file(s) (on_bad: stop); no manifest was written."]
        if bad and on_bad == "stop"
        else []
    )
    if report:
        with atomic(report) as temporary:
            page = validate.report(of, folder, listing, seen, kept, stopped or notes)
            temporary.write_text(page, encoding="utf-8")
    if stopped:
        raise JobError(_told(folder, bad, report))
    split, paths = (
        listing.split,
        [path for (path, _, _), keep in zip(listing.images, kept.tolist(), strict=True) if keep],
    )
    for number, name in enumerate(SPLITS):
        if not kept[split == number].any():
            raise JobError(f"{folder}: no usable image in {name}; see {report or 'the report'}")
    longest = max(len(os.fsencode(path)) for path in paths)
    return Manifest(
        folder=folder,
        classes=listing.classes,
        path=np.fromiter((os.fsencode(path) for path in paths), f"S{longest}", len(paths)),
        label=listing.label[kept],
        split=split[kept],
        height=seen.height[kept],
        width=seen.width[kept],
        checksum=seen.checksum[kept],
        object_size=np.fromiter(
            ((sizes or {}).get(path, np.nan) for path in paths), np.float32, len(paths)
        ),
        notes=tuple(notes),
    )


def _told(folder: Path, bad: list[validate.Remark], report: Path | None) -> str:
    """The error that names bad files."""
    lines = [
        f"{folder}: {len(bad)} bad file(s); replace or remove them, or leave them out by on_bad: exclude"
    ]
    lines += [
        visible(
            f"  {folder / r.path}: {validate.KINDS[r.kind]}" + (f" ({r.text})" if r.text else "")
        )
        for r in bad[:SHOWN]
    ]
    if len(bad) > SHOWN:
        lines.append(f"  … and {len(bad) - SHOWN} more" + (f": {report}" if report else ""))
    return "\n".join(lines)


def _object_sizes(root: Path) -> dict[str, float] | None:
    """path -> true apparent size, where the suite rendered the set."""
    if not (root / OBJECTS).is_file():
        return None
    with open(root / OBJECTS, newline="", encoding="utf-8") as f:
        return {row["path"]: float(row["r"]) for row in csv.DictReader(f)}


def _notes(
    of: sources.Source,
    listing: sources.Listing,
    kept: np.ndarray,
    bad: list[validate.Remark],
    rendered: bool,
) -> list[str]:
    """What must be said wherever a number of this set is shown."""
    notes = []
    if rendered and of.published:
        notes.append(
            f"Images rendered by this suite in the layout of {of.title}; no number on them is one of the real set."
        )
    if bad:
        kinds = Counter(remark.kind for remark in bad)
        notes.append(
            f"{of.title}: left out as bad: {', '.join(f'{n} {kind}' for kind, n in kinds.items())}."
        )
    label, split = listing.label, listing.split
    if listing.partial and not kept.all():
        lost = [
            f"{(~kept & (split == i)).sum()} of {(split == i).sum()} listed {name} images"
            for i, name in enumerate(SPLITS)
        ]
        notes.append(f"{of.title}: this copy lacks {' and '.join(lost)}.")
    for i, name in enumerate(SPLITS):
        counts = np.bincount(label[kept & (split == i)], minlength=len(listing.classes))
        if not counts.all():
            empty = [listing.classes[c] for c in np.flatnonzero(counts == 0)]
            notes.append(
                f"{of.title}: no {name} image of {len(empty)} of {len(counts)} classes: {sources.abbreviated(empty)}."
            )
    if of.published and not rendered:
        ours = (
            int((kept & (split == 0)).sum()),
            int((kept & (split == 1)).sum()),
            len(listing.classes),
        )
        what = ("training images", "test images", "classes")
        differ = [
            f"{a} {w} (published: {b})"
            for a, b, w in zip(ours, of.published, what, strict=True)
            if a != b
        ]
        if differ:
            notes.append(f"{of.title}: {', '.join(differ)}.")
    return notes


def summary(manifest: Manifest) -> list[str]:
    """What a person wants to know of a dataset: counts and sizes, a line a split."""
    lines = []
    for split in SPLITS:
        rows = manifest.rows(split)
        counts = Counter(manifest.label[rows].tolist())
        h, w = manifest.height[rows], manifest.width[rows]
        lines.append(
            f"{split}: {len(rows)} images, {len(manifest.classes)} classes of {min(counts.values())} to {max(counts.values())}, "
            f"{w.min()}×{h.min()} to {w.max()}×{h.max()} pixels"
        )
    return lines


def enlarged(manifest: Manifest, split: str, k: int) -> list[str]:
    """A line for the log where images are smaller than a k×k crop, so that the transform enlarges them."""
    rows = manifest.rows(split)
    shorter = np.minimum(manifest.height[rows], manifest.width[rows])
    if not (shorter < k).any():
        return []
    worst = rows[np.argmin(shorter)]
    return [
        f"{split}: {int((shorter < k).sum())} of {len(rows)} images are smaller than the {k} px crop and are enlarged for it; the smallest "
        f"is {manifest.files(np.array([worst]))[0]} ({manifest.width[worst]}×{manifest.height[worst]})"
    ]
