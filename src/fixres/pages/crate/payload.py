"""The files of a crate: pages, configuration, records of the jobs, code.

Weights, images and what was found on single images are not among them. The crate names each with
its SHA-256.
"""

import shutil
from pathlib import Path

import yaml
from rocrate.model.file import File
from rocrate.rocrate import ROCrate

from fixres import jobs
from fixres.graph.pages import Crate
from fixres.jobs import JobError, made, seals
from fixres.jobs.origin import SUITE
from fixres.pages.crate.entities import Reference, add
from fixres.pages.crate.runs import Run

FORMATS = {  # ending -> media type
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tsv": "text/tab-separated-values",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".cff": "application/yaml",
    ".toml": "application/toml",
    "": "text/plain",
}
CODE = ("rules", "src", "envs", "profiles", "report")  # folders of the suite
ALONE = ("Makefile", "pyproject.toml", "LICENSE", "CITATION.cff")  # files next to them
NO_CODE = ("__pycache__", "*.egg-info", "*.pyc")
KEPT = ("metrics", "curve", "choice")  # outputs of a job that are small, and text


class Payload:
    """The files of a crate, as far as they are known.

    Attributes
    ----------
    results : the folder of that name, which they come from.
    made : a folder for files that are written for the crate.
    places : place of a file in the crate -> its entity.
    """

    def __init__(self, crate: ROCrate, results: Path, made_here: Path):
        self.crate, self.results, self.made = crate, results, made_here
        self.places: dict[str, Reference] = {}
        made_here.mkdir()

    def add(self, source: Path, place: str, **values: object) -> Reference:
        """Copy a file to a place in the crate."""
        try:
            size, sha256 = source.stat().st_size, jobs.file_digest(source)
        except OSError as error:
            raise JobError(f"{source}: cannot be read ({error.strerror})") from None
        about = {"contentSize": str(size), "sha256": sha256}
        about |= {"encodingFormat": FORMATS[end]} if (end := source.suffix) in FORMATS else {}
        file = self.crate.add(File(self.crate, source, place, properties=about | values))
        self.places[place] = {"@id": file.id}  # some signs are quoted there
        return self.places[place]

    def result(self, file: str, **values: object) -> Reference:
        """Copy a file from results/ to the same place in the crate."""
        jobs.record_inputs(self.results / file)
        return self.add(self.results / file, f"results/{file}", **values)

    def text(self, place: str, text: str, **values: object) -> Reference:
        """Write a file of the crate."""
        (self.made / place).write_text(text, encoding="utf-8")
        return self.add(self.made / place, place, **values)

    def entity(self, file: str, sha256: str) -> Reference:
        """A result: as a file of the crate; else by its SHA-256 alone."""
        if here := self.places.get(f"results/{file}"):
            return here
        about = "Not in this crate. The SHA-256 tells the file."
        values = {"name": f"results/{file}", "description": about, "sha256": sha256}
        return add(self.crate, f"#results/{file}", "CreativeWork", **values)


def add_pages(files: Payload, planned: Crate) -> list[Reference]:
    """The files of the pages, the main page first."""
    shown = {"exampleOfWork": {"@id": "#parameter/pages"}}
    return [
        files.result(file, name=file, **shown)
        for page in planned.pages
        for file in planned.jobs[page].outputs.values()
    ]


def add_configuration(files: Payload, planned: Crate, given: list[Path]) -> list[Reference]:
    """The whole configuration, as the config.yaml of the code in the crate, and the files given."""
    text = yaml.safe_dump(planned.configuration, allow_unicode=True, sort_keys=False, width=88)
    whole = "The whole configuration, defaults included: all that shapes a result"
    what = "As given. Each file is laid over those with a lower number"
    shown = {"exampleOfWork": {"@id": "#parameter/configuration"}}
    jobs.record_inputs(*given)
    return [
        files.text("config.yaml", text, name="Configuration", description=whole, **shown),
        *(
            files.add(file, f"given/{i}-{file.name}", name=file.name, description=what, **shown)
            for i, file in enumerate(given, 1)
        ),
    ]


def add_records(files: Payload, found: list[Run]) -> None:
    """What each job has left with its result: configuration, numbers, seal, time."""
    for run in found:
        files.result(f"{run.id}/config.json", name=f"configuration of {run.id}")
        kept = [run.job.outputs[name] for name in KEPT if name in run.job.outputs]
        kept += [f"{run.id}/{name}" for name in (seals.NAME, made.NAME)]
        for file in (*kept, run.job.benchmark):
            if run.seal and file and (files.results / file).is_file():
                files.result(file, name=file)


def add_code(files: Payload, suite: Path = SUITE) -> None:
    """The code of the suite. With the configuration in the crate, it makes the same again."""
    for name in ALONE:
        files.add(suite / name, name, name=name)
    for name in CODE:
        files.crate.add_dataset(dest_path=name, properties={"name": f"code of the suite: {name}/"})
    about = {"name": "pages, and records of the jobs behind them"}
    files.crate.add_dataset(dest_path="results", properties=about)
    files.crate.add_dataset(dest_path="given", properties={"name": "configuration files as given"})


def write(files: Payload, folder: Path, suite: Path = SUITE) -> None:
    """Write all files, and ro-crate-metadata.json with what is known of them."""
    files.crate.write(folder)
    for name in CODE:
        ignore = shutil.ignore_patterns(*NO_CODE)
        shutil.copytree(suite / name, folder / name, ignore=ignore, dirs_exist_ok=True)
    shutil.rmtree(files.made)
