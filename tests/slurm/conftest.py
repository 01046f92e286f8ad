"""The cluster, the profile, and two runs that several tests look at."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from shared import ENVIRONMENT, ROOT
from slurm.helpers import (
    ADAPTED_TOGETHER,
    CONFIG,
    SMOKE,
    SMOKE_CONFIGS,
    SMOKE_PAGES,
    TARGETS,
    Cluster,
    command,
    on_slurm,
    running,
)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A SLURM on this machine, as long as the tests run."""
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="fixres-slurm-")))  # a short path, for a socket
    code, output = cluster.script("start")
    try:
        if code == 77:
            pytest.skip(output.strip())
        assert code == 0, output
        yield cluster
    finally:
        cluster.script("stop")
        shutil.rmtree(cluster.folder)


@pytest.fixture(scope="session")
def profile(tmp_path_factory) -> Path:
    """profiles/slurm, edited as its comments say."""
    text = (ROOT / "profiles/slurm/profile.yaml").read_text()
    for line in (
        "slurm_partition: gpu",
        "render: {slurm_partition: cpu}",
        "manifest: {slurm_partition: cpu}",
    ):
        assert f"  # {line}" in text
        text = text.replace(f"  # {line}", f"  {line}")
    folder = tmp_path_factory.mktemp("profile")
    (folder / "profile.yaml").write_text(text)
    return folder


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Path:
    """The same runs on this machine without SLURM: the bits to compare with."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    result = subprocess.run(
        command(folder, ROOT / "profiles/default", *TARGETS, "--cores", 2),
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return folder


@pytest.fixture(scope="session")
def smoke(cluster, tmp_path_factory) -> Iterator[tuple[Path, subprocess.Popen]]:
    """The pages of `SMOKE` at the smoke scale, in a folder of an awkward name.

    They run while the other tests run, which mostly wait.
    """
    folder = tmp_path_factory.mktemp("smoke") / "Größe & 'Raum' 测试; #1"
    for part in ("src", "rules", "envs", "report", "configs", "profiles"):
        shutil.copytree(ROOT / part, folder / part)
    for part in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / part, folder)
    (folder / SMOKE_PAGES).write_text(yaml.safe_dump({"pages": {"only": SMOKE}}))
    together = ["--group-components", "images=4", f"adapt={ADAPTED_TOGETHER}"]
    words = ["all", "results/plan.md", *SMOKE_CONFIGS, "--jobs", 4, *together]
    words = on_slurm(folder, folder / "profiles/slurm", *words, source=folder)
    with running(words, folder, cluster.env) as process:
        yield folder, process
