"""Where a page was made: the commit of the suite, the processor, the GPUs."""

import subprocess
from importlib import metadata

import pytest

from fixres.jobs import origin


def git(folder, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    command = ["git", *who, "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def suite(tmp_path):
    """A repository with one commit."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text("1\n")
    (tmp_path / "config.yaml").write_text("a: 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return tmp_path


def test_the_commit_and_whether_the_code_was_changed(suite):
    head = git(suite, "rev-parse", "HEAD")
    assert origin.commit(suite) == head
    (suite / "config.yaml").write_text("a: 2\n")
    (suite / "notes.txt").write_text("not code\n")
    assert origin.commit(suite) == head  # the configuration stands on the page by itself
    (suite / "src/b.py").write_text("2\n")
    assert origin.commit(suite) == f"{head} with changes"


def test_another_repository_around_the_suite_is_not_its_own(suite):
    """As where the suite was unpacked without its history, inside somebody's repository."""
    (suite / "vendor").mkdir()
    assert origin.commit(suite / "vendor") == origin.NO_COMMIT
    assert origin.commit(suite / "nowhere") == origin.NO_COMMIT


def test_without_git(suite, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert origin.commit(suite) == origin.NO_COMMIT


def test_versions_are_those_of_the_packages():
    found = origin.versions()
    assert found["torch"] == metadata.version("torch")
    assert found["Snakemake"] == metadata.version("snakemake")
    assert next(iter(found)) == "Python"


def test_the_processor_of_the_first_core(tmp_path):
    file = tmp_path / "cpuinfo"
    lines = "processor\t: {}\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Xeon: {}\n\n"
    file.write_text("".join(lines.format(i, "abc"[i]) for i in range(3)))
    assert origin.processor(file).startswith("Xeon: a, family 6 model 143, ")
    assert "core" in origin.processor(tmp_path / "nothing")


def test_the_gpus_that_the_driver_lists(tmp_path):
    for bus, model in (("01", "H100"), ("00", "A100")):
        folder = tmp_path / f"0000:{bus}"
        folder.mkdir()
        (folder / "information").write_text(f"Model: \t\t {model}\nIRQ: 7\n")
    assert origin.accelerators(tmp_path) == ["A100", "H100"]
    assert origin.accelerators(tmp_path / "none") == []
