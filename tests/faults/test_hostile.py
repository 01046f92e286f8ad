"""Input that means harm: names that want to be code, files that hold code, paths that lead out.

Hostile archives are in tests/data/test_unpack.py.
"""

import html.parser
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import yaml

from faults.helpers import fresh_workflow, smoke_config
from fixres.artifacts import manifest
from fixres.jobs import quoting
from shared import PAGES, Harmful, Workflow, fixres, textured

CLASSES = [  # names of class folders
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned #",
    'it\'s "quoted"',
    "<script>alert(1);<img src=x onerror=alert(2)>",
    "-rf *",
    "--out=pwned",
    "a | b **c** [d](javascript:e) &lt;",
    "first line\n# second line\n[   0.0 s] cpu: total 0 s",
    "\x1b[2J\x07{config} {wildcards.run} %s",
    "ünïcödé 量",
]
WITHOUT_IMAGES = CLASSES[4]  # this class has no validation image that can be decoded


# --- names ----------------------------------------------------------------------------------------


class Elements(html.parser.HTMLParser):
    """The elements, attributes and text of a page."""

    def __init__(self, page: str):
        super().__init__()
        self.names, self.attributes, self.text = set(), set(), ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def write_images(root: Path) -> None:
    """Classes with such names, as an ImageFolder. Each also has a file that cannot be decoded."""
    for split, n in (("train", 4), ("val", 2)):
        for i, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for image in range(n):
                picture = textured(40, 50, 100 * i + 10 * image + len(split))
                picture.save(folder / f"{image} $(touch pwned) `'\n<i>.jpg")
            (folder / f"bad <u>\n`{i}`.jpg").write_bytes(b"no image")
    for image in (root / "val" / WITHOUT_IMAGES).glob("[01]*"):
        image.unlink()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Workflow:
    """A run from such class names, in a folder with such a name, to Table 5."""
    folder = tmp_path_factory.mktemp("hostile")
    root = folder / 'it\'s "data" $(touch pwned); & `touch pwned` # é'
    write_images(root)
    content = smoke_config(
        dataset="hostile",
        table5={"k_train": [16], "k_train_adapted": [16], "k_test": [16]},
        base_training={"samples_per_epoch": 48, "epochs": 1},
        fine_tuning={"images": None},
    )
    content |= {  # these replace their sections, where smoke_config merges
        "datasets": {"hostile": {"root": str(root), "on_bad": "exclude"}},
        "weak_supervision": {},
        "transfer": {},
    }
    workflow = fresh_workflow(folder)
    workflow.write(content)
    workflow.run("results/table5.md")
    return workflow


def root_of(hostile: Workflow) -> Path:
    """The folder of the images."""
    return next(path for path in hostile.folder.iterdir() if path.name.startswith("it's"))


def test_class_names_run_nothing_and_change_nothing(hostile):
    root = root_of(hostile)
    pwned = [path for path in hostile.folder.rglob("*") if "pwned" in path.name]
    assert not [path for path in pwned if root not in (path, *path.parents)]
    results = hostile.folder / "results"
    data = manifest.load(results / "data/hostile/manifest.npz")
    assert data.classes == tuple(sorted(CLASSES))
    assert all(os.path.isfile(file) for file in data.files(data.rows("train")))
    evaluation = results / "runs/hostile/resnet10q-k16/evaluation"
    metrics = json.loads((evaluation / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["images"] == 2 * (len(CLASSES) - 1)


def test_pages_show_names_and_are_not_made_of_them(hostile, happened):
    """The notes of the table name a class without images. The report lists all files."""
    results, name = hostile.folder / "results", WITHOUT_IMAGES
    page = Elements((results / "table5.html").read_text(encoding="utf-8"))
    assert name in page.text
    assert not page.names & {"script", "img", "b", "i", "u"}
    assert not {a for a in page.attributes if a.startswith("on")}
    for file in (results / "table5.md", results / "data/hostile/report.md"):
        text = file.read_text(encoding="utf-8")
        assert "\x1b" not in text
        assert not html_in(text), file
        assert not re.search(r"^# second", text, re.MULTILINE)
    assert quoting.plain(name) in (results / "table5.md").read_text(encoding="utf-8")
    report = (results / "data/hostile/report.md").read_text(encoding="utf-8")
    assert report.count("\n- ") >= len(CLASSES)
    assert quoting.code(f"val/{name}/bad <u>\n`4`.jpg") in report
    log = (results / "data/hostile/manifest/log.txt").read_text(encoding="utf-8")
    assert all(re.match(r"\[ *\d+\.\d s\] ", line) for line in log.splitlines())
    assert "\x1b" not in log
    happened(
        "code in names",
        "class and file names: shell, HTML, Markdown",
        len(CLASSES),
        "shown as they are; nothing ran",
    )


def html_in(text: str) -> list[str]:
    """What a Markdown page takes for HTML: a < that is neither escaped nor inside code."""
    prose = re.sub(r"(?<!\\)(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    return re.findall(r"(?<!\\)<\w[^\n]*", prose)


def test_bad_files_with_such_names_are_an_error_that_shows_them(hostile):
    """With `on_bad: stop`. On a terminal each name is one line, without escapes."""
    config = hostile.folder / "strict.json"
    content = {"source": "imagefolder", "on_bad": "stop", "checksums": "published"}
    config.write_text(json.dumps({"stage": "manifest"} | content))
    out = hostile.folder / "strict" / "manifest.npz"
    result = fixres("manifest", "--config", config, "--root", root_of(hostile), "--out", out)
    assert result.returncode == 1
    assert f"{2 * len(CLASSES)} bad file(s)" in result.stderr
    assert "\x1b" not in result.stderr
    assert "\n# second" not in result.stderr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", r"`a\nb`"),
        ("`", "`` ` ``"),
        ("a``b", "```a``b```"),
        (" a", "`  a `"),
        ("\udce9", r"`\udce9`"),
        ("é 量", "`é 量`"),
    ],
)
def test_inline_code(text, shown):
    assert quoting.code(text) == shown


# --- code -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".pth", ".bin", ".safetensors"])
def test_weights_that_are_code_are_refused(tmp_path, monkeypatch, happened, suffix):
    """In a file that the configuration names, whatever the name ends in."""
    monkeypatch.chdir(tmp_path)
    file, config = tmp_path / f"given{suffix}", tmp_path / "config.json"
    torch.save({"state_dict": {"fc.weight": torch.zeros(2)}, "args": Harmful()}, file)
    content = {
        "stage": "pretrained",
        "version": 1,
        "run": "p",
        "network": "resnet10q",
        "classes": 24,
        "source": {"file": str(file)},
    }
    config.write_text(json.dumps(content))
    result = fixres("pretrained", "--config", config, "--out", tmp_path / "weights.safetensors")
    assert result.returncode == 1
    assert str(file) in result.stderr
    safe = suffix == ".safetensors"
    told = "damaged, or not a safetensors file" if safe else "holds code"
    assert told in result.stderr
    assert not Path("harm was done").exists()
    assert not (tmp_path / "weights.safetensors").exists()
    happened("code in files", f"weights ({suffix})", 1, "refused by name; nothing ran")


@pytest.mark.parametrize("how", ["config.yaml", "--configfile"])
def test_a_configuration_with_yaml_tags_runs_nothing(tmp_path, happened, how):
    workflow = fresh_workflow(tmp_path / "work")
    text = f"seed: !!python/object/apply:os.system ['touch {tmp_path}/pwned']\n"
    if how == "config.yaml":
        workflow.write({}, text=text)
        result = workflow.run("-n", *PAGES, check=False)
    else:
        (tmp_path / "over.yaml").write_text(text)
        result = workflow.run("-n", *PAGES, "--configfile", tmp_path / "over.yaml", check=False)
    assert result.returncode != 0
    assert "line 1: not valid YAML" in result.stdout
    assert not (tmp_path / "pwned").exists()
    happened("code in files", f"a YAML tag ({how})", 1, "refused; nothing ran")


def test_the_yaml_tag_is_harmful(tmp_path):
    """Read without care, this tag runs code: so the test above proves something."""
    yaml.unsafe_load(f"!!python/object/apply:os.system ['touch {tmp_path}/pwned']")
    assert (tmp_path / "pwned").exists()


# --- paths ----------------------------------------------------------------------------------------

OUTSIDE = [
    "results/runs/../../x/config.json",
    "results/data/../manifest.npz",
    "results/data/../../x/manifest.npz",
    "results/data/../rendered",
    "results/runs/../resnet10q-k16/weights.safetensors",
    "results/runs/pinhole-smoke/../../../x-k16/weights.safetensors",
    "results/runs/../x/evaluation/metrics.json",
    "results/timing/../x/metrics.json",
    "results/figure5/../../x.svg",
    "results/../table5.md",
]


def test_targets_that_would_leave_the_results(tmp_path, happened):
    """Each is an error, and none writes anything. Two at a time."""

    def try_target(target: str) -> None:
        workflow = fresh_workflow(tmp_path / str(OUTSIDE.index(target)) / "a" / "work")
        result = workflow.run(target, check=False)
        assert result.returncode != 0, target
        assert "Traceback" not in result.stdout, target

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(try_target, OUTSIDE))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    left = [path for path in files if not {".snakemake", ".cache"} & set(path.parts)]
    assert {path.name for path in left} == {"config.yaml"}
    happened(
        "paths that lead out",
        "targets outside results/",
        len(OUTSIDE),
        "an error; nothing is written",
    )
