"""The stage table: every stage with every property, and what reads it."""

import importlib
import inspect
import json
import re
import subprocess
import sys

import pytest

from fixres import paper
from fixres.__main__ import COMMANDS, ENTRIES
from fixres.config import load
from fixres.config.hardware import Hours, Memory
from fixres.graph import costs
from fixres.graph.stages import IMAGES, MEASUREMENTS, RUN, STAGES, START, Stage
from shared import ROOT

# stage -> version, parents, limits, uses_device, fails_alone, page
EXPECTED = {
    "render": (2, (), "render", False, False, False),
    "manifest": (2, (), "manifest", False, False, False),
    "pretrained": (1, (), "pretrained", False, True, False),
    "train": (2, (IMAGES, START), "train", True, True, False),
    "match": (1, (IMAGES, RUN), "match", True, True, False),
    "statistics": (1, (IMAGES, RUN), "match", True, True, False),
    "finetune": (2, (IMAGES, RUN), "finetune", True, True, False),
    "evaluate": (3, (IMAGES, RUN), "evaluate", True, True, False),
    "activations": (1, (IMAGES, RUN), "evaluate", True, True, False),
    "time": (1, (IMAGES,), "time", True, True, False),
    "memory": (1, (IMAGES,), "time", True, True, False),
    "speed": (1, (), "time", True, True, False),
    "sizes": (1, (IMAGES,), "", False, True, False),
    "crops": (1, (IMAGES,), "", False, True, False),
    "choose": (2, (MEASUREMENTS,), "", False, False, False),
    "export": (1, (MEASUREMENTS,), "", False, False, False),
    "answer": (2, (MEASUREMENTS,), "", False, False, True),
    "crate": (1, (MEASUREMENTS,), "", False, False, True),
    "report": (2, (MEASUREMENTS,), "", False, False, True),
    "claims": (5, (MEASUREMENTS,), "", False, False, True),
    "text": (4, (MEASUREMENTS,), "", False, False, True),
    "summary": (3, (MEASUREMENTS,), "", False, False, True),
    "cost": (2, (MEASUREMENTS,), "", False, False, True),
    "table": (5, (MEASUREMENTS,), "", False, False, True),
    "figure": (6, (MEASUREMENTS,), "", False, False, True),
}
# stage -> outputs, log and benchmark of the job a/b
FILES = {
    "render": ("a/rendered", "a/b/log.txt", "a/b/benchmark.tsv"),
    "manifest": ("a/manifest.npz", "a/b/log.txt", "a/b/benchmark.tsv"),
    "pretrained": ("a/b/weights.safetensors", "a/b/pretrained.log", "a/b/pretrained.benchmark.tsv"),
    "train": ("a/b/weights.safetensors a/b/log.csv", "a/b/train.log", "a/b/train.benchmark.tsv"),
    "match": ("a/b/weights.safetensors", "a/b/match.log", "a/b/match.benchmark.tsv"),
    "statistics": ("a/b/weights.safetensors", "a/b/statistics.log", "a/b/statistics.benchmark.tsv"),
    "finetune": (
        "a/b/weights.safetensors a/b/log.csv",
        "a/b/finetune.log",
        "a/b/finetune.benchmark.tsv",
    ),
    "evaluate": ("a/b/metrics.json a/b/hits.npz", "a/b/log.txt", "a/b/benchmark.tsv"),
    "activations": ("a/b/metrics.json a/b/samples.npz", "a/b/log.txt", "a/b/benchmark.tsv"),
    "time": ("a/b/metrics.json", "a/b/time.log", "a/b/time.benchmark.tsv"),
    "memory": ("a/b/metrics.json", "a/b/memory.log", "a/b/memory.benchmark.tsv"),
    "speed": ("a/b/metrics.json", "a/b/speed.log", "a/b/speed.benchmark.tsv"),
    "sizes": ("a/b/metrics.json a/b/samples.npz", "a/b/sizes.log", "a/b/sizes.benchmark.tsv"),
    "crops": ("a/b/crops.npz", "a/b/crops.log", "a/b/crops.benchmark.tsv"),
    "choose": ("a/b/choice.json", "a/b/log.txt", ""),
    "export": ("a/fixed/model.safetensors", "a/b/log.txt", ""),
    "answer": ("a/b.md a/b.csv a/b.svg a/b.png a/b.html", "a/b/log.txt", ""),
    "crate": ("b", "pages/b/log.txt", ""),
    "report": ("b.html", "pages/b/log.txt", ""),
    "claims": ("b.md b.csv b.comparisons.csv b.html", "pages/b/log.txt", ""),
    "text": ("b.md b.csv b.html", "pages/b/log.txt", ""),
    "summary": ("b.md b.html", "pages/b/log.txt", ""),
    "cost": ("b.md", "pages/b/log.txt", ""),
    "table": ("b.md b.csv b.trends.csv b.html", "pages/b/log.txt", ""),
    "figure": ("b.svg b.png b.csv", "pages/b/log.txt", ""),
}


def test_every_stage_has_every_property():
    keys = ("version", "parents", "limits", "uses_device", "fails_alone", "page")
    found = {name: tuple(getattr(s, key) for key in keys) for name, s in STAGES.items()}
    assert found == EXPECTED
    for name, stage in STAGES.items():
        assert stage.name == name
        assert stage.about
        assert stage.work
        assert stage.outputs


def test_the_stages_that_need_training_images():
    """Those that read the rows of the training part."""
    for stage in STAGES.values():
        source = inspect.getsource(importlib.import_module(f"fixres.{stage.entry.split(':')[0]}"))
        assert stage.trains == ('rows("train")' in source), stage.name


def test_every_stage_says_where_its_files_are():
    def file(template: str) -> str:
        return template.format(id="a/b", folder="a", name="b")

    found = {
        name: (" ".join(map(file, s.outputs.values())), file(s.log), file(s.benchmark))
        for name, s in STAGES.items()
    }
    assert found == FILES


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_what_a_record_names_is_there(stage):
    """The module that runs it, and the functions that count its work and its files."""
    module, _, function = stage.entry.partition(":")
    assert callable(getattr(importlib.import_module(f"fixres.{module}"), function or "main"))
    if stage.cost:
        assert list(inspect.signature(getattr(costs, stage.cost)).parameters)[:2] == [
            "costs",
            "name",
        ]
    if stage.disk:
        assert callable(getattr(costs, stage.disk))


def test_the_hardware_section_has_limits_for_the_stages():
    wanted = {stage.limits for stage in STAGES.values() if stage.limits}
    assert set(Hours.model_fields) == set(Memory.model_fields) == wanted


def test_the_command_line_has_every_stage_once():
    assert ENTRIES.keys() == STAGES.keys() | COMMANDS.keys()
    assert not STAGES.keys() & COMMANDS.keys()


def rules_of_snakefile() -> dict[str, tuple[list[str], list[str], str, bool]]:
    """Rule -> outputs, logs, benchmark and whether it runs locally, as Snakemake reads them."""
    code = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from snakemake.api import SnakemakeApi\n"
        "from snakemake.settings.types import ResourceSettings\n"
        "with SnakemakeApi() as api:\n"
        "    workflow = api.workflow(\n"
        "        resource_settings=ResourceSettings(cores=1),\n"
        "        snakefile=Path(sys.argv[1]) / 'Snakefile',\n"
        "        workdir=Path(sys.argv[1]),\n"
        "    )._workflow\n"
        "    found = {\n"
        "        rule.name: [sorted(str(f) for f in rule.output), [str(f) for f in rule.log],\n"
        "                    str(rule.benchmark or ''), rule.name in workflow._localrules]\n"
        "        for rule in workflow.rules\n"
        "    }\n"
        "print(json.dumps(found))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(ROOT)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_the_rules_write_the_files_of_their_stages():
    """Outputs, log and benchmark of each rule are those of its stage's record.

    What has no limits is no job of a scheduler. A rule does not inherit that from another.
    """
    rules = rules_of_snakefile()
    assert rules.keys() - {"all", "tables"} == STAGES.keys() | {"sweep"}

    def plain(path: str) -> str:
        path = re.sub(r"\{(\w+)(,[^{}]*(\{[^{}]*\}[^{}]*)*)?\}", r"{\1}", path)
        path = path.removeprefix("results/").replace("data/{dataset}", "{folder}")
        return path.replace("{page}", "{name}").replace("{job}", "{id}")

    for name, (outputs, logs, benchmark, is_local) in rules.items():
        if name in ("all", "tables"):
            continue
        stage = STAGES["evaluate" if name == "sweep" else name]
        assert sorted(map(plain, outputs)) == sorted(expected_of(stage)), name
        assert plain(logs[0]) == as_rule(stage, stage.log), name
        assert plain(benchmark) == as_rule(stage, stage.benchmark), name
        assert is_local == (not stage.limits), name


def expected_of(stage: Stage) -> list[str]:
    return [as_rule(stage, file) for file in stage.outputs.values()]


def as_rule(stage: Stage, file: str) -> str:
    """A file as its rule writes it: render, manifest, choice and export lie in a folder by name."""
    below = {"render": "render", "manifest": "manifest", "choose": "choice", "export": "export"}
    if stage.name not in below:
        return file
    folder = "{folder}" if stage.name in ("render", "manifest") else "{id}"
    return file.replace("{id}", f"{folder}/{below[stage.name]}").replace("{folder}", folder)


def test_no_other_list_of_stages_is_in_the_source():
    """A file that names five computing stages or more would be a list of them."""
    computing = [name for name, stage in STAGES.items() if stage.limits and name != "memory"]
    for file in (ROOT / "src").rglob("*.py"):
        if file.name != "stages.py" and file.parent.name != "config":
            text = file.read_text()
            named = {name for name in computing if re.search(rf"[\"']{name}[\"']", text)}
            assert len(named) < 5, (file, named)


def test_only_jobs_of_the_plan_are_of_the_table():
    plan = paper.plan_of(load(ROOT / "config.yaml", ROOT / "configs/smoke.yaml"))
    for job in plan.jobs.values():
        assert job.stage is STAGES[job.config["stage"]]
        assert job.config["version"] in (job.stage.version, f"{job.stage.version}.1")
        assert (job.images is not None) == (IMAGES in job.stage.parents)
        assert (job.run is not None) == (RUN in job.stage.parents)
