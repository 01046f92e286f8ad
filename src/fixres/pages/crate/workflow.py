"""The workflow: its steps, the tools of each step, what goes in and what comes out."""

from rocrate.rocrate import ROCrate

from fixres import jobs
from fixres.graph.pages import Crate
from fixres.graph.stages import STAGES
from fixres.jobs import origin
from fixres.jobs.origin import SUITE
from fixres.pages.crate import entities, suite
from fixres.pages.crate.entities import PARAMETER, WORKFLOW, Reference

PARAMETERS = {  # name -> its type, and what it is
    "configuration": ("File", "All that shapes a result"),
    "images": ("Dataset", "Images that networks train on, and are measured on"),
    "pages": ("File", "Tables, figures, claims, numbers, and the report over all of them"),
}


def add(crate: ROCrate, planned: Crate, tools: dict[str, Reference]) -> Reference:
    """The Snakefile: its steps, the tools of each, what goes in and comes out."""
    parameters = {
        name: entities.add(
            crate,
            f"#parameter/{name}",
            "FormalParameter",
            additionalType=kind,
            conformsTo={"@id": PARAMETER},
            name=name,
            description=about,
        )
        for name, (kind, about) in PARAMETERS.items()
    }
    of_stage: dict[str, dict[str, Reference]] = {}
    for run, tool in tools.items():
        of_stage.setdefault(planned.jobs[run].stage, {})[tool["@id"]] = tool
    steps = [
        entities.add(
            crate,
            f"#step/{stage}",
            "HowToStep",
            name=stage,
            description=STAGES[stage].about,
            position=str(i),
            workExample=list(of_stage[stage].values()),
        )
        for i, stage in enumerate(planned.stages, 1)
        if stage in of_stage
    ]
    each = {tool["@id"]: tool for tool in tools.values()}
    cited = suite.citation()
    about = {
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": cited["title"],
        "description": "The workflow. Its rules are in rules/, the code that they run in src/.",
        "conformsTo": {"@id": WORKFLOW},
        "version": f"{cited['version']}, commit {origin.commit()}",
        "license": suite.add_license(crate, cited["license"]),
        "creator": entities.single(suite.add_suite_authors(crate)),
        "input": [parameters["configuration"], parameters["images"]],
        "output": parameters["pages"],
        "step": steps,
        "hasPart": list(each.values()),
        "encodingFormat": "text/plain",
        "sha256": jobs.file_digest(SUITE / "Snakefile"),
    }
    file = SUITE / "Snakefile"
    workflow = crate.add_workflow(file, file.name, properties=about, main=True, lang="snakemake")
    return {"@id": workflow.id}
