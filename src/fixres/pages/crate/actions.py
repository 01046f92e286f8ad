"""What was run: each job as an action of its tool, and the workflow that ran them."""

from rocrate.rocrate import ROCrate

from fixres.pages.crate import software
from fixres.pages.crate.entities import COMPLETED, FAILED, SECOND, Reference, add, value
from fixres.pages.crate.payload import Payload
from fixres.pages.crate.runs import Run


def add_jobs(
    files: Payload, found: list[Run], tools: dict[str, Reference], starts: dict[str, Reference]
) -> None:
    """The jobs, each with what it read and what it left.

    Parameters
    ----------
    tools : job -> its tool.
    starts : job -> the images that it renders or lists, or the weights that it fetches.
    """
    for run in found:
        read = [files.places[f"results/{run.id}/config.json"]]
        read += [files.entity(file, sha256) for file, sha256 in sorted(run.inputs.items())]
        left = [files.entity(file, sha256) for file, sha256 in run.outputs.items()]
        if run.id in starts:
            (left if run.job.stage == "render" else read).append(starts[run.id])
        add(
            files.crate,
            f"#job/{run.id}",
            "CreateAction",
            name=f"{run.job.stage}: {run.id}",
            description=run.stage.about,
            instrument=tools[run.id],
            object=list({one["@id"]: one for one in read}.values()),
            result=left,
            actionStatus=FAILED if run.error else COMPLETED,
            error=run.error,
            **_circumstances(files.crate, run),
        )


def _circumstances(crate: ROCrate, run: Run) -> dict[str, object]:
    """When and where a job ran, and how long it took, as far as that is recorded."""
    known: dict[str, object] = {}
    if run.made:
        known |= {"startTime": run.made.started, "endTime": run.made.ended}
        known["location"] = software.add_machine(crate, run.made)
    if run.seconds is not None:
        about = {"propertyID": SECOND, "name": "wall-clock time", "unitCode": SECOND}
        spent = value(crate, f"#job/{run.id}/time", value=str(run.seconds), **about)
        known["resourceUsage"] = spent
    return known


def add_run(
    crate: ROCrate,
    found: list[Run],
    workflow: Reference,
    read: list[Reference],
    pages: list[Reference],
) -> None:
    """The execution of the workflow: all jobs, from the first start to the last end."""
    made = [run.made for run in found if run.made]
    times = {}
    if made:
        times["startTime"] = min(one.started for one in made)
        times["endTime"] = max(one.ended for one in made)
    about = "All jobs behind the pages. They need not have run in one go, nor on one machine."
    whole = add(
        crate,
        "#run",
        "CreateAction",
        name="Execution of the workflow",
        description=about,
        instrument=workflow,
        object=list({one["@id"]: one for one in read}.values()),
        result=pages,
        actionStatus=COMPLETED,
        **times,
    )
    controls = [
        add(
            crate,
            f"#control/{run.id}",
            "ControlAction",
            name=f"orchestrate {run.id}",
            instrument={"@id": f"#step/{run.job.stage}"},
            object={"@id": f"#job/{run.id}"},
        )
        for run in found
    ]
    add(
        crate,
        "#organize",
        "OrganizeAction",
        name="Snakemake runs the workflow",
        instrument=software.engine(crate, found),
        object=controls,
        result=whole,
        **times,
    )
    of_jobs = [{"@id": f"#job/{run.id}"} for run in found]
    crate.root_dataset["mentions"] = [whole, *of_jobs]
