"""Fetch the files of a dataset from its authors, into a folder that the configuration can name.

    fixres download tiny-imagenet ~/tiny-imagenet

Each file is checked. A file that is there is not fetched again, and a download that broke off is
carried on: give the same command again.
"""

import argparse
import os
import shlex
from pathlib import Path

from fixres import jobs
from fixres.data import sources, unpack
from fixres.jobs import JobError, downloads

# The configuration whose `datasets` name a set, and what to ask for first.
USED = {
    "tiny-imagenet": ("configs/tiny.yaml", "results/table5.md"),
    "fashion-mnist": ("configs/fashion.yaml", "results/table5.md"),
}
OTHERS = "configs/imagenet.yaml", "results/data/{}/manifest.npz"


def main(arguments: list[str]) -> None:
    args = _parser().parse_args(arguments)
    source, folder = sources.load(args.dataset), args.folder.expanduser().absolute()
    if not source.addresses:
        problem = f"{source.name}: cannot be fetched by a command ({source.title})"
        raise JobError(f"{problem}. Where to get it: {source.where}\nTerms: {source.terms}")
    print(f"{source.title}: {source.where}\nTerms: {source.terms}", flush=True)
    md5s = {part.distributed: part.md5s for part in source.parts}
    move = "Move it away, then give the same command again"
    lacking = [file for file in source.addresses if not (folder / file).exists()]
    for file in source.addresses:  # first those that are there: an error comes before the long work
        if file not in lacking:
            _check(folder / file, md5s[file], folder / file, move)
            print(f"{file}: there already", flush=True)
    if lacking:
        _make(folder, source.title)
    for file in lacking:
        _fetch(source.addresses[file], folder / file, md5s[file])
        print(f"{file}: fetched", flush=True)
    print(_next_steps(source.name, folder))


def _parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="fixres download",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = [name for name in sources.SOURCES if sources.load(name).addresses]
    about = f"one of {', '.join(known)}; of any other, where to get it"
    p.add_argument("dataset", choices=sources.SOURCES, metavar="DATASET", help=about)
    p.add_argument("folder", type=Path, metavar="FOLDER", help="where the files go")
    return p


def _make(folder: Path, title: str) -> None:
    """Make the folder. Raises JobError where files cannot be written there."""
    jobs.check_folder(folder, f"the files of {title}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK | os.X_OK) else "it may only be read"
    except OSError as error:
        reason = os.strerror(error.errno)
    if reason:
        raise JobError(
            f"{folder}: cannot hold the files of {title} ({reason}). Name another folder"
        )


def _fetch(address: str, file: Path, md5s: tuple[str, ...]) -> None:
    """Fetch a file to FILE.part, which takes its name once its checksum is right."""
    part = file.with_name(f"{file.name}.part")
    again = "Give the same command again. If it fails again, the server has another file"
    by_hand = f"fetch that address by hand into {file.parent}"
    downloads.fetch(address, part, lambda part: _check(part, md5s, address, again), by_hand)
    part.replace(file)


def _check(file: Path, md5s: tuple[str, ...], where: object, way_out: str) -> None:
    """Raise JobError, which names `where`, unless the file has one of the checksums."""
    if (found := unpack.md5(file)) not in md5s:
        expected = " or ".join(md5s)
        raise JobError(f"{where}: wrong checksum (MD5 {found}, expected {expected}). {way_out}")


def _next_steps(name: str, folder: Path) -> str:
    """What to write into a configuration, or set for one of the suite's, and then to ask for."""
    configuration, target = USED.get(name, OTHERS)
    variable = name.upper().replace("-", "_")
    return f"""\
In a configuration:
  datasets.{name}.root: {folder}
or, as {configuration} reads it:
  export {variable}={shlex.quote(str(folder))}
  snakemake {target.format(name)} --cores all --configfile {configuration}"""
