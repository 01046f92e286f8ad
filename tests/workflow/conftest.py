"""The small workflow, executed once, and copies of it to edit."""

import shutil
from pathlib import Path

import pytest
from small import SMALL

from shared import PAGES, Workflow, made_once

OUTPUT = "output of snakemake.txt"


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workflow:
    """The small workflow, executed. Its output is in `output`. Tests change only copies."""

    def make(folder: Path) -> None:
        workflow = Workflow(folder)
        workflow.write(SMALL)
        output = workflow.run(*PAGES).stdout
        (folder / OUTPUT).write_text(output, encoding="utf-8")

    workflow = Workflow(made_once(tmp_path_factory, "finished", make))
    workflow.output = (workflow.folder / OUTPUT).read_text(encoding="utf-8")
    return workflow


@pytest.fixture
def done(finished, tmp_path) -> Workflow:
    """A copy of the executed workflow, to edit."""
    shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True)
    return Workflow(tmp_path / "copy")
