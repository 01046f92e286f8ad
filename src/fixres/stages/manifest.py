"""Build the manifest of a dataset: find, check, unpack and list its images.

Next to the manifest, `report.md` lists everything remarkable. `files.npz` keeps the names,
sizes and dates of the files, for `python -m fixres relist`.
"""

import time
from dataclasses import replace
from pathlib import Path

from fixres import jobs
from fixres.artifacts import manifest
from fixres.data import building, inventory, sources


def main(arguments: list[str]) -> None:
    p = jobs.parser("manifest", __doc__, "out")
    about = "the dataset's folder: its archives or its unpacked files (only read)"
    p.add_argument("--root", type=Path, required=True, help=about)
    args = p.parse_args(arguments)
    config = jobs.read_config(args.config, "manifest", args.ancestry_digest)
    seen = look(config, args.root)
    data = build(config, args.root, args.out, args.threads)
    data.save(args.out)
    inventory.save(args.out.with_name(inventory.NAME), seen, data.digest())


def look(config: dict, root: Path) -> inventory.Inventory:
    """What is in the folder of a dataset. Look before `build`: then no later change is lost."""
    return inventory.take(root, source_of(config))


def source_of(config: dict) -> sources.Source:
    """The source of a dataset, and what of it is wanted."""
    return sources.picked(sources.load(config["source"]), config)


def build(config: dict, root: Path, out: Path, threads: int) -> manifest.Manifest:
    """The manifest of the images in `root`, with a note on how many there are, and since when.

    Parameters
    ----------
    out : the manifest's place. The report and what is unpacked are next to it.
    threads : processes that decode images.

    Raises JobError as `building.build`.
    """
    out = out.absolute()
    data = building.build(
        root,
        source_of(config),
        work=out.parent / "unpacked",
        on_bad=config["on_bad"],
        checksums=config["checksums"],
        processes=threads,
        report=out.parent / "report.md",
        key=f"datasets.{out.parent.name}.root",
    )
    # A rendered set is the same on every day.
    rendered = (root / building.OBJECTS).is_file()
    when = "rendered" if rendered else f"listed on {time.strftime('%Y-%m-%d')}"
    name = out.parent.name
    wrong = config.get("mislabelled", 0.0)
    said = [f"{name}: {wrong:.0%} of the training images have a wrong label, on purpose."]
    notes = (manifest.counts(data, name, when), *said[: bool(wrong)], *manifest.leak(data, name))
    notes += data.notes
    data = replace(data, notes=notes)
    for line in (*manifest.summary(data), *data.notes):
        jobs.log(line)
    return data
