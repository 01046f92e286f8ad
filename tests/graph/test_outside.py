"""What comes from outside counts by its content: weights, and the user's own code."""

import os
import shutil
from pathlib import Path

import pytest

from fixres import paper
from fixres.config import ConfigError, parse
from fixres.graph import outside
from fixres.graph.graph import JobGraph
from fixres.graph.networks import obtain_published, obtain_released
from fixres.models import code
from shared import digests

NETWORK = {"source": "timm:test_resnet", "stride": 32, "classifier": "fc"}
NETWORK |= {"last_norm": ["layer4.0.bn2"], "mean": [0.5] * 3, "std": [0.5] * 3, "native": 64}
NETWORK |= {"crop_pct": 1.0}


def of_zoo(file: Path) -> dict[str, str]:
    networks = {"resnet50_cutmix": {"weights": {"file": str(file)}}}
    graph = JobGraph(parse({"networks": networks, "twins": False}))
    obtain_published(graph, "resnet50_cutmix")
    return digests(graph)


def of_authors(file: Path) -> dict[str, str]:
    graph = JobGraph(parse({"released": {"files": {"fixresnet50": str(file)}}}))
    obtain_released(graph, "fixresnet50")
    return digests(graph)


def of_custom(**network: str) -> dict[str, str]:
    network = NETWORK | network
    folder = Path("photos")
    folder.mkdir(exist_ok=True)
    custom = {"name": "mine", "network": network, "k_test": [64]}
    datasets = {"photos": {"root": str(folder)}}
    config = {"dataset": "photos", "datasets": datasets, "custom": custom, "twins": False}
    return digests(paper.plan_of(parse(config)))


# --- weights -------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "plan",
    [of_zoo, of_authors, lambda file: of_custom(weights=str(file))],
    ids=lambda f: f.__name__,
)
def test_weights_replaced_by_older_ones_are_others(here, plan):
    """Of the same size, at the same place, with an older date, as `cp -p` leaves them."""
    file, other = here / "w.pth", here / "older.pth"
    file.write_bytes(b"new")
    other.write_bytes(b"old")
    os.utime(other, (1e9, 1e9))
    before = plan(file)
    assert plan(file) == before
    shutil.copy2(other, file)
    after = plan(file)
    changed = {name for name in before if before[name] != after[name]}
    assert any(name.endswith("-pretrained") for name in changed)
    if plan not in (of_zoo, of_authors):  # all that was made of them, and nothing of the images
        assert "runs/photos/mine-pretrained/evaluation" in changed
        assert "data/photos/manifest" not in changed


def test_weights_are_read_once_until_they_change(here, monkeypatch):
    monkeypatch.setattr(outside, "SETTLED", -1)
    file, read = here / "w.pth", []
    monkeypatch.setattr(outside.jobs, "file_digest", lambda path: read.append(path) or "f" * 64)
    file.write_bytes(b"one")
    for _ in range(3):
        assert outside.sha256_of("w.pth", "key") == "f" * 64
        outside._sha256.cache_clear()  # as another process
    assert read == [file]
    os.utime(file, (1e9, 1e9))  # its date alone: it may be another file
    outside.sha256_of("w.pth", "key")
    [kept] = (here / ".snakemake/fixres/sha256").iterdir()
    outside._sha256.cache_clear()
    kept.write_text('[1, {"a":')  # damaged
    outside.sha256_of("w.pth", "key")
    assert len(read) == 3
    outside._sha256.cache_clear()
    shutil.rmtree(here / ".snakemake")
    (here / ".snakemake").touch()  # cannot be written
    outside.sha256_of("w.pth", "key")
    assert len(read) == 4


def test_weights_that_changed_just_now_are_read_again(here):
    """A change within one tick of the file system's clock leaves no trace."""
    Path("w.pth").write_bytes(b"one")
    outside.sha256_of("w.pth", "key")
    assert not Path(".snakemake").exists()


def test_a_wrong_checksum_is_known_at_the_plan(here):
    Path("w.pth").write_bytes(b"one")
    weights = {"file": "w.pth", "sha256": "0" * 64}
    config = {"networks": {"resnet50_cutmix": {"weights": weights}}, "twins": False}
    expected = r"networks\.resnet50_cutmix\.weights\.file: w\.pth: wrong checksum \(got SHA-256 "
    with pytest.raises(ConfigError, match=expected):
        obtain_published(JobGraph(parse(config)), "resnet50_cutmix")


# --- code ----------------------------------------------------------------------------------------

# What the module nets.net says -> the file that counts, too.
IMPORTS = {
    "from nets.blocks import Block": "nets/blocks.py",
    "import nets.blocks as b": "nets/blocks.py",
    "from nets import blocks": "nets/blocks.py",
    "from .blocks import Block": "nets/blocks.py",
    "from . import blocks": "nets/blocks.py",
    "from .parts.norms import Norm": "nets/parts/norms.py",  # a folder without __init__.py
    "from .other import Other": "nets/deep/er.py",  # imported by what is imported
    "from ..nets import blocks": "nets/blocks.py",
    "def made():\n    from .blocks import Block": "nets/blocks.py",
    "try:\n    import fast\nexcept ImportError:\n    from helper import slow": "helper.py",
    "from .deep import *": "nets/deep/er.py",
    "import blocks": "nets/blocks.py",  # once the folder is in sys.path
    "import importlib\nimportlib.import_module('nets.' + 'blocks')": "nets/blocks.py",
    "from pkgutil import iter_modules": "nets/deep/er.py",
    "": "nets/__init__.py",
}


@pytest.fixture
def package(here):
    """A package whose modules cannot be run."""
    files = ["__init__", "net", "blocks", "unused", "parts/norms", "deep/__init__", "deep/er"]
    for name in [*(f"nets/{file}.py" for file in files), "helper.py", "nets/other.py"]:
        file = here / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("1 / 0\n")
    (here / "nets/other.py").write_text("from nets.deep.er import X\n1 / 0\n")
    return here


def planned(folder: Path, source: str = "python:nets.net:made") -> str:
    return of_custom(source=source, path=str(folder))["runs/photos/mine-pretrained"]


@pytest.mark.parametrize(("statement", "file"), IMPORTS.items())
def test_an_edit_of_what_a_module_imports_counts(package, statement, file):
    """Found without running any of it."""
    (package / "nets/net.py").write_text(f"import torch\n{statement}\n1 / 0\n")
    before = planned(package)
    assert planned(package) == before
    (package / file).write_text((package / file).read_text() + "# edited\n")
    assert planned(package) != before
    by_other_means = "importlib" in statement or "pkgutil" in statement
    before = planned(package)
    (package / "nets/unused.py").write_text("# edited\n")
    assert (planned(package) != before) == by_other_means


def test_a_module_alone_counts_as_before(here):
    """Its digest is that of its bytes: what was made of it stays."""
    (here / "net.py").write_text("import torch\n")
    assert code.files(str(here), "net") == [here / "net.py"]
    assert code.digest(str(here), "net") == outside.jobs.digest(b"import torch\n")


def test_of_an_installed_package_its_own_modules_count(here, monkeypatch):
    monkeypatch.syspath_prepend(here)
    (here / "mypackage").mkdir()
    (here / "mypackage/__init__.py").write_text("1 / 0\n")
    (here / "mypackage/net.py").write_text("import json\nfrom mypackage import more\nimport side\n")
    (here / "mypackage/more.py").touch()
    (here / "side.py").touch()
    files = [file.name for file in code.files("", "mypackage.net")]
    assert files == ["net.py", "__init__.py", "more.py"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("net", "def made(:\n", r"nets/net\.py, line 1: invalid syntax\. Correct the file"),
        ("blocks", "x = 1\n  y = 2\n", r"nets/blocks\.py, line 2: unexpected indent"),
        ("blocks", "a\0b", r"nets/blocks\.py, line 1: source code .* null bytes"),
    ],
)
def test_code_that_is_no_python_is_known_at_the_plan(package, name, text, message):
    (package / "nets/net.py").write_text("from . import blocks\n")
    (package / f"nets/{name}.py").write_text(text)
    with pytest.raises(ConfigError, match=rf"^custom\.network\.source: .*{message}"):
        planned(package)


def test_code_that_is_not_there_is_known_at_the_plan(package):
    with pytest.raises(ConfigError, match=r"nets/nett\.py\)\. Set custom\.network\.path"):
        planned(package, "python:nets.nett:made")


def test_the_code_of_a_folder_of_torch_hub_counts(here):
    (here / "hub").mkdir()
    (here / "hub/hubconf.py").write_text("from net import made\n")
    (here / "hub/net.py").touch()

    def plan() -> dict[str, str]:
        weights = {"hub": f"{here}/hub:made"}
        graph = JobGraph(parse({"networks": {"resnet50": {"weights": weights}}, "twins": False}))
        obtain_published(graph, "resnet50")
        return digests(graph)

    before = plan()
    (here / "hub/net.py").write_text("# edited\n")
    assert plan() != before
