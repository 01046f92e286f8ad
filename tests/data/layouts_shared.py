"""What the tests of the dataset layouts share: a small twin of each source, and its truth."""

import csv
import os
import shutil
from pathlib import Path

from hypothesis import HealthCheck, settings

from fixres.artifacts import manifest
from fixres.data import building, sources
from fixres.data.rendered import twins
from shared import SETTINGS

LOOK = SETTINGS | {
    "train_images": 48,
    "val_images": 24,
    "silhouettes": ["bar", "star5"],
    "hues": ["red", "green", "blue"],
    "shorter_side": [24, 32],
}
CLASSES = 6
OFFICIAL = [name for name in sources.SOURCES if name != "imagefolder"]
everything = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Twin:
    """A rendered dataset with its truth, and the manifest built from its archives."""

    def __init__(self, source: str, folder: Path):
        self.source, self.root, self.out = source, folder / "räw data", folder / "out"
        twins.write(source, self.root, LOOK)
        with open(self.root / "objects.csv", newline="", encoding="utf-8") as f:
            self.truth = list(csv.DictReader(f))
        self.before = state(self.root)
        listed = "published" if source == "imagefolder" else "listed"
        report = self.out / "report.md"
        self.manifest = building.build(
            self.root, source, self.out / "unpacked", checksums=listed, report=report
        )
        self.report = report.read_text(encoding="utf-8")

    def unpacked(self, folder: Path) -> Path:
        """A copy of the unpacked layout, without the archives and without objects.csv."""
        for part in sources.load(self.source).parts:
            origin, target = self.manifest.folder / part.path, folder / part.path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(origin, target) if origin.is_dir() else shutil.copy(origin, target)
        return folder


def state(folder: Path) -> dict:
    """Every file below a folder with its date and content."""
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.is_file() and p.read_bytes())
        for p in sorted(folder.rglob("*"))
    }


def rows_of(data: manifest.Manifest) -> dict:
    """path -> (label, split) of a manifest."""
    return {
        os.fsdecode(p): (int(x), manifest.SPLITS[s])
        for p, x, s in zip(data.path, data.label, data.split, strict=True)
    }
