"""The manifest: what is known of a dataset's images, so that no later job has to open one to find out.

One row an image: path (below the image folder), label, split, height, width, CRC-32 of the file, and the true apparent size of the
object where it is known (pinhole). Building it decodes every image once, in full: a file that cannot be decoded ends up in an error
here, by name, and not in the middle of a training.
"""

import csv
import os
import zlib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fixres import job
from fixres.job import JobError, atomic, progress

SPLITS = ("train", "val")
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff")  # torchvision's ImageFolder takes these
SHOWN = 10  # bad files listed in an error


@dataclass(frozen=True)
class Manifest:
    """The images of one dataset; arrays have one row an image, sorted by split, then path."""

    folder: Path  # that the paths are relative to
    classes: tuple[str, ...]
    path: np.ndarray  # (n,) bytes, UTF-8
    label: np.ndarray  # (n,) int32
    split: np.ndarray  # (n,) uint8, index into SPLITS
    height: np.ndarray  # (n,) int32, pixels
    width: np.ndarray  # (n,) int32, pixels
    checksum: np.ndarray  # (n,) uint32, CRC-32 of the file
    object_size: np.ndarray  # (n,) float32, r in pixels; NaN where unknown

    def rows(self, split: str) -> np.ndarray:
        """Row numbers of one split."""
        return np.flatnonzero(self.split == SPLITS.index(split))

    def files(self, rows: np.ndarray) -> list[str]:
        """Absolute paths of some rows."""
        return [os.path.join(self.folder, os.fsdecode(p)) for p in self.path[rows].tolist()]

    def digest(self) -> str:
        """Changes with any image, label or path, and not with the place where the folder lies."""
        arrays = (self.path, self.label, self.split, self.height, self.width, self.checksum)
        return job.digest("\0".join(self.classes), *(np.ascontiguousarray(a).tobytes() for a in arrays))

    def save(self, path: Path) -> None:
        columns = {name: getattr(self, name) for name in COLUMNS}
        with atomic(path) as temporary, open(temporary, "wb") as f:
            np.savez(f, folder=np.array(str(self.folder)), classes=np.array(self.classes), **columns)


COLUMNS = ("path", "label", "split", "height", "width", "checksum", "object_size")


def load(path: Path) -> Manifest:
    """Read a manifest; a damaged file is an error that names it (the archive carries checksums)."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            columns = {name: archive[name] for name in COLUMNS}
            return Manifest(Path(str(archive["folder"])), tuple(archive["classes"].tolist()), **columns)
    except FileNotFoundError:
        raise JobError(f"{path}: no such manifest; ask Snakemake for it: snakemake {path}") from None
    except Exception as error:
        raise JobError(f"{path}: damaged manifest ({error}); delete it and let Snakemake build it again") from None


def find_images(folder: Path) -> tuple[tuple[str, ...], list[tuple[str, int, int]]]:
    """Classes and (path, label, split) of a folder in ImageFolder layout: `train/CLASS/*` and `val/CLASS/*`.

    Labels follow the sorted class names, as in torchvision's ImageFolder. Raises `JobError` where a split or a class is missing
    or empty, or where there is only one class.
    """
    if not folder.is_dir():
        raise JobError(f"{folder}: no such folder; expected the dataset with train/CLASS/* and val/CLASS/* (dataset.root)")
    names = {}
    for split in SPLITS:
        if not (folder / split).is_dir():
            raise JobError(f"{folder / split}: no such folder; an imagefolder source holds train/ and val/ (dataset.root)")
        names[split] = sorted(entry.name for entry in os.scandir(folder / split) if entry.is_dir())
    classes = tuple(names["train"])
    if len(classes) < 2:
        raise JobError(f"{folder / 'train'}: found {len(classes)} class folder(s), expected at least 2: one folder a class")
    if names["val"] != names["train"]:
        differ = sorted(set(names["val"]) ^ set(names["train"]))
        raise JobError(f"{folder}: train/ and val/ hold different classes; only one of them has {', '.join(differ[:SHOWN])}")
    found = []
    for number, split in enumerate(SPLITS):
        for label, name in enumerate(classes):
            directory = folder / split / name
            files = sorted(
                os.path.relpath(os.path.join(base, file), folder)
                for base, _, entries in os.walk(directory, followlinks=True)
                for file in entries
                if file.lower().endswith(EXTENSIONS)
            )
            if not files:
                raise JobError(f"{directory}: empty class; add images ({', '.join(EXTENSIONS)}) or remove the folder")
            found += [(file, label, number) for file in files]
    return classes, found


def _inspect(job: tuple[str, list[str]]) -> list[tuple[int, int, int] | str]:
    """(height, width, CRC-32) of each file after a full decode, or what is wrong with it."""
    from PIL import Image

    folder, files = job
    results: list[tuple[int, int, int] | str] = []
    for file in files:
        try:
            data = Path(folder, file).read_bytes()
            with Image.open(os.path.join(folder, file)) as image:
                image.convert("RGB")
                results.append((image.height, image.width, zlib.crc32(data)))
        except Exception as error:
            results.append(f"{type(error).__name__}: {error}")
    return results


def build(folder: Path, object_sizes: dict[str, float] | None = None, processes: int = 1) -> Manifest:
    """List, decode and check every image below `folder`. Raises `JobError` naming the files that cannot be decoded."""
    folder = folder.absolute()
    classes, found = find_images(folder)
    files = [file for file, _, _ in found]
    chunks = [files[i : i + 200] for i in range(0, len(files), 200)]
    seen: list[tuple[int, int, int] | str] = []
    with ProcessPoolExecutor(processes) as pool, progress("checking", len(files), "images") as bar:
        for part in pool.map(_inspect, ((str(folder), chunk) for chunk in chunks)):
            seen += part
            bar.update(len(part))
    bad = [f"  {folder / file}: {result}" for file, result in zip(files, seen, strict=True) if isinstance(result, str)]
    if bad:
        more = [f"  … and {len(bad) - SHOWN} more"] if len(bad) > SHOWN else []
        raise JobError("\n".join([f"{len(bad)} file(s) cannot be decoded; replace or remove them:", *bad[:SHOWN], *more]))
    height, width, checksum = (np.array(column) for column in zip(*seen, strict=True))
    sizes = [(object_sizes or {}).get(file, np.nan) for file in files]
    return Manifest(
        folder=folder,
        classes=classes,
        path=np.array([os.fsencode(file) for file in files]),
        label=np.array([label for _, label, _ in found], np.int32),
        split=np.array([split for _, _, split in found], np.uint8),
        height=height.astype(np.int32),
        width=width.astype(np.int32),
        checksum=checksum.astype(np.uint32),
        object_size=np.array(sizes, np.float32),
    )


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


def main(arguments: list[str]) -> None:
    args = job.parser("manifest", __doc__, "images", "out").parse_args(arguments)
    job.read_config(args.config, "manifest")
    sizes = None
    if (args.images / "objects.csv").is_file():
        with open(args.images / "objects.csv", newline="", encoding="utf-8") as f:
            sizes = {row["path"]: float(row["r"]) for row in csv.DictReader(f)}
    manifest = build(args.images, sizes, args.threads)
    manifest.save(args.out)
    for line in summary(manifest):
        job.log(line)
