"""What the runs started from: images, by the digest of their manifest; published weights."""

import re
from pathlib import Path

from rocrate.rocrate import ROCrate

from fixres.artifacts import manifest
from fixres.data import sources
from fixres.graph.pages import Crate
from fixres.pages.crate.entities import Reference, add
from fixres.pages.crate.runs import Run

DIGEST = "manifest-digest"  # propertyID: of all paths, labels, splits, sizes and checksums
ABOUT_DIGEST = (
    "32 digits of a SHA-256 over classes, paths, labels, splits, sizes and checksums of all images "
    "(Manifest.digest in src/fixres/artifacts/manifest.py)."
)


def add_images(
    crate: ROCrate, planned: Crate, found: list[Run], results: Path
) -> dict[str, Reference]:
    """The datasets: id of the job that renders or lists the images -> their entity.

    None of their files is in the crate.
    """
    listed = {run.job.dataset: run for run in found if run.job.stage == "manifest" and run.seal}
    entities = {
        name: _add_dataset(crate, planned, name, run, results) for name, run in listed.items()
    }
    return {run.id: entities[run.job.dataset] for run in found if run.job.dataset in entities}


def _add_dataset(
    crate: ROCrate, planned: Crate, name: str, listed: Run, results: Path
) -> Reference:
    data = manifest.load(results / listed.job.outputs["manifest"])
    source = sources.load(listed.config["source"])
    title, url, terms = f"{name}: {source.title}", "", ""
    if planned.configuration["datasets"][name]["rendered"]:
        title = f"{name}: images that the suite renders in the layout of {source.title}"
    elif source.published:
        [url] = re.findall(r"https?://\S+", source.where)[:1] or [""]
        terms = source.terms
    digest = add(
        crate,
        f"#data/{name}/digest",
        "PropertyValue",
        propertyID=DIGEST,
        name="digest of the manifest",
        description=ABOUT_DIGEST,
        value=data.digest(),
    )
    return add(
        crate,
        f"#data/{name}",
        "Dataset",
        name=title,
        description=" ".join(["The images are not in this crate.", *data.notes]),
        identifier=digest,
        url=url,
        conditionsOfAccess=terms,
        exampleOfWork={"@id": "#parameter/images"},
    )


def add_weights(crate: ROCrate, found: list[Run], results: Path) -> dict[str, Reference]:
    """Weights that others published: id of the job that fetches them -> their entity."""
    return {
        run.id: _add_published(crate, run, results)
        for run in found
        if run.job.stage == "pretrained" and run.seal
    }


def _add_published(crate: ROCrate, run: Run, results: Path) -> Reference:
    from fixres.artifacts import weights  # imports torch, so only where there are such weights

    kept = results / run.job.outputs["weights"]
    known = weights.meta_of(kept) if kept.is_file() else {}
    source = known.get("source") or run.config["source"]
    kind = next(iter(source))
    where = str(source[kind])
    return add(
        crate,
        f"#weights/{run.id}",
        "CreativeWork",
        name=f"published weights: {where if '://' in where else f'{kind} {Path(where).name}'}",
        description=f"Not in this crate. {run.id} fetches and checks them.",
        url=where if where.startswith(("http://", "https://")) else "",
        sha256=known.get("sha256") or source.get("sha256"),
        license=known.get("licence"),
    )
