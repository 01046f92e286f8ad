"""Checks of a Snakemake command: its words and its targets.

Where a word is wrong, Snakemake alone ends in a traceback or silently drops a part of the command.
These checks name the word and what to write instead.
"""

import argparse
import functools
import os
import shlex
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from snakemake.cli import get_argument_parser
from snakemake.dag import DAG
from snakemake.exceptions import WorkflowError

from fixres import config, jobs
from fixres.config import ConfigError
from fixres.graph import declare
from fixres.graph.graph import JobGraph
from fixres.graph.jobs import Job
from fixres.jobs import JobError
from fixres.nearest import closest, did_you_mean

CONFIGURATIONS = (".yaml", ".yml", ".json")
BRACES = "--config 'base_training={epochs: 2}' (in quotes, with a space after each colon)"


class PlanningError(WorkflowError):
    """A message for the person who ran the command. Snakemake shows only the message."""

    __traceback__ = None  # or else Snakemake would show frames of this package


# --- the command line ----------------------------------------------------------------------------


class _Given(argparse.Namespace):
    """Collects all values of each option, not only the last."""

    def __init__(self) -> None:
        super().__init__(values=defaultdict(list))

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name != "values":
            self.values[name].append(value)


@functools.cache  # Snakemake's display asks first, and then the Snakefile
def check_command_line(*words: str) -> None:
    """Raise PlanningError if Snakemake would misread its command line, or drop a part of it.

    Parameters
    ----------
    words : sys.argv. The command line of another program, or of a Snakemake that was started by
        another Snakemake, is not checked.
    """
    if "snakemake" not in Path(words[0]).parts[-2:] or "--mode" in words:
        return
    parser, given = get_argument_parser(), _Given()
    parser.parse_args(words[1:], namespace=given)
    for action in parser._actions:
        # The first value is the default.
        lists = given.values[action.dest][1:]
        if action.option_strings and action.nargs in ("+", "*") and len(lists) > 1:
            flag = action.option_strings[0]
            plain = [values for values in lists if isinstance(values, list | tuple | set)]
            texts = [str(value) for values in plain for value in values]
            raise PlanningError(
                f"{flag}: given {len(lists)} times, but Snakemake uses only the last. Give it "
                f"once, with all values: {flag} {shlex.join(texts) or '…'}"
            )
    try:
        _check_files(given.configfile)
        _check_values(given.config or [])
    except ConfigError as error:
        raise PlanningError(str(error)) from None


def check_file(file: str | Path) -> None:
    """Raise PlanningError if a configuration file cannot be read.

    Snakemake's own message would say less, and Snakemake accepts duplicate keys.
    """
    try:
        config.read_yaml(file)
    except ConfigError as error:
        where = "" if os.path.exists(file) else " Run the command in the suite's folder."
        raise PlanningError(f"{error}{where}") from None


def check_folders(suite: str | Path) -> None:
    """Raise PlanningError if Snakemake cannot use the suite's folder, or its own folders."""
    try:
        jobs.check_suite(Path(suite))
        jobs.check_folder(Path(".snakemake"), "Snakemake's records")
        jobs.check_folder(Path("results"))
    except JobError as error:
        raise PlanningError(str(error)) from None


def _check_files(files: list[Path]) -> None:
    """Check that each word after --configfile is a configuration, and not a target."""
    for file in files:
        try:
            config.read_yaml(file)
        except ConfigError as error:
            if file.suffix in CONFIGURATIONS or os.path.isdir(file):
                near = map(str, [] if os.path.exists(file) else file.parent.glob("*.yaml"))
                hint = did_you_mean(str(file), near)
                raise ConfigError(f"{error} {hint}".rstrip()) from None
            others = shlex.join(str(other) for other in files if other != file)
            raise ConfigError(
                f"--configfile: not a configuration ({str(error).removesuffix('.')}). Put a target "
                f"before the option: snakemake {file} --configfile {others or '…'}"
            ) from None


def _check_values(words: list[str]) -> None:
    """Check that each word after --config is KEY=VALUE, with a key of the schema, once."""
    keys = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(
                f"--config: not a setting (got '{word}', expected KEY=VALUE). Put a target before "
                "the option."
            )
        *sections, last = key.split(".")
        if sections:
            inside = f"{last}: {value}"
            for section in reversed(sections[1:]):
                inside = f"{section}: {{{inside}}}"
            raise ConfigError(
                f"--config {key}: a key of a section needs braces. Write: "
                f"--config '{sections[0]}={{{inside}}}'"
            )
        if key not in config.Config.model_fields:
            known = config.Config.model_fields
            hint = did_you_mean(key, known) or f"Valid keys: {', '.join(known)}."
            raise ConfigError(f"--config {key}: unknown key. {hint}")
        if key in keys and not value.startswith("{"):
            raise ConfigError(f"--config {key}: given twice. Remove one.")
        keys.append(key)
        if value.startswith(("{", "[")):
            try:
                config.value_of(value, f"--config {key}")
            except ConfigError as error:
                raise ConfigError(f"{error} Write it like {BRACES}.") from None


# --- the targets ---------------------------------------------------------------------------------


def check_targets(graph: JobGraph) -> None:
    """Have the targets checked before Snakemake looks for rules that make them.

    Otherwise Snakemake would report a mistyped target as a missing rule, and missing images as the
    failure of a rule's input function.
    """
    if not hasattr(DAG, "init_unchecked"):
        DAG.init_unchecked = DAG.init

    async def init(dag: DAG, *args, **kwargs) -> None:
        if dag.workflow.is_main_process:
            files = sorted(dag.targetfiles)
            for rule in dag.targetrules:
                files += [file for file in rule.input if isinstance(file, str)]
            check(files, graph, [rule.name for rule in dag.workflow.rules])
        await dag.init_unchecked(*args, **kwargs)

    DAG.init = init


def check(files: Iterable[str], graph: JobGraph, rules: list[str]) -> None:
    """Raise PlanningError if nothing makes a file, or if its inputs are not configured.

    Parameters
    ----------
    rules : names of rules, which are also targets.
    """
    made = {f"results/{file}": job for file, job in graph.made_by.items()}
    unknown = [file for file in files if file not in made and not os.path.exists(file)]
    if unknown:
        raise PlanningError("\n".join(_unknown(file, graph, [*made, *rules]) for file in unknown))
    asked = dict.fromkeys(job for file in files if file in made for job in made[file].ancestors)
    try:
        declare.require(graph, asked)
        for folder in _folders_of(asked):
            jobs.check_folder(Path(folder))
    except (ConfigError, JobError) as error:
        raise PlanningError(str(error)) from None


def _folders_of(asked: Iterable[Job]) -> set[str]:
    """The folders of jobs, and their parent folders."""
    folders = {""}
    for job in asked:
        folder = f"results/{job.id}"
        while folder not in folders:
            folders.add(folder)
            folder = os.path.dirname(folder)
    return folders - {""}


def _unknown(file: str, graph: JobGraph, known: list[str]) -> str:
    """A line about an unknown target: the nearest target, or the images that are missing."""
    for dataset, why in graph.absent.items():
        if dataset in Path(file).parts:
            return f"{file}: cannot be made without {why}."
    page, below = f"results/{Path(file).stem}.md", os.path.relpath(file)
    near = next((name for name in (below, page) if name in known), None)
    if not near and os.sep not in file:  # a rule, or a page without its folder and suffix
        stems = {Path(name).stem: f"results/{Path(name).stem}.md" for name in known}
        pages = {name: page for name, page in stems.items() if page in known}
        short = pages | {name: name for name in known if os.sep not in name}
        near = next((short[name] for name in closest(file, short)), None)
    near = near or next(iter(closest(file, known)), None)
    hint = f"Did you mean {near}?" if near else "See results/plan.md for all targets."
    return f"{file}: no such target in this configuration. {hint}"
