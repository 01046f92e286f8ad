"""Where a person can act, there is one message and no traceback: streams, places, limits."""

import errno
import os
import re
import resource
import shlex
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from bench import TRAIN, same
from fixres import jobs
from fixres.artifacts import weights
from fixres.jobs import JobError
from fixres.stages import render
from shared import ENVIRONMENT, ROOT, Workflow

FIXRES = shlex.join([sys.executable, "-m", "fixres"])


def shell(command: str, folder=ROOT, **env: str) -> subprocess.CompletedProcess:
    """Run a line of bash, which can close a stream and set a limit."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=ENVIRONMENT | env,
        capture_output=True,
        text=True,
        check=False,
    )


# --- streams -------------------------------------------------------------------------------------

STREAMS = {  # what the shell does to the streams -> exit code, what is said
    "schema >&-": (2, "standard output: closed"),
    "--help >&- 2>&-": (2, ""),
    "--help 2>&-": (0, ""),
    "schema >/dev/full": (1, "standard output: No space left on device"),
    "--help | head -c 1": (141, ""),
    "train --help >&-": (0, ""),
}


@pytest.mark.parametrize("how", STREAMS)
def test_a_stream_that_is_closed_or_full(how):
    code, said = STREAMS[how]
    fails_late = "head" in how or "full" in how  # or at once, where nothing is buffered
    for unbuffered in ("", "1") if fails_late else ("",):
        done = shell(f"{FIXRES} {how}", PYTHONUNBUFFERED=unbuffered)
        assert "Traceback" not in done.stderr
        assert said in done.stderr
        assert bool(done.stderr) == bool(said)
        assert done.returncode in ((0, code) if "head" in how else (code,))  # it may be faster


def test_a_job_without_streams_does_its_work(bench, trained):
    """None of its files is taken for a stream: the weights are whole."""
    words = shlex.join(map(str, bench.command(TRAIN)))
    assert shell(f"{FIXRES} {words} <&- >&- 2>&-").returncode == 0
    assert same(bench.read(), trained.read())


# --- places --------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["a file", "a link to nowhere"])
def test_results_that_are_no_folder(tmp_path, what):
    results = tmp_path / "results"
    results.symlink_to("nowhere") if what == "a link to nowhere" else results.touch()
    with pytest.raises(JobError, match=f"^{results}: not usable for results \\(got {what}"):
        jobs.check_folder(results)
    results.unlink()
    jobs.check_folder(results)
    results.mkdir()
    jobs.check_folder(results)


def test_places_that_snakemake_trips_over(tmp_path):
    """It says so when it reads the Snakefile; the suite's own commands before they begin."""
    suite = tmp_path / "a{b}c"
    suite.mkdir()
    for name in ("rules", "report", "src", "profiles"):
        (suite / name).symlink_to(ROOT / name)
    for name in ("Snakefile", "config.yaml"):
        (suite / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "snakemake", "-n", "results/table5.md"]
    braces = f"{suite}: the path of the suite contains {{ or }}"
    recommend = [sys.executable, "-m", "fixres", "recommend", "--network", "x", "--images", "y"]
    for words in (command, recommend):
        done = subprocess.run(
            words, cwd=suite, env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert braces in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
    workflow = Workflow(tmp_path)
    workflow.write({}, (ROOT / "config.yaml").read_text())
    for place in (".snakemake", "results", "results/runs"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).symlink_to("nowhere")
        said = workflow.run("-n", "results/table5.md", check=False).stdout
        assert re.search(
            rf"^{place}: not usable for .* \(got a link to nowhere", said, re.MULTILINE
        )
        assert "Traceback" not in said
        (tmp_path / place).unlink()


# --- limits --------------------------------------------------------------------------------------


def test_a_limit_on_the_size_of_files(bench):
    words = shlex.join(map(str, bench.command(TRAIN)))
    done = shell(f"ulimit -f 20; {FIXRES} {words}")
    assert done.returncode == 1
    assert f"error in train: {bench.folder}/" in done.stderr
    assert "File too large. Nothing finished is lost: raise the limit" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (bench.folder / "weights.safetensors").exists()


def test_weights_that_cannot_be_written_are_an_error_of_the_file(tmp_path):
    """Of the library that writes them, the number of the error stands in a sentence alone."""
    file, child = tmp_path / "model.safetensors", os.fork()
    if child == 0:
        code = 0
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            weights.write(file, {"x": torch.zeros(1000)}, {})
        except OSError as error:
            code = error.errno if error.filename == str(file) else 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == errno.EFBIG
    assert list(tmp_path.iterdir()) == []
    weights.write(file, {"x": torch.zeros(1000)}, {})
    assert load_file(file)["x"].shape == (1000,)


# --- commands ------------------------------------------------------------------------------------

TWIN = {  # options of `twin` -> what is said
    "cub FILE": "FILE: cannot be the twin's folder (File exists); name another",
    "cub FILE/x": "FILE/x: cannot be the twin's folder (Not a directory); name another",
    "cub NEW --train 0": "--train: got 0, expected: greater than or equal to 1",
    "cub NEW --val 3": "--val: got 3, expected 24 (one for each class) to 10000000",
    "cub NEW --train 99999999999999999999": "expected 24 (one for each class) to 10000000",
    "cub NEW --seed -1": "--seed: got -1, expected: greater than or equal to 0",
    "cub NEW --mislabelled 2": "--mislabelled: got 2.0, expected: less than or equal to 1",
    "cub NEW --mislabelled nan": "--mislabelled: got nan, expected: a finite number",
    "cub NEW --shorter-side 0 9": "--shorter-side: got 0, expected: greater than 0",
    "cub NEW --shorter-side 120 80": "--shorter-side: got 120 80, expected the smaller number",
    "cub NEW --threads 0": "--threads: got 0, expected 1 or more",
}


@pytest.mark.parametrize("options", TWIN)
def test_options_of_twin_that_make_no_sense(tmp_path, options):
    def filled(text: str) -> str:
        return text.replace("FILE", str(tmp_path / "file")).replace("NEW", str(tmp_path / "new"))

    (tmp_path / "file").touch()
    with pytest.raises(JobError) as error:
        render.by_hand(shlex.split(filled(options)))
    assert filled(TWIN[options]) in str(error.value)
    assert not (tmp_path / "new").exists()


def test_relist_elsewhere_or_with_an_odd_option(tmp_path):
    def said(*options: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "fixres", "relist", *options],
            cwd=tmp_path,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        return done.stderr

    assert f"{tmp_path}: no config.yaml. Run this command in the suite's folder" in said()
    (tmp_path / "config.yaml").write_text("datasets: {mine: {root: /nowhere}}\ndataset: mine\n")
    assert "--threads: too small (got 0, expected 1 or more)" in said("--threads", "0")
    assert "mime: not an entry of datasets. Did you mean 'mine'?" in said("mime")
    (tmp_path / "results").touch()
    assert "results: not usable for results (got a file" in said()
