"""results/ro-crate: a Workflow Run RO-Crate of what was made, to deposit (docs/ro-crate.md).

All that it says is read from records that the jobs have left: configurations, seals, times,
manifests. The same results at the same commit give the same bytes.
"""

from pathlib import Path

from rocrate.model.preview import Preview
from rocrate.rocrate import ROCrate

from fixres import jobs
from fixres.graph.pages import Crate
from fixres.pages import command
from fixres.pages.crate import about, actions, inputs, payload, runs, software, workflow
from fixres.pages.crate.entities import VERSION, WFRUN
from fixres.pages.crate.payload import Payload


def main(arguments: list[str]) -> None:
    crate, args = command.read(arguments, "crate", __doc__, Crate, several=("given",))
    with jobs.atomic_folder(args.out) as folder:
        write(crate, args.results, args.given, folder)


def write(planned: Crate, results: Path, given: list[Path], folder: Path) -> None:
    """Write the crate into an empty folder.

    Parameters
    ----------
    results : the folder of that name.
    given : the configuration files, which are copied as they are.

    Raises
    ------
    JobError : a record is missing, damaged, or not of the plan. The message names it.
    """
    found = runs.read(planned, results)
    crate = ROCrate(version=VERSION)
    crate.metadata.extra_contexts.append(WFRUN)
    files = Payload(crate, results, folder / ".made")
    said = about.of(planned, found, results)

    pages = payload.add_pages(files, planned)
    configuration = payload.add_configuration(files, planned, given)
    payload.add_records(files, found)
    payload.add_code(files)
    images = inputs.add_images(crate, planned, found, results)
    weights = inputs.add_weights(crate, found, results)

    tools = software.add_tools(crate, found)
    main_file = workflow.add(crate, planned, tools)
    actions.add_jobs(files, found, tools, images | weights)
    actions.add_run(crate, found, main_file, [*configuration, *images.values()], pages)
    about.describe(crate, said, main_file)
    files.text("README.md", about.readme(said), name="What this is", about={"@id": "./"})
    preview = files.made / "ro-crate-preview.html"
    preview.write_text(about.preview(said), encoding="utf-8")
    crate.add(Preview(crate, preview))
    payload.write(files, folder)
