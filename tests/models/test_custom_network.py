"""What is found in a network that nothing was prepared for."""

import json
from pathlib import Path

import pytest

from fixres.jobs import JobError
from fixres.models.code import file_of
from fixres.models.custom import described, find

OWN = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=7):
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.b = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.after = nn.BatchNorm1d(8)
        self.unused = nn.Linear(8, num_classes)
        self.out = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.out(self.after(self.b(self.a(x)).mean((2, 3))))

def made(num_classes=7):
    return Net(num_classes)

def no_network():
    return 3

def no_norm():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
"""
NORMAL = {"mean": [0.5] * 3, "std": [0.5] * 3, "native": 64}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("timm:resnet18.a1_in1k", ("fc", "layer4.1.bn2", 32, True, 224, 0.95, True)),
        ("timm:test_resnet", ("fc", "layer4.0.bn2", 32, True, 160, 0.95, True)),
        ("timm:convnext_atto", ("head.fc", "head.norm", 32, True, 224, 0.875, False)),
        ("timm:test_vit", ("head", "norm", 16, True, 160, 0.95, False)),
        ("torchvision:resnet18", ("fc", "layer4.1.bn2", 32, True, 224, 0.875, True)),
        ("torchvision:vit_b_16", ("heads.head", "encoder.ln", 16, False, 224, 0.875, False)),
    ],
)
def test_what_is_found(source, expected):
    found = find(source, "none")
    keys = ("classifier", "last_norm", "stride", "any_size", "native", "crop_pct", "has_statistics")
    values = [getattr(found, key) for key in keys]
    assert values == [expected[0], [expected[1]], *expected[2:]]
    assert found.outputs == 1000
    assert "multiply-adds" in described(found)[0]


def test_a_transformer_of_timm_is_built_to_take_any_size():
    found = find("timm:vit_tiny_patch16_224", "none")
    assert found.options == {"dynamic_img_size": True}
    assert (found.stride, found.any_size) == (16, True)


def test_the_work_is_that_of_the_literature():
    assert find("torchvision:resnet18", "none").multiply_adds == pytest.approx(1.82e9, rel=0.02)


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine_net.py").write_text(OWN)
    return str(tmp_path)


def test_ones_own_code_is_looked_at_and_what_nobody_states_is_asked_for(mine):
    missing = r"native, mean, std cannot be found; give --given native=… mean=… std=…"
    with pytest.raises(JobError, match=missing):
        find("python:mine_net:made", path=mine)
    found = find("python:mine_net:made", path=mine, given=NORMAL)
    # Not the layer that never runs, and not the batch-norm behind the pooling.
    assert (found.classifier, found.last_norm) == ("out", ["b.1"])
    assert (found.stride, found.outputs, found.any_size) == (4, 7, True)


def test_the_file_of_ones_own_code_is_found(tmp_path):
    """In the folder that is given; without one, where Python finds the module."""
    package = tmp_path / "nets" / "__init__.py"
    package.parent.mkdir()
    package.touch()
    assert file_of(str(tmp_path), "nets") == package
    assert file_of(str(tmp_path), "nets.mine") == tmp_path / "nets" / "mine.py"
    assert file_of("", "json") == Path(json.__file__)
    assert not file_of("", "no_such_package.mine").is_file()


@pytest.mark.parametrize(
    ("source", "how", "message"),
    [
        ("timm:resnet5", {}, "found 'resnet5'; nearest: resnet50"),
        ("timm:resnet18.b9", {}, "no such weights; timm has resnet18.a1_in1k"),
        ("torchvision:resnet17", {}, "found 'resnet17'; nearest: resnet"),
        ("torchvision:resnet18.V9", {}, "torchvision has IMAGENET1K_V1"),
        ("resnet18", {}, "expected timm:NAME"),
        ("timm:resnet18", {"given": {"klassifier": "fc"}}, "nearest: classifier"),
        ("timm:resnet18", {"given": {"classifier": "fcc"}}, "found 'fcc'; nearest: fc"),
        ("timm:resnet18", {"given": {"last_norm": ["bn9"]}}, "found 'bn9'; nearest: bn1"),
        ("timm:resnet18", {"given": {"stride": 32.5}}, "custom.network.stride: found 32.5"),
    ],
)
def test_what_cannot_be_is_named_with_what_there_is(source, how, message):
    with pytest.raises(JobError, match=message):
        find(source, "none", **how)


@pytest.mark.parametrize(
    ("source", "given", "message"),
    [
        ("python:no_such:made", {}, "no module no_such in .*; path is the folder"),
        ("python:mine_net:mad", {}, "found 'mad'; nearest: made"),
        ("python:mine_net:no_network", NORMAL, "found a int, expected a function that gives"),
        ("python:mine_net:no_norm", NORMAL, "last_norm cannot be found; give --given last_norm="),
    ],
)
def test_ones_own_code_that_does_not_fit(mine, source, given, message):
    with pytest.raises(JobError, match=message):
        find(source, path=mine, given=given)
