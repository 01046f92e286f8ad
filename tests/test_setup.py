"""The environment: a lock file without addresses, its conda twin, and the command line."""

import re
from importlib.metadata import distributions

import yaml

from fixres.data.image_files import LIBRARIES
from shared import ROOT, fixres

LOCK = (ROOT / "envs/requirements.lock").read_text()
PINNED = dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", LOCK, re.MULTILINE))


def test_the_lock_pins_names_versions_and_hashes_and_no_address():
    for file in (ROOT / "envs").glob("*.lock"):
        text = file.read_text()
        assert "://" not in text
        packages = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
        assert all("--hash=sha256:" in package for package in packages)


def test_there_is_one_pillow():
    names = {d.metadata["Name"].lower() for d in distributions()}
    assert len(names & {"pillow", "pillow-simd"}) == 1


def test_the_setup_says_which_headers_a_pillow_lacks_as_the_listing_does():
    setup = (ROOT / "envs/setup.sh").read_text()
    for title, headers in LIBRARIES.values():
        assert f"{title} ({headers}" in setup


def test_the_conda_twin_has_the_locks_versions():
    environment = yaml.safe_load((ROOT / "envs/environment.yaml").read_text())
    [pip] = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    for requirement in pip:
        name, version = requirement.split("==")
        assert f"{name}=={version}" in LOCK, requirement
    wanted = (ROOT / "envs/requirements.in").read_text().split("# set-up")[0]
    direct = set(re.findall(r"^([a-z0-9-]+)", wanted, re.MULTILINE))
    elsewhere = {"snakemake", "snakemake-executor-plugin-slurm", "pygments", "pillow-simd"}
    assert {r.split("==")[0] for r in pip} == direct - elsewhere


def test_every_stage_explains_itself():
    usage = fixres("--help").stdout
    stages = "render manifest pretrained train finetune evaluate table figure cost"
    for stage in stages.split():
        assert f"  {stage} " in usage
        help_ = fixres(stage, "--help")
        assert help_.returncode == 0
        assert f"python -m fixres {stage}" in help_.stdout
        assert "--config" in help_.stdout


def test_a_mistyped_stage():
    result = fixres("trian")
    assert result.returncode == 2
    assert "Did you mean 'train'?" in result.stderr
