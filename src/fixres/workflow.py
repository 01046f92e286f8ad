"""What the Snakefile needs of the package: the checked plan, and the environment that its jobs run in."""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from fixres import config, job, plan


def open_plan(files: list[str | Path], merged: dict) -> plan.Plan:
    """The plan for Snakemake's merged configuration. Raises WorkflowError with what to mend, before anything is planned.

    Parameters
    ----------
    files : the configuration files, checked for what Snakemake lets pass (a key that stands twice).
    """
    try:
        for file in files:
            config.read_yaml(file)
        return plan.Plan(config.parse(merged, where=" + ".join(map(str, files))))
    except config.ConfigError as error:
        raise WorkflowError(str(error)) from None


def resolved(the_plan: plan.Plan, name: str) -> str:
    """The resolved configuration of a job as one canonical line: Snakemake compares it as text, so key order never matters."""
    try:
        return job.canonical(the_plan.resolved(name))
    except config.ConfigError as error:
        raise WorkflowError(str(error)) from None


def use_this_python(source: Path) -> None:
    """Let `python -m fixres` in a job be this package, run by the interpreter that runs Snakemake (or by a rule's conda environment)."""
    os.environ["PYTHONPATH"] = str(source)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
