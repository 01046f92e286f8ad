"""Published weights from torch hub, torchvision and timm: exactly the ones that are named."""

import json

import pytest
import torch
from safetensors.torch import save_file

from bench import same
from fetching import configuration, fetch
from fixres.artifacts import weights
from fixres.jobs import JobError
from fixres.models import construct
from fixres.models.catalogue import zoo
from shared import fixres

HUBCONF = """import torch
from pathlib import Path

def net():
    return torch.load(Path(__file__).parent / 'w.pth', weights_only=True)
"""


def test_a_local_hub_folder(tmp_path, state):
    folder = tmp_path / "a hub"
    folder.mkdir()
    torch.save(state, folder / "w.pth")
    (folder / "hubconf.py").write_text(HUBCONF)
    tensors, meta = fetch(tmp_path, {"hub": f"{folder}:net"})
    assert same(tensors, state)
    assert meta["sha256"] is None
    with pytest.raises(JobError, match=r"other.*networks\.resnet10q\.weights\.file"):
        fetch(tmp_path, {"hub": f"{folder}:other"})
    with pytest.raises(JobError, match="expected owner/repository:entry"):
        fetch(tmp_path, {"hub": "net"})


@pytest.fixture(scope="session")
def resnet18() -> dict[str, torch.Tensor]:
    return {
        name: t.contiguous()
        for name, t in construct.build("resnet18", 1000, 2).state_dict().items()
    }


def test_torchvision_and_timm_out_of_their_caches(tmp_path, resnet18):
    """The files lie where the libraries keep their downloads; no connection is made."""
    checkpoints = tmp_path / "torch/hub/checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save(resnet18, checkpoints / "resnet18-f37072fd.pth")
    model = tmp_path / "hub/models--timm--resnet18.tv_in1k"
    (model / "refs").mkdir(parents=True)
    (model / "refs/main").write_text("1" * 40)
    (model / "snapshots" / ("1" * 40)).mkdir(parents=True)
    save_file(resnet18, model / "snapshots" / ("1" * 40) / "model.safetensors")
    places = {
        "TORCH_HOME": str(tmp_path / "torch"),
        "HF_HUB_CACHE": str(tmp_path / "hub"),
        "HF_HUB_OFFLINE": "1",
    }
    config = tmp_path / "config.json"

    def run(source: dict, network: str, out: str):
        config.write_text(json.dumps(configuration(source, network, 1000)))
        options = ("--config", config, "--out", tmp_path / out)
        return fixres("pretrained", *options, env=places)

    for source in ({"torchvision": "ResNet18_Weights.IMAGENET1K_V1"}, {"timm": "resnet18.tv_in1k"}):
        result = run(source, "resnet18", "w.safetensors")
        assert result.returncode == 0, result.stderr
        assert same(weights.load(tmp_path / "w.safetensors")[0], resnet18)

    # And where timm has nothing and no connection.
    result = run(zoo.ZOO["resnet50"].source, "resnet50", "v.safetensors")
    assert result.returncode == 1
    for part in ("timm resnet50.tv_in1k", "could not be fetched", "networks.resnet50.weights.file"):
        assert part in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "source",
    [
        {"timm": "ig_resnext101_32x16d"},  # stands for the weights of 32x8d
        {"timm": "resnext101_32x48d.fb_wsl_ig1b_ft_in1k"},
        {"timm": "resnet50.no_such_tag"},
        {"timm": "resnet50"},  # whatever timm now takes for the best
        {"torchvision": "ResNet50_Weights.IMAGENET1K_V9"},
        {"torchvision": "resnet50"},
    ],
)
def test_a_name_that_stands_for_other_weights_or_none(tmp_path, source):
    with pytest.raises(JobError, match="no weights of") as error:
        fetch(tmp_path, source)
    assert next(iter(source.values())) in str(error.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [("resnext101_32x8d_wsl", True), ("resnet50_billion_224", True), ("resnet50", False)],
)
def test_non_commercial_weights_say_so(tmp_path, monkeypatch, name, told, capsys):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(JobError):
        fetch(tmp_path, {"file": str(tmp_path / "absent.pth")}, network=name, classes=1000)
    assert ("non-commercial use only (CC BY-NC 4.0)" in capsys.readouterr().err) == told
