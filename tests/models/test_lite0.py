"""A real pre-trained network (EfficientNet-Lite0, from PyPI) on a real photograph."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import ImageNetInfo

from fixres.data import loader, pillow_loader, regions
from fixres.models import construct, published
from fixres.models.catalogue import zoo
from fixres.models.custom import find
from shared import ROOT


@pytest.fixture(scope="module")
def lite0(tmp_path_factory) -> tuple[torch.nn.Module, dict]:
    """The network with its weights, as docs/recommend.md loads them; and what was found in it."""
    folder = tmp_path_factory.mktemp("lite0")
    subprocess.run([sys.executable, ROOT / "docs/lite0.py"], cwd=folder, check=True)
    file = str(folder / "lite0.safetensors")
    found = find("timm:tf_efficientnet_lite0", file).model_dump()
    network = construct.build(
        zoo.entry_of({"network": "lite0", "entry": found}), found["outputs"], 0
    )
    fetched = published.fetch({"file": file, "sha256": None}, folder, "")
    network.load_state_dict(published.fitted(fetched, network, found["classifier"]))
    return network.eval(), found


@pytest.mark.parametrize("k", [224, 288])
def test_a_photograph_is_recognised(lite0, k):
    """Grace Hopper in uniform, a photograph that matplotlib ships."""
    network, found = lite0
    file = matplotlib.get_data_path() + "/sample_data/grace_hopper.jpg"
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    sizes = np.array([image.height]), np.array([image.width])
    test_da = regions.Augmentation("test DA", crop_pct=found["crop_pct"])
    rocs = regions.rocs(test_da, k, np.array([0]), *sizes)
    crop = torch.from_numpy(np.array(pillow_loader.crop_of(image, rocs, 0, k)))[None]
    x = loader.to_device(crop, rocs, tuple(found["mean"]), tuple(found["std"]), loader.CPU)
    with torch.no_grad():
        best = network(x)[0].topk(5).indices.tolist()
    names = ImageNetInfo()
    said = [names.index_to_description(i) for i in best]
    assert any("military uniform" in name for name in said), said
