"""Every command of README.md and docs/ is run, or says that it is not.

Commands are the lines of fenced blocks that name no other language, and inline code that begins
with one of PROGRAMS. They work in a copy of the suite, with rendered images:

- `snakemake …` is planned completely (`-n`), with the configuration that the command names;
- `make …` lists its commands (`make -n`), and its `snakemake …` are planned;
- RUN is really run, with some words replaced by smaller ones;
- a sketch, with an … in it, has options that exist;
- ELSEWHERE is run by another test;
- what no test runs says so where its reader looks: "not run by the tests", in a comment behind the
  command or in the paragraph above or below its block.
"""

import functools
import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from safetensors.numpy import save_file

from fixres.__main__ import ENTRIES
from fixres.data.rendered import twins
from fixres.hardware.processes import torchrun_on_nodes
from shared import ENVIRONMENT, ROOT, SETTINGS, textured

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = ("snakemake", "fixres", "python", "make", "find", "srun", "sudo", "pip", "git")
# Command -> what stands in for it, at a scale that fits a test.
RUN = {
    "python -m fixres train --help": "python -m fixres train --help",
    "python -m fixres relist --configfile configs/imagenet.yaml": (
        "python -m fixres relist --configfile configs/imagenet.yaml"
    ),
    "python -m fixres twin DATASET OUT --train 480 --val 240 --classes 24": (
        "python -m fixres twin cub cub-twin --train 24 --val 12 --classes 6"
    ),
    "fixres recommend --network timm:resnet50.a1_in1k --images ~/photos": (  # without a download
        "python -m fixres recommend --network timm:test_resnet --weights none --train "
        "--images ~/photos --name resnet50-photos --plan"
    ),
    "find results -newermt now -exec touch {} +": "find results -newermt now -exec touch {} +",
}
# Command -> the test that runs it, and what it is called there.
ELSEWHERE = {
    "python docs/lite0.py": ("tests/models/test_lite0.py", "docs/lite0.py"),
    "snakemake results/brightness.md": ("tests/test_docs_stage.py", "results/brightness.md"),
    "snakemake results/table10.md": ("tests/test_docs.py", "pages/table10"),
    "snakemake all --report report.html": ("tests/workflow/test_display.py", '"--report"'),
}
MARK = "not run by the tests"
WHAT_TO_DO = (
    "Make it one that is planned or run (see the head of tests/test_docs_commands.py), or say in "
    f'a comment behind it or in the paragraph above or below its block that it is "{MARK}", and '
    "why. A block that holds no commands names its language (```text)."
)
FENCED = re.compile(r"^( *)```(.*)\n((?:.*\n)*?)\1```$", re.MULTILINE)
INLINE = re.compile(r"`([^`]+)`")
SMALL = SETTINGS | {"train_images": 24, "val_images": 24, "shorter_side": [24, 32]}


class Command(NamedTuple):
    """A command of a document."""

    text: str  # without comment, on one line
    place: str  # document and line, for messages
    marked: bool  # it is said to be not run

    @property
    def program(self) -> str:
        """The first word behind variables that are set for it, and behind a plain srun."""
        text = re.sub(r"^([A-Z_]+=\S* )*(srun (?!-))?", "", self.text)
        return text.partition(" ")[0]


def commands_in(file: Path) -> list[Command]:
    """All commands of a document."""
    text, found = file.read_text(encoding="utf-8"), []

    def add(command: str, start: int, marked: bool) -> None:
        place = f"{file.name}, line {text[:start].count(chr(10)) + 1}"
        found.extend(Command(" ".join(part.split()), place, marked) for part in command.split("&&"))

    def paragraphs_around(block: re.Match) -> str:
        above = text[: block.start()].rstrip().rpartition("\n\n")[2]
        return above + " " + text[block.end() :].lstrip().partition("\n\n")[0]

    for block in FENCED.finditer(text):
        if block[2] not in ("", "sh"):
            continue
        said = MARK in " ".join(paragraphs_around(block).split())
        # A line goes on behind a backslash, and where the next one is indented.
        for line in re.finditer(r"^\S.*(?:\\\n.*|\n +\S.*)*", block[3], re.MULTILINE):
            command = re.sub(r"(^|\s)#.*", "", line[0]).replace("\\\n", " ")
            if not command.strip():
                continue
            add(command, block.start(3) + line.start(), said or MARK in line[0])
    rest = FENCED.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), text)
    for code in INLINE.finditer(rest):
        words = code[1].split()
        if len(words) > 1 and Command(code[1], "", False).program in PROGRAMS:
            add(code[1], code.start(), False)
    return found


COMMANDS = [command for file in DOCUMENTS for command in commands_in(file)]


def kind(command: Command) -> str:
    """What is done with a command; empty: nothing."""
    text, program = command.text, command.program
    if command.marked:
        return "marked"
    if text in RUN:
        return "run"
    if text in ELSEWHERE:
        return "elsewhere"
    if text.startswith("srun --nodes="):
        return "generated"
    if "…" in text or re.fullmatch(r"fixres \w+", text):
        return "sketch" if program in OPTIONS_OF else ""
    if program in (".", "export", "snakemake", "make"):
        return program
    return ""


def of_kind(*kinds: str) -> list[Command]:
    return [command for command in COMMANDS if kind(command) in kinds]


def test_no_command_is_forgotten():
    unknown = [f"{c.place}: {c.text}" for c in COMMANDS if not kind(c)]
    assert not unknown, "\n".join(["no test runs these commands:", *unknown, WHAT_TO_DO])
    texts = {command.text for command in COMMANDS}
    assert texts >= {*RUN, *ELSEWHERE}, "no document has them any more: take them out here"


@pytest.mark.parametrize(("command", "place"), ELSEWHERE.items())
def test_the_other_test_is_there(command, place):
    file, text = place
    assert text in (ROOT / file).read_text(encoding="utf-8")


@functools.cache
def help_of(*words: str) -> str:
    return run([sys.executable, "-m", *words, "--help"], ROOT)


# Program -> the words whose --help knows the options of a sketch with these words.
OPTIONS_OF = {
    "snakemake": lambda words: ("snakemake",),
    "fixres": lambda words: ("fixres", words[0]),
    "python": lambda words: tuple(words[1:3]),
}


@pytest.mark.parametrize("command", of_kind("sketch"), ids=lambda command: command.text)
def test_a_sketch_has_options_that_exist(command):
    words = command.text[command.text.index(command.program) :].split()[1:]
    options = [word for word in words if word.startswith("--")]
    if command.program == "fixres":
        assert words[0] in ENTRIES
    known = help_of(*OPTIONS_OF[command.program](words)) if options else ""
    assert [option for option in options if option not in known] == []


@pytest.mark.parametrize("command", of_kind("generated"), ids=lambda command: command.place)
def test_a_generated_command_is_what_the_suite_generates(command, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setattr("socket.gethostname", lambda: "FIRST_NODE")
    words = torchrun_on_nodes(2, 8, 16, shlex.split("train --config … --nodes 2"))
    shown = [word.replace(sys.executable, "python") for word in words]
    changed = {"--rdzv-id=12": "--rdzv-id=JOB_ID"}
    changed["--rdzv-endpoint=FIRST_NODE:20012"] = "--rdzv-endpoint=FIRST_NODE:PORT"
    assert command.text.split() == [changed.get(word, word) for word in shown]


# --- a copy of the suite -------------------------------------------------------------------------


def run(words: list[str], folder: Path, env: dict | None = None) -> str:
    """What a command says, which must succeed."""
    done = subprocess.run(
        words, cwd=folder, env=env or ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def suite(tmp_path) -> Path:
    """A copy of the suite, with what the documents say that one has."""
    (folder := tmp_path / "suite").mkdir()
    kept = ("Snakefile", "Makefile", "config.yaml", "rules", "configs", "profiles", "envs")
    for name in (*kept, "docs", "report", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    (folder / "src").symlink_to(ROOT / "src")
    (folder / "results").mkdir()
    seeds = itertools.count()
    # `fixres recommend` needs some validation images, and none among the training images.
    for part, images in {"train": 2, "val": 40}.items():
        for label, i in itertools.product(("n01440764", "n01443537"), range(images)):
            for home in (folder / "home/photos", folder / "imagenet"):
                (home / part / label).mkdir(parents=True, exist_ok=True)
                image = textured(40, 50, seed=next(seeds))
                image.save(home / part / label / f"{label}_{i}.JPEG")
    for source in ("fashion-mnist", "tiny-imagenet"):
        twins.write(source, folder / source, SMALL)
    save_file({"classifier.bias": np.zeros(10, np.float32)}, folder / "lite0.safetensors")
    [only] = re.findall(
        r"six\.yaml\s+asks for five seeds and `(pages: [^`]*)`",
        (ROOT / "docs/embedded-scale.md").read_text(encoding="utf-8"),
    )
    (folder / "six.yaml").write_text(f"seeds: [0, 1, 2, 3, 4]\n{only}\n")
    return folder


def planned(words: list[str]) -> list[str]:
    """The dry run of a command of Snakemake; how many cores there are does not matter."""
    text = re.sub(r" (--cores|-c) \w+| (-n|--dry-run)\b", "", f" {shlex.join(words)}")
    return [*shlex.split(text), *([] if "--unlock" in words else ["-n"])]


def made(command: Command, suite: Path) -> list[list[str]]:
    """The commands of Snakemake that a target of the Makefile runs."""
    lines = run(["make", "-n", *shlex.split(command.text)[1:]], suite).replace("\\\n", " ")
    found = (shlex.split(line) for line in lines.splitlines() if "snakemake" in line)
    return [words[1:] for words in found if "--lint" not in words and "snakemake" in words[0]]


def test_commands_run_and_are_planned_completely(suite):
    given = {"IMAGENET": "imagenet", "FASHION_MNIST": "fashion-mnist", "HOME": "home"}
    given["TINY_IMAGENET"] = "tiny-imagenet"
    env = ENVIRONMENT | {name: str(suite / folder) for name, folder in given.items()}
    failed = []
    for command in of_kind("export"):
        assert command.text.split()[1].partition("=")[0] in env, f"{command.place}: give it here"
    for command in of_kind("."):
        assert f"BIN := {Path(command.text.split()[1]).parent}" in (ROOT / "Makefile").read_text()
    for command in {command.text: command for command in of_kind("run")}.values():
        try:
            [program, *words] = shlex.split(RUN[command.text])
            run([sys.executable if program == "python" else program, *words], suite, env)
        except AssertionError as error:
            failed.append(f"{command.place}: {error}")
    places: dict[tuple[str, ...], str] = {}
    for command in of_kind("snakemake", "make"):
        is_make = command.program == "make"
        for words in made(command, suite) if is_make else [shlex.split(command.text)[1:]]:
            places.setdefault(tuple(planned(words)), f"{command.place}: {command.text}")
    done = subprocess.run(
        [sys.executable, ROOT / "tests/planning.py"],
        input=json.dumps(list(places)),
        cwd=suite,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    for place, (code, said) in zip(places.values(), json.loads(done.stdout), strict=True):
        whole = re.search(r"^total +\d+$|Nothing to be done|^Unlocked", said, re.MULTILINE)
        if code or not whole:
            failed.append(f"{place}\n{said[-1500:]}")
    assert not failed, "\n\n".join([*failed, WHAT_TO_DO])
