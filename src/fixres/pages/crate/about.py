"""What a crate says of itself: title, description, date, authors, licence; for people, too."""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from rocrate.rocrate import ROCrate

from fixres.graph.pages import Crate
from fixres.jobs.quoting import plain
from fixres.pages import web
from fixres.pages.crate import suite
from fixres.pages.crate.entities import PROFILES, Reference, add, single
from fixres.pages.crate.runs import Run
from fixres.pages.report.overview import SMALL
from fixres.pages.web import counted

ORCID = "https://orcid.org/"


class About(NamedTuple):
    """What is said in the metadata, in README.md and in the preview."""

    title: str
    description: str
    date: str  # of the newest page, as 2019-06-14
    license: str
    authors: list[dict]  # name, orcid, affiliation
    notes: list[str]  # on what is not in the crate, or not recorded
    pages: list[str]  # files, the main page first
    again: str  # the command that makes the main page again


def of(planned: Crate, found: list[Run], results: Path) -> About:
    """What is known of a crate, and what the configuration says of it."""
    said = planned.configuration["crate"]
    files = [file for page in planned.pages for file in planned.jobs[page].outputs.values()]
    return About(
        said["title"] or _title(planned),
        said["description"] or _description(planned, found),
        _date(found, [results / file for file in files]),
        said["license"],
        said["authors"],
        _notes(planned, found),
        [f"results/{file}" for file in files],
        f"snakemake results/{files[0]} --cores all",
    )


def _title(planned: Crate) -> str:
    if planned.network:
        return f"Where to test {planned.network}, and what fixing it gains"
    [paper] = suite.citation()["references"]
    return f"{paper['title']}: a reproduction at the {planned.scale} scale"


def _description(planned: Crate, found: list[Run]) -> str:
    [paper] = suite.citation()["references"]
    method = f"the method of “{paper['title']}” ({paper['url']})"
    what = f"Tables, figures and claims of {method}, measured at the {planned.scale} scale."
    if planned.network:
        what = f"The network {planned.network}, measured and fixed by {method}."
    elif planned.configuration["twins"]:
        what += f" {SMALL}"
    images = [run.job.dataset for run in found if run.job.stage == "manifest"]
    made = f"Made by {suite.citation()['title']} in {counted(len(found), 'job')}"
    return f"{what} {made}, on {counted(len(images), 'dataset')} ({', '.join(images)})."


def _date(found: list[Run], pages: list[Path]) -> str:
    """The day when the last job ended; where none is recorded, the date of the newest page."""
    ends = [run.made.ended for run in found if run.made]
    if ends:
        return max(ends)[:10]
    newest = max(page.stat().st_mtime for page in pages)
    return datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%d")


def _notes(planned: Crate, found: list[Run]) -> list[str]:
    unmade = len(planned.jobs) - len(found)
    failed = sum(bool(run.error) for run in found)
    unknown = sum(run.made is None and not run.error for run in found)
    return [
        "Images, weights and what was found on single images are not in this crate. The metadata "
        "name each by its digest.",
        *([f"{counted(failed, 'job')} failed."] if failed else []),
        *([f"{counted(unmade, 'planned job')} left no result."] if unmade else []),
        *([f"Of {counted(unknown, 'job')}, time and machine are not recorded."] if unknown else []),
    ]


# --- metadata -------------------------------------------------------------------------------------


def describe(crate: ROCrate, said: About, workflow: Reference) -> None:
    """Describe the root of the crate."""
    root = crate.root_dataset
    profiles = [
        add(crate, name, "CreativeWork", name=title, version=name.rpartition("/")[2])
        for name, title in PROFILES.items()
    ]
    root["conformsTo"] = profiles
    root["name"], root["datePublished"] = said.title, said.date
    root["description"] = " ".join([said.description, *said.notes])
    root["license"] = suite.add_license(crate, said.license)
    root["citation"] = suite.add_paper(crate)
    root["mainEntity"] = workflow
    if said.authors:
        root["author"] = single([_add_author(crate, author) for author in said.authors])


def _add_author(crate: ROCrate, author: dict) -> Reference:
    name, place = author["name"], author["affiliation"]
    found = {}
    if place:
        where = f"#organization/{suite.slug(place)}"
        found["affiliation"] = add(crate, where, "Organization", name=place)
    orcid = author["orcid"]
    return add(
        crate,
        f"{ORCID}{orcid}" if orcid else f"#author/{suite.slug(name)}",
        "Person",
        name=name,
        **found,
    )


# --- for people -----------------------------------------------------------------------------------


def readme(said: About) -> str:
    """README.md of the crate."""
    paragraphs = [
        f"# {plain(said.title)}",
        plain(said.description),
        *map(plain, said.notes),
        f"Begin with [{said.pages[0]}]({said.pages[0]}). `ro-crate-metadata.json` says which job "
        "made what, from what, with which software, when and where.",
        "To make the same again, in this folder (Linux, Python 3.11 to 3.14):",
        f"```\nmv results deposited\nmake setup\n. .venv/bin/activate\n{said.again}\n```",
        f"Licence: {plain(said.license)}",
    ]
    return "\n\n".join(paragraphs) + "\n"


def preview(said: About) -> str:
    """ro-crate-preview.html."""
    return web.render("crate", said=said, above=[], title=said.title)
