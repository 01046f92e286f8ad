"""docs/stages.md: the stage that it adds runs in a copy of the suite, from its record to a page."""

import re
import shutil
import subprocess
import sys

import yaml

from shared import ENVIRONMENT, ROOT
from workflow.small import SMALL

PAGE = (ROOT / "docs/stages.md").read_text()
BLOCKS = dict(re.findall(r"```python ([^\n]+)\n(.*?)```", PAGE, re.DOTALL))


def test_the_example_is_short():
    code = [line for block in BLOCKS.values() for line in block.splitlines() if line.strip()]
    assert len(code) < 25


def test_the_example_runs(tmp_path):
    suite = tmp_path / "suite"
    for name in ("src", "rules", "envs", "report", "profiles"):
        shutil.copytree(ROOT / name, suite / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", suite)
    (suite / "config.yaml").write_text(yaml.safe_dump(SMALL))

    def edit(file: str, old: str, new: str) -> None:
        text = (suite / file).read_text()
        assert text.count(old) == 1, (file, old)
        (suite / file).write_text(text.replace(old, new))

    end_of_table = ")\nSTAGES: dict"
    edit("src/fixres/graph/stages.py", end_of_table, BLOCKS["record"] + end_of_table)
    for file in ("src/fixres/stages/brightness.py", "rules/sizes.smk"):
        with open(suite / file, "a") as f:
            f.write("\n\n" + BLOCKS[file])
    page = (
        "from fixres.graph.api import Page, Sample, grid, line\n"
        "from fixres.paper.subjects import main_subject\n\n\n"
    )
    (suite / "src/fixres/paper/brightness.py").write_text(page + BLOCKS["page"])
    edit("src/fixres/paper/__init__.py", "\nPAGES = (", f"\n{IMPORT}\nPAGES = (\n    brightness,")
    run = [sys.executable, "-m", "snakemake", "--cores", "1", "results/brightness.md"]
    done = subprocess.run(
        run,
        cwd=suite,
        env=ENVIRONMENT | {"PYTHONPATH": str(suite / "src"), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = (suite / "results/brightness.md").read_text()
    [grey] = re.findall(r"^\| *all *\| *([\d.]+)", shown, re.MULTILINE)
    assert 0 < float(grey) < 255
    assert (suite / "results/brightness/set/brightness.benchmark.tsv").is_file()
    assert "measure how bright images are" in fixres_help(suite)


IMPORT = "from fixres.paper.brightness import brightness\n"


def fixres_help(suite) -> str:
    environment = ENVIRONMENT | {"PYTHONPATH": str(suite / "src")}
    command = [sys.executable, "-m", "fixres", "--help"]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout
