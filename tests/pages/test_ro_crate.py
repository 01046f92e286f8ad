"""The RO-Crate: it says what the records of the jobs say, and nothing that no record says.

The records here are made up: every job of a small plan has left files of a few bytes. The whole
workflow, and the validator, are in tests/workflow/test_deposit.py.
"""

import hashlib
import json
import os
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
import torch
from rocrate.rocrate import ROCrate

from fixres import config, jobs, paper
from fixres.artifacts import manifest, weights
from fixres.graph.jobs import Job
from fixres.graph.pages import Crate, CrateJob
from fixres.jobs import JobError, failures, made, sealing, seals
from fixres.jobs.made import Made
from fixres.pages import crate
from fixres.pages.crate import inputs, software
from fixres.pages.crate.runs import Run
from shared import configs, digests

CONFIG = {
    "scale": "test",
    "dataset": "set",
    "datasets": {"set": {"rendered": {"train_images": 96, "val_images": 48}}},
    "table5": {"k_train": [16, 32], "k_train_adapted": [16], "k_test": [16, 32]},
    "pages": {"only": ["table5", "figure5"], "allow_missing": True},
}
BASE = "runs/set/resnet10q-k16"
TUNED = f"{BASE}/ft-k32-cls+bn-testda"
VERSIONS = {"Python": "3.11.7", "torch": "2.15.0", "DALI": "2.4.0", "Snakemake": "9.27.1"}


class Made_up:  # noqa: N801 (as the module made_up)
    """A folder of results with made-up records, and crates of it."""

    def __init__(self, folder: Path, images: manifest.Manifest, **changes: dict):
        self.folder, self.results = folder, folder / "results"
        self.given = folder / "config.yaml"
        self.given.write_text("scale: test # the smallest\n")
        self.plan = paper.plan_of(config.parse(config.merge(CONFIG, changes)))
        self.job = self.plan.job("pages/ro-crate")
        self.planned = Crate.of(self.job.config)
        # In the order of the work: a job starts a minute after the one before.
        for i, job in enumerate(sorted(self.planned.jobs, key=self._depth)):
            self._leave(self.plan.job(job), images, i)

    def _depth(self, name: str) -> tuple[int, str]:
        return len(self.plan.job(name).ancestors), name

    def _leave(self, job: Job, images: manifest.Manifest, minute: int) -> None:
        folder = self.results / job.id
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(jobs.canonical(job.config) + "\n")
        for name, file in job.outputs.items():
            path = self.results / file
            path.parent.mkdir(parents=True, exist_ok=True)
            if name == "manifest":
                images.save(path)
            elif name != "images":
                path.write_text(f"{name} of {job.id}\n")
        read = {
            file: hashlib.sha256((self.results / file).read_bytes()).hexdigest()
            for parent in job.parents
            for file in parent.outputs.values()
            if (self.results / file).is_file()
        }
        files = job.outputs.values()
        seal = sealing.write(self.results, job.id, job.ancestry_digest, files, read)
        if job.stage.benchmark:
            (self.results / job.benchmark).parent.mkdir(parents=True, exist_ok=True)
            (self.results / job.benchmark).write_text("s\th:m:s\n7.5\t0:00:07\n")
        at = f"2019-06-14T09:{minute:02}:"
        sums = {name: found[0] for name, found in seal.files.items()}
        times = f"{at}00+00:00", f"{at}30+00:00"
        record = Made(job.id, sums, *times, "c0ffee", VERSIONS, "Xeon, 2 cores", ["H100"])
        jobs.write_json(folder / made.NAME, record._asdict())

    def crate(self, name: str = "crate") -> Path:
        folder = self.folder / name
        folder.mkdir()
        crate.write(self.planned, self.results, [self.given], folder)
        return folder

    def entities(self, name: str = "crate") -> dict[str, dict]:
        text = (self.crate(name) / "ro-crate-metadata.json").read_text(encoding="utf-8")
        graph = json.loads(text)["@graph"]
        found = {entity["@id"]: entity for entity in graph}
        assert len(found) == len(graph), "an id stands for one entity"
        return found


@pytest.fixture
def made_up(tmp_path, tiny) -> Made_up:
    return Made_up(tmp_path, tiny)


def names(references: dict | list[dict]) -> list[str]:
    return [one["@id"] for one in (references if isinstance(references, list) else [references])]


# --- the files ------------------------------------------------------------------------------------


def test_it_holds_all_pages_and_records_and_no_weights_or_images(made_up):
    folder = made_up.crate()
    held = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    pages = [
        f for page in made_up.planned.pages for f in made_up.planned.jobs[page].outputs.values()
    ]
    assert {"report.html", "table5.md", "table5.csv", "figure5.svg", "claims.csv"} <= set(pages)
    assert {f"results/{file}" for file in pages} <= held
    for record in ("config.json", "seal.json", "made.json", "train.benchmark.tsv", "log.csv"):
        assert f"results/{BASE}/{record}" in held
    assert f"results/{TUNED}/evaluation/metrics.json" in held
    assert {"Snakefile", "rules/train.smk", "src/fixres/__main__.py", "LICENSE"} <= held
    assert not [file for file in held if file.endswith((".safetensors", ".npz", ".pyc", ".jpg"))]
    assert (folder / "given/1-config.yaml").read_bytes() == made_up.given.read_bytes()


def test_every_file_is_described_by_its_size_and_digest(made_up):
    folder, entities = made_up.folder / "crate", made_up.entities()
    files = {n: e for n, e in entities.items() if "File" in e["@type"]}
    assert len(files) > 60
    for name, entity in files.items():
        content = (folder / unquote(name)).read_bytes()
        assert entity["sha256"] == hashlib.sha256(content).hexdigest(), name
        assert entity["encodingFormat"]
        assert entity.get("contentSize", str(len(content))) == str(len(content))
    assert set(files) <= set(names(entities["./"]["hasPart"]))


def test_the_configuration_in_it_makes_the_same_jobs(made_up):
    folder = made_up.crate()
    plan = paper.plan_of(config.load(folder / "config.yaml"))
    assert configs(plan) == configs(made_up.plan)


def test_the_same_results_give_the_same_bytes(made_up):
    one, other = made_up.crate("one"), made_up.crate("other")
    contents = [
        {str(p.relative_to(f)): p.read_bytes() for p in f.rglob("*") if p.is_file()}
        for f in (one, other)
    ]
    assert contents[0] == contents[1]
    text = (one / "ro-crate-metadata.json").read_text(encoding="utf-8")
    assert str(made_up.folder) not in text
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", text), "a random id"


def test_people_find_the_pages_by_the_preview(made_up):
    folder = made_up.crate()
    text = (folder / "ro-crate-preview.html").read_text(encoding="utf-8")
    links = re.findall(r'href="([^"]+)"', text)
    assert "results/report.html" in links
    assert [link for link in links if not (folder / unquote(link)).exists()] == []
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert [f for f in re.findall(r"\]\(([^)]+)\)", readme) if not (folder / f).exists()] == []


# --- the runs -------------------------------------------------------------------------------------


def test_a_job_is_an_action_that_says_what_its_records_say(made_up):
    entities = made_up.entities()
    action, seal = entities[f"#job/{TUNED}"], seals.read(made_up.results / TUNED)
    record = made.read(made_up.results / TUNED, seal)
    assert (action["startTime"], action["endTime"]) == (record.started, record.ended)
    assert action["actionStatus"].endswith("/CompletedActionStatus")
    quoted = f"results/{TUNED.replace('+', '%2B')}"
    base = f"results/{BASE}/weights.safetensors"
    read = {f"{quoted}/config.json", "#results/data/set/manifest.npz", f"#{base}"}
    assert set(names(action["object"])) == read | {f"results/{BASE}/log.csv"}
    left = {f"{quoted}/log.csv", f"#results/{TUNED}/weights.safetensors"}
    assert set(names(action["result"])) == left
    assert entities[f"#{base}"]["sha256"] == seal.read[f"{BASE}/weights.safetensors"]
    assert entities[action["resourceUsage"]["@id"]]["value"] == "7.5"
    assert entities[action["location"]["@id"]]["name"] == "Xeon, 2 cores"
    tool = entities[action["instrument"]["@id"]]
    version = made_up.plan.job(TUNED).config["version"]
    assert tool["softwareVersion"] == f"stage version {version}, suite at commit c0ffee"
    packages = {entities[name]["name"]: entities[name]["softwareVersion"]
                for name in names(tool["softwareRequirements"])}  # fmt: skip
    assert packages == VERSIONS


def test_every_job_is_a_step_of_the_workflow(made_up):
    entities = made_up.entities()
    actions = {n.removeprefix("#job/") for n, e in entities.items()
               if e["@type"] == "CreateAction"} - {"#run"}  # fmt: skip
    assert actions == set(made_up.planned.jobs)
    steps = names(entities["Snakefile"]["step"])
    order = [step.removeprefix("#step/") for step in steps]
    assert order[:4] == ["render", "manifest", "train", "finetune"]
    assert order[-1] == "report"
    for job in actions:
        control = entities[f"#control/{job}"]
        assert control["object"] == {"@id": f"#job/{job}"}
        [tool] = names(entities[f"#job/{job}"]["instrument"])
        assert tool in names(entities[control["instrument"]["@id"]]["workExample"])
    assert set(names(entities["./"]["mentions"])) == {"#run", *(f"#job/{job}" for job in actions)}


def test_the_execution_lasts_from_the_first_start_to_the_last_end(made_up):
    entities = made_up.entities()
    run = entities["#run"]
    ends = [e["endTime"] for n, e in entities.items() if n.startswith("#job/") and "endTime" in e]
    assert run["startTime"] == "2019-06-14T09:00:00+00:00"
    assert run["endTime"] == max(ends)
    assert entities["./"]["datePublished"] == "2019-06-14"
    assert names(entities["#organize"]["instrument"]) == [
        "https://pypi.org/project/snakemake/9.27.1/"
    ]
    assert names(run["object"]) == ["config.yaml", "given/1-config.yaml", "#data/set"]


def test_what_no_record_says_is_left_out(made_up):
    """As of results of an earlier version. A record of another result counts as none."""
    whole = len(made_up.planned.jobs)
    for file in made_up.results.rglob(made.NAME):
        file.unlink()
    page = made_up.results / "report.html"
    for file in made_up.planned.pages:
        for output in made_up.planned.jobs[file].outputs.values():
            os.utime(made_up.results / output, (1e9, 1e9))
    os.utime(page, (1.2e9, 1.2e9))
    entities = made_up.entities()
    action = entities[f"#job/{BASE}"]
    assert not {"startTime", "endTime", "location"} & action.keys()
    tool = entities[action["instrument"]["@id"]]
    assert tool["softwareVersion"] == "stage version 2"
    assert "softwareRequirements" not in tool
    assert not {"startTime", "endTime"} & entities["#run"].keys()
    assert entities["./"]["datePublished"] == "2008-01-10"
    assert f"Of {whole} jobs, time and machine are not recorded." in entities["./"]["description"]


def test_a_record_of_another_result_counts_as_none(made_up):
    folder = made_up.results / BASE
    seal = seals.read(folder)
    assert made.read(folder, seal).processor == "Xeon, 2 cores"
    other = seal._replace(files=seal.files | {"log.csv": ["0" * 64]})
    assert made.read(folder, other) is None
    text = (folder / made.NAME).read_text()
    (folder / made.NAME).write_text(text.replace("Xeon", "Epyc"))
    assert made.read(folder, seal) is None


def test_a_job_that_failed_is_an_action_that_failed(made_up):
    """And what was never made, since it needs the failed job, is counted."""
    for job in (f"{TUNED}/evaluation", TUNED):
        for file in (made_up.results / job).iterdir():
            if file.is_file():
                file.unlink()
    failed = made_up.plan.job(TUNED)
    (made_up.results / TUNED / "config.json").write_text(jobs.canonical(failed.config) + "\n")
    (made_up.results / TUNED / failures.NAME).write_text("JobError: the loss is not finite\n")
    entities = made_up.entities()
    action = entities[f"#job/{TUNED}"]
    assert action["actionStatus"].endswith("/FailedActionStatus")
    assert action["error"] == "JobError: the loss is not finite"
    assert "result" not in action
    assert f"#job/{TUNED}/evaluation" not in entities
    said = entities["./"]["description"]
    assert "1 job failed." in said
    assert "1 planned job left no result." in said


def test_records_of_another_plan_are_refused(made_up):
    file = made_up.results / BASE / "config.json"
    kept = file.read_text()
    file.write_text(kept.replace('"seed": 0', '"seed": 1'))
    with pytest.raises(JobError, match=r"config\.json: not what Snakemake planned"):
        made_up.crate("edited")
    file.write_text(kept)
    files = made_up.plan.job(BASE).outputs.values()
    sealing.write(made_up.results, BASE, "another.plan", files, {})
    with pytest.raises(JobError, match=f"{BASE}: made from another configuration than is planned"):
        made_up.crate("resealed")


def test_a_page_that_is_gone_is_named(made_up):
    (made_up.results / "table5.csv").unlink()
    with pytest.raises(JobError, match=r"table5\.csv: cannot be read"):
        made_up.crate()


# --- what they started from -----------------------------------------------------------------------


def test_images_are_told_by_the_digest_of_their_manifest(made_up, tiny):
    entities = made_up.entities()
    images = entities["#data/set"]
    digest = entities[images["identifier"]["@id"]]
    assert digest["value"] == tiny.digest()
    assert "images that the suite renders" in images["name"]
    assert "conditionsOfAccess" not in images, "the terms are those of given images"
    assert entities["#job/data/set/render"]["result"] == {"@id": "#data/set"}
    assert "#data/set" in names(entities["#job/data/set/manifest"]["object"])


def test_given_images_name_their_source_and_its_terms(tmp_path, tiny):
    """Of a public dataset. The folder of the images is not told."""
    tiny.save(tmp_path / "m.npz")
    planned = Crate("s", "", (), {}, (), {"datasets": {"pets": {"rendered": None}}})
    job = CrateJob("manifest", "", {"manifest": "m.npz"}, "", "pets")
    seal = seals.Seal("data/pets/manifest", "", {}, {})
    run = Run("data/pets/manifest", job, {"source": "pets"}, seal, None, None, "")
    made_crate = ROCrate()
    inputs.add_images(made_crate, planned, [run], tmp_path)
    images = made_crate.get("#data/pets")
    assert images["name"] == "pets: Oxford-IIIT Pets"
    assert images["url"] == "https://www.robots.ox.ac.uk/~vgg/data/pets/"
    assert images["conditionsOfAccess"].startswith("CC BY-SA 4.0")
    assert str(tiny.folder) not in json.dumps(images.properties())


@pytest.mark.parametrize(
    ("source", "name", "url"),
    [
        ({"url": "https://a.org/b.pth"}, "published weights: https://a.org/b.pth", True),
        ({"file": "/home/me/b.pth"}, "published weights: file b.pth", False),
        ({"timm": "resnet18.a1_in1k"}, "published weights: timm resnet18.a1_in1k", False),
    ],
)
def test_published_weights_are_told_by_their_digest(tmp_path, source, name, url):
    meta = {"source": source, "licence": "Apache-2.0", "sha256": "ab" * 32}
    weights.save(tmp_path / "w.safetensors", {"a": torch.zeros(1)}, meta)
    job = CrateJob("pretrained", "", {"weights": "w.safetensors"}, "", "")
    run = Run("runs/a", job, {"source": source}, seals.Seal("runs/a", "", {}, {}), None, None, "")
    made_crate = ROCrate()
    inputs.add_weights(made_crate, [run], tmp_path)
    found = made_crate.get("#weights/runs/a")
    assert (found["name"], found["sha256"], found["license"]) == (name, "ab" * 32, "Apache-2.0")
    assert ("url" in found) == url


def test_runs_of_two_versions_have_two_tools(made_up):
    """The same stage at another commit, or with other packages, is another tool of its step."""
    folder = made_up.results / BASE
    record = made.read(folder, seals.read(folder))
    jobs.write_json(folder / made.NAME, record._replace(suite="decaf")._asdict())
    entities = made_up.entities()
    tools = {
        entities[f"#job/{run}"]["instrument"]["@id"] for run in (BASE, "runs/set/resnet10q-k32")
    }
    assert len(tools) == 2
    assert set(names(entities["#step/train"]["workExample"])) == tools


# --- what a deposit says of itself ----------------------------------------------------------------


def test_it_says_what_the_configuration_says_of_it(tmp_path, tiny):
    ada = {"name": "Ada", "orcid": "0000-0002-1825-0097", "affiliation": "A. Institute"}
    said = {"title": "Ours", "license": "CC-BY-4.0", "authors": [ada, {"name": "Bob <b>"}]}
    made_up = Made_up(tmp_path, tiny, crate=said)
    entities = made_up.entities()
    root = entities["./"]
    assert root["name"] == "Ours"
    assert root["license"] == {"@id": "https://spdx.org/licenses/CC-BY-4.0"}
    people = [entities[name] for name in names(root["author"])]
    assert [person["name"] for person in people] == ["Ada", "Bob <b>"]
    assert people[0]["@id"] == "https://orcid.org/0000-0002-1825-0097"
    assert entities[people[0]["affiliation"]["@id"]]["name"] == "A. Institute"
    preview = (tmp_path / "crate/ro-crate-preview.html").read_text(encoding="utf-8")
    assert "Bob &lt;b&gt;" in preview
    # The suite's own licence and authors stay with the workflow.
    workflow = entities["Snakefile"]
    assert workflow["license"] == {"@id": "https://spdx.org/licenses/Apache-2.0"}
    assert entities[workflow["creator"]["@id"]]["name"] == "The FixRes Suite authors"


def test_what_it_says_of_itself_runs_nothing_else_again(made_up, tmp_path):
    other = paper.plan_of(config.parse(config.merge(CONFIG, {"crate": {"title": "Ours"}})))
    then, now = digests(made_up.plan), digests(other)
    assert {job for job in then if then[job] != now[job]} == {"pages/ro-crate"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("license", "all rights reserved"),
        ("authors", [{"name": "A", "orcid": "https://orcid.org/0000-0002-1825-0097"}]),
        ("authors", [{"name": ""}]),
    ],
)
def test_what_no_deposit_can_say_is_refused(key, value):
    with pytest.raises(config.ConfigError, match=rf"crate\.{key}"):
        config.parse(config.merge(CONFIG, {"crate": {key: value}}))


def test_a_machine_is_the_same_for_all_its_jobs(made_up):
    folder = made_up.results / BASE
    record = made.read(folder, seals.read(folder))
    one = ROCrate()
    machines = [software.add_machine(one, record) for _ in range(2)]
    other = software.add_machine(one, record._replace(gpus=[]))
    assert machines[0] == machines[1] != other
