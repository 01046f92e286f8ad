"""How a job writes its seal (seals.py), and next to it when and where it was made (made.py)."""

import argparse
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from fixres.jobs import made, seals
from fixres.jobs.files import file_digest, recorded_inputs, write_json
from fixres.jobs.seals import Seal


def seal_this_job(
    options: list[str], files: Callable[[str], dict[str, str]], started: float
) -> None:
    """Write the seal of the job that this process was, and when and where it ran.

    Only the first of several processes writes it. A process that has read no configuration has only
    started others, and writes no seal. Nor does a job whose result is outside its folder, as in a
    trial.

    Parameters
    ----------
    options : the job's command line after the stage.
    files : function of the job's id: name -> output file below results/.
    started : start time of this process, seconds since 1970.
    """
    p = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    p.add_argument("--config", type=Path)
    p.add_argument("--out", type=Path)
    p.add_argument("--ancestry-digest", default="")
    args = p.parse_known_args(options)[0]
    read = recorded_inputs()
    if not (read and args.config and args.out) or os.environ.get("RANK", "0") != "0":
        return
    job = json.loads(args.config.read_text(encoding="utf-8")).get("run", "")
    outputs = list(files(job).values())
    folder, depth = args.config.absolute().parent, len(Path(job).parts)
    results = Path(*folder.parts[:-depth])
    if folder != results / job or args.out.absolute() != results / outputs[0]:
        return
    below = {path.absolute(): content for path, content in read.items() if path != args.config}
    below = {p: content for p, content in below.items() if p.is_relative_to(results)}
    named = {p.relative_to(results).as_posix(): content for p, content in below.items()}
    seal = write(results, job, args.ancestry_digest, outputs, named)
    made.write(results / job, seal, started)


def write(
    results: Path, job: str, made_from: str, outputs: Iterable[str], read: dict[str, str] | None
) -> Seal:
    """Write the seal of a job, and return it.

    Folders among the outputs have no digest, because the manifest lists rendered images, and the
    metadata of an RO-Crate its files.

    read : as in `Seal`. None: unknown, because an earlier version made the result.
    """
    files = [results / output for output in outputs]
    contents = {file.name: [file_digest(file)] for file in files if file.is_file()}
    seal = Seal(job, made_from, contents, read or {}, taken_over=read is None)
    write_json(results / job / seals.NAME, seal._asdict())
    return seal


def renew(file: Path, *, same: bool) -> None:
    """Record the new content of a result.

    same : whether it means the same as the old content. If not, jobs that read the old content are
        out of date.
    """
    found = seals.of(file)
    if found:
        folder, seal = found
        former = seal.files[file.name] if same else []
        files = seal.files | {file.name: list(dict.fromkeys([file_digest(file), *former]))}
        write_json(folder / seals.NAME, seal._replace(files=files)._asdict())
