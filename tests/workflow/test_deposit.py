"""`snakemake results/ro-crate`: what it makes, what makes it again, and what a validator says."""

import json
import shutil
import subprocess

import pytest
from small import merged

from fixres import paper
from fixres.config import load
from shared import ROOT, Workflow, digests

CRATE = "results/ro-crate"
ONLY = {"only": ["table5", "figure5"], "allow_missing": True}
OVER_ALL = {("summary", "summary.md"), ("claims", "claims.md"), ("text", "text.md")}
OVER_ALL |= {("report", "report.html"), ("crate", "ro-crate")}
PAGES = {("table", "table5.md"), ("figure", "figure5.svg")}
AUTHOR = {"name": "Ada Lovelace", "affiliation": "An Institute"}
CHECKER = ROOT / ".venv/crate-check/bin/python"
# What the profiles recommend and no record says.
UNKNOWN = (
    "The Action SHOULD have an agent that is a Person or Organization",
    "The Application SHOULD have a url",  # a stage has no page of its own
    "The SoftwareApplication id SHOULD be an absolute URI",
    "The author SHOULD have an organizational affiliation.",  # of the paper's
    "The author SHOULD have a Contextual Entity which specifies the organizational `affiliation`.",
    "The organization SHOULD have a URL.",
    "The `publisher` property of a `Root Data Entity` SHOULD be an `Organization`",
)


def config(**changes: dict) -> dict:
    return merged(**{"pages": ONLY, "crate": {"authors": [AUTHOR]}} | changes)


@pytest.fixture
def deposited(done) -> Workflow:
    done.write(config())
    # The pages that `all` makes. With fewer of them, an evaluation has fewer k_test.
    fewer = {("evaluate", "runs/set/resnet10q-k32/evaluation/metrics.json")}
    assert done.planned(CRATE) == OVER_ALL | PAGES | fewer
    done.run(CRATE)
    return done


def test_it_is_made_again_with_what_it_holds_and_validates(deposited):
    assert deposited.planned(CRATE) == set()
    folder = deposited.folder / CRATE
    issues = validate(folder)
    required = [issue for issue in issues if issue[0] != "RECOMMENDED"]
    assert required == []
    assert {message for _, message, _ in issues} == set(UNKNOWN)
    broken = deposited.folder / "broken"
    shutil.copytree(folder, broken)
    (broken / "results/table5.csv").unlink()
    assert [entity for kind, _, entity in validate(broken) if kind == "REQUIRED"] != []

    graph = json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    run = entities["#job/runs/set/resnet10q-k16"]
    assert run["startTime"] <= run["endTime"]
    assert entities[run["location"]["@id"]]["name"]
    packages = entities[run["instrument"]["@id"]]["softwareRequirements"]
    assert {"torch", "Python"} <= {entities[one["@id"]]["name"] for one in packages}

    # The code in it, with its configuration, makes the same again.
    again = Workflow(deposited.folder / "again")
    shutil.copytree(
        folder, again.folder, ignore=lambda where, _: ["results"] if where == str(folder) else []
    )
    command = [*again.command("--dry-run", "results/table5.md")]
    command[command.index(str(ROOT / "Snakefile"))] = str(again.folder / "Snakefile")
    command[command.index(str(ROOT / "profiles/default"))] = str(again.folder / "profiles/default")
    env = again.env | {"PYTHONPATH": str(again.folder / "src")}
    said = subprocess.run(command, cwd=again.folder, env=env, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "train      results/runs/set/resnet10q-k32/weights.safetensors" in said.stdout
    plans = [paper.plan_of(load(one.folder / "config.yaml")) for one in (deposited, again)]
    assert digests(plans[0]) == digests(plans[1])

    # What makes it again.
    crate = {("crate", "ro-crate")}
    deposited.write(config(crate={"title": "Ours"}))
    assert deposited.planned(CRATE) == crate
    shown = {("table", "table5.md"), ("summary", "summary.md"), ("report", "report.html")}
    deposited.write(config(pages=ONLY | {"captions": {"table5": "Another"}}))
    assert deposited.planned(CRATE) == shown | crate
    assert deposited.planned("results/report.html") == shown - {("summary", "summary.md")}
    # Numbers that were deleted are measured again once the crate needs them.
    deposited.write(config(crate={"title": "Ours"}))
    (deposited.folder / "results/runs/set/resnet10q-k16/evaluation/metrics.json").unlink()
    again_measured = {("evaluate", "runs/set/resnet10q-k16/evaluation/metrics.json")}
    assert deposited.planned(CRATE) == OVER_ALL | PAGES | again_measured


def validate(folder) -> list[list[str]]:
    """What the validator says: severity, message, entity of each issue."""
    assert CHECKER.exists(), "make .venv/crate-check installs the validator"
    result = subprocess.run(
        [CHECKER, ROOT / "tests/crate_check.py", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)
