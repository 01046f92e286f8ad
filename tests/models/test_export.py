"""The network for other programs: loaded by them alone, it classifies as the suite does."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fixres.data import loader, pillow_loader, regions
from fixres.models import construct
from fixres.models.catalogue import zoo
from fixres.models.custom import find
from fixres.models.export import export
from shared import textured

CLASSES = ("cat", "dog", "eel", "fox", "gnu")
# A process of its own, without the suite: timm alone loads the folder and looks at the images.
TIMM = """
import sys, json, torch, timm
from PIL import Image
model = timm.create_model("local-dir:" + sys.argv[1], pretrained=True).eval()
data = timm.data.resolve_model_data_config(model, use_test_size=True)
transform = timm.data.create_transform(**data, is_training=False)
torch.set_num_threads(1)
with torch.no_grad():
    x = torch.stack([transform(Image.open(f).convert("RGB")) for f in sys.argv[2:]])
    print(json.dumps([data["input_size"], model(x).tolist(), model.pretrained_cfg["label_names"]]))
"""
OWN = """
from torch import nn

def small(num_classes=5, width=4):
    return nn.Sequential(nn.Conv2d(3, width, 3, 2), nn.BatchNorm2d(width), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes))
"""


@pytest.fixture
def images(tmp_path) -> list[Path]:
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for file, size in zip(files, ((60, 90), (200, 131), (77, 77)), strict=True):
        textured(*size).save(file)
    return files


def logits(network: torch.nn.Module, entry: dict, files: list[Path], k: int, ratio: float):
    """What the suite's evaluation computes for some images."""
    crops = []
    for file in files:
        with Image.open(file) as opened:
            image = opened.convert("RGB")
        h, w = np.array([image.height]), np.array([image.width])
        test_da = regions.Augmentation("test DA", crop_pct=ratio)
        rocs = regions.rocs(test_da, k, np.array([0]), h, w)
        pixels = torch.from_numpy(np.asarray(pillow_loader.crop_of(image, rocs, 0, k)).copy())
        normal = (tuple(entry["mean"]), tuple(entry["std"]), torch.device("cpu"))
        crops.append(loader.to_device(pixels[None], rocs, *normal))
    with torch.no_grad():
        return network.eval()(torch.cat(crops))


def exported(folder: Path, source: str, k: int, ratio: float, **how):
    """A network with random weights, exported. Returns it and its entry."""
    found = find(source, "none", **how).model_dump()
    network = construct.build(zoo.entry_of({"network": "custom", "entry": found}), len(CLASSES), 1)
    chosen = {"k_test": k, "crop_pct": ratio, "top1": 50.0, "method": "classifier", "run": "a/b"}
    export(folder, network, found, CLASSES, chosen)
    return network, found


@pytest.mark.parametrize(("source", "k"), [("timm:test_resnet", 96), ("timm:test_vit", 128)])
def test_timm_alone_sees_and_computes_the_same(tmp_path, images, source, k):
    network, entry = exported(tmp_path / "fixed", source, k, 0.95)
    command = [sys.executable, "-c", TIMM, tmp_path / "fixed", *images]
    size, theirs, names = json.loads(
        subprocess.run(command, check=True, capture_output=True).stdout
    )
    assert size == [3, k, k]
    assert names == list(CLASSES)
    ours = logits(network, entry, images, k, 0.95)
    torch.testing.assert_close(torch.tensor(theirs), ours, rtol=1e-4, atol=1e-5)
    card = (tmp_path / "fixed/README.md").read_text()
    assert "Test image size" in card
    assert "crop_pct 0.95" in card


@pytest.mark.parametrize("kind", ["python", "torchvision"])
def test_the_example_loads_it_and_names_the_class(tmp_path, images, kind):
    if kind == "python":
        (tmp_path / "mine.py").write_text(OWN)
        given = {"mean": [0.5] * 3, "std": [0.25] * 3, "native": 32, "options": {"width": 6}}
        how = {"path": str(tmp_path), "given": given}
        network, entry = exported(tmp_path / "fixed", "python:mine:small", 48, 1.0, **how)
    else:
        network, entry = exported(tmp_path / "fixed", "torchvision:resnet18", 64, 1.0)
    command = [sys.executable, tmp_path / "fixed/example.py", *images]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    k = json.loads((tmp_path / "fixed/config.json").read_text())["k_test"]
    best = logits(network, entry, images, k, 1.0).argmax(1)
    expected = [f"{file} {CLASSES[i]}" for file, i in zip(images, best.tolist(), strict=True)]
    assert said.splitlines() == expected
