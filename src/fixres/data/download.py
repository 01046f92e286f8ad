"""Download the files of a dataset from its authors into a folder, for use in a configuration.

    fixres download tiny-imagenet ~/tiny-imagenet

Each file is checked. Files that are already there are not downloaded again. To resume an
interrupted download, run the same command again.
"""

import argparse
import os
import shlex
from pathlib import Path

from fixres import jobs
from fixres.data import sources, unpack
from fixres.jobs import JobError, downloads

# The configuration whose `datasets` include a dataset, and the first target to make.
USED = {
    "tiny-imagenet": ("configs/tiny.yaml", "results/table5.md"),
    "fashion-mnist": ("configs/fashion.yaml", "results/table5.md"),
}
OTHERS = "configs/imagenet.yaml", "results/data/{}/manifest.npz"


def main(arguments: list[str]) -> None:
    args = _parser().parse_args(arguments)
    source, folder = sources.load(args.dataset), args.folder.expanduser().absolute()
    if not source.addresses:
        problem = f"{source.name}: cannot be downloaded by a command ({source.title})"
        raise JobError(f"{problem}. Get it from: {source.where}\nTerms: {source.terms}")
    print(f"{source.title}: {source.where}\nTerms: {source.terms}", flush=True)
    md5s = {part.distributed: part.md5s for part in source.parts}
    move = "Move it away, then run the same command again."
    lacking = [file for file in source.addresses if not (folder / file).exists()]
    for file in source.addresses:  # existing files first, so that errors come before the long work
        if file not in lacking:
            _check(folder / file, md5s[file], folder / file, move)
            print(f"{file}: already there", flush=True)
    if lacking:
        _make(folder, source.title)
    for file in lacking:
        _fetch(source.addresses[file], folder / file, md5s[file])
        print(f"{file}: downloaded", flush=True)
    print(_next_steps(source.name, folder))


def _parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="fixres download",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = [name for name in sources.SOURCES if sources.load(name).addresses]
    about = f"one of {', '.join(known)}; for any other, prints where to get it"
    p.add_argument("dataset", choices=sources.SOURCES, metavar="DATASET", help=about)
    p.add_argument("folder", type=Path, metavar="FOLDER", help="where the files go")
    return p


def _make(folder: Path, title: str) -> None:
    """Make the folder. Raises JobError if files cannot be written to it."""
    jobs.check_folder(folder, f"the files of {title}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK | os.X_OK) else "read-only"
    except OSError as error:
        reason = os.strerror(error.errno)
    if reason:
        raise JobError(
            f"{folder}: cannot hold the files of {title} ({reason}). Name another folder."
        )


def _fetch(address: str, file: Path, md5s: tuple[str, ...]) -> None:
    """Download to FILE.part, which is renamed to FILE once its checksum is correct."""
    part = file.with_name(f"{file.name}.part")
    again = "Run the same command again. If it fails again, the server has another file."
    by_hand = f"download this address by hand into {file.parent}"
    downloads.fetch(address, part, lambda part: _check(part, md5s, address, again), by_hand)
    part.replace(file)


def _check(file: Path, md5s: tuple[str, ...], where: object, way_out: str) -> None:
    """Raise JobError, which names `where`, unless the file has one of the checksums."""
    if (found := unpack.md5(file)) not in md5s:
        expected = " or ".join(md5s)
        raise JobError(f"{where}: wrong checksum (got MD5 {found}, expected {expected}). {way_out}")


def _next_steps(name: str, folder: Path) -> str:
    """The next steps: what to write into a configuration, or which variable to set and target."""
    configuration, target = USED.get(name, OTHERS)
    variable = name.upper().replace("-", "_")
    return f"""\
In a configuration:
  datasets.{name}.root: {folder}
or, as {configuration} reads it:
  export {variable}={shlex.quote(str(folder))}
  snakemake {target.format(name)} --cores all --configfile {configuration}"""
