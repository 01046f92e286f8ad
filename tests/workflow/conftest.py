"""The small workflow, executed once, and copies of it to edit."""

import shutil

import pytest
from small import SMALL

from shared import PAGES, Workflow


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workflow:
    """The small workflow, executed."""
    workflow = Workflow(tmp_path_factory.mktemp("finished"))
    workflow.write(SMALL)
    workflow.output = workflow.run(*PAGES).stdout
    return workflow


@pytest.fixture
def done(finished, tmp_path) -> Workflow:
    """A copy of the executed workflow, to edit."""
    shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True)
    return Workflow(tmp_path / "copy")
