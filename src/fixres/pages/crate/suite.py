"""What the suite says of itself, in CITATION.cff: title, version, licence, authors, the paper."""

import re

import yaml
from rocrate.rocrate import ROCrate

from fixres.jobs.origin import SUITE
from fixres.pages.crate.entities import Reference, add


def citation() -> dict:
    """The content of CITATION.cff."""
    return yaml.safe_load((SUITE / "CITATION.cff").read_text(encoding="utf-8"))


def add_license(crate: ROCrate, name: str) -> Reference:
    """A licence: an SPDX identifier, or an address."""
    if "://" in name:
        return add(crate, name, "CreativeWork", name=name)
    return add(crate, f"https://spdx.org/licenses/{name}", "CreativeWork", name=name)


def add_suite_authors(crate: ROCrate) -> list[Reference]:
    """The authors of the suite, who need not be the authors of the results."""
    names = [author["name"] for author in citation()["authors"]]
    return [add(crate, f"#suite/{slug(name)}", "Organization", name=name) for name in names]


def add_paper(crate: ROCrate) -> Reference:
    """The paper that the suite reproduces."""
    [paper] = citation()["references"]
    authors = []
    for author in paper["authors"]:
        name = f"{author['given-names']} {author['family-names']}"
        authors.append(add(crate, f"#paper/{slug(name)}", "Person", name=name))
    about = {"name": paper["title"], "datePublished": str(paper["year"]), "url": paper["url"]}
    return add(crate, paper["url"], "ScholarlyArticle", author=authors, **about)


def slug(name: str) -> str:
    """A name as a part of an id."""
    return re.sub(r"\W+", "-", name.lower()).strip("-")
