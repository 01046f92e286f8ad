"""With what the jobs were run: stages as tools, packages, Snakemake, machines."""

from rocrate.rocrate import ROCrate

from fixres import jobs
from fixres.jobs.made import Made
from fixres.pages.crate.entities import Reference, add, value
from fixres.pages.crate.runs import Run

SNAKEMAKE = "Snakemake"  # in `Made.versions`
PYTHON = "Python"
ADDRESSES = {  # package, as it is shown -> its page; the pages of all others are on PyPI
    PYTHON: "https://www.python.org/#{}",
    "DALI": "https://developer.nvidia.com/dali#{}",
}
ON_PYPI = "https://pypi.org/project/{}/{}/"


def add_packages(crate: ROCrate, made: Made) -> list[Reference]:
    """Python and the packages that compute or load."""
    found = []
    for name, version in made.versions.items():
        place = ADDRESSES[name].format(version) if name in ADDRESSES else on_pypi(name, version)
        about = {"name": name, "softwareVersion": version, "url": place}
        found.append(add(crate, place, "SoftwareApplication", **about))
    return found


def on_pypi(name: str, version: str) -> str:
    """The page of a package."""
    return ON_PYPI.format(name.lower(), version)


def add_machine(crate: ROCrate, made: Made) -> Reference:
    """The machine of a job: its processor, and its GPUs."""
    gpus = ", ".join(made.gpus) or "none"
    name = f"#machine/{jobs.digest(made.processor, gpus)[:12]}"
    parts = {"processor": made.processor, "GPUs": gpus}
    properties = [
        value(crate, f"{name}/{key}", propertyID=key, name=key, value=text)
        for key, text in parts.items()
    ]
    about = {"description": f"GPUs: {gpus}", "additionalProperty": properties}
    return add(crate, name, "Place", name=made.processor, **about)


def add_tools(crate: ROCrate, found: list[Run]) -> dict[str, Reference]:
    """The tool of each job: its stage in a version, at a commit, with certain packages."""
    return {run.id: _add_tool(crate, run) for run in found}


def _add_tool(crate: ROCrate, run: Run) -> Reference:
    version, made, stage = run.config["version"], run.made, run.stage
    name, at, packages = f"#tool/{stage.name}-{version}", "", []
    if made:
        name += f"-{jobs.digest(jobs.canonical([made.suite, made.versions]))[:8]}"
        at, packages = f", suite at commit {made.suite}", add_packages(crate, made)
    return add(
        crate,
        name,
        "SoftwareApplication",
        name=f"fixres {stage.name}",
        description=stage.about,
        softwareVersion=f"stage version {version}{at}",
        softwareRequirements=packages,
    )


def engine(crate: ROCrate, found: list[Run]) -> list[Reference]:
    """The Snakemake that ran the jobs, in each version that is recorded."""
    versions = {run.made.versions.get(SNAKEMAKE) for run in found if run.made} - {None}
    known = [on_pypi(SNAKEMAKE, version) for version in sorted(versions)]
    if known:
        return [{"@id": name} for name in known]
    return [add(crate, "https://snakemake.github.io/", "SoftwareApplication", name=SNAKEMAKE)]
