"""Export a network for other programs: its weights, and how to prepare an image.

For a timm network, the folder is in timm's own format:

    model = timm.create_model("local-dir:results/recommend/photos/fixed", pretrained=True)
    data = timm.data.resolve_model_data_config(model, use_test_size=True)
    transform = timm.data.create_transform(**data)

For torchvision and the user's code, it is a state dict with an example that loads it.
"""

import json
from pathlib import Path

import torch
from torch import nn

from fixres import jobs
from fixres.artifacts import weights
from fixres.models.construct import takes_classes

INTERPOLATION = "bilinear"  # antialiased: the suite's test transform, and Pillow's


def export(
    folder: Path, network: nn.Module, entry: dict, classes: tuple[str, ...], chosen: dict
) -> None:
    """Write a network for other programs.

    Parameters
    ----------
    entry : see graph/custom.py.
    classes : their names, in the network's order.
    chosen : k_test, crop_pct, top1 (per cent, on all validation images), method and run.
    """
    network = network.eval().to("cpu", memory_format=torch.contiguous_format)
    folder.mkdir(parents=True, exist_ok=True)
    write = _for_timm if entry["source"].startswith("timm:") else _as_state_dict
    write(folder, network, entry, list(classes), chosen)
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    weights.write(folder / "model.safetensors", tensors, {"format": "pt"})


# --- timm ----------------------------------------------------------------------------------------


def _for_timm(folder: Path, network: nn.Module, entry: dict, classes: list, chosen: dict) -> None:
    from timm.models._hub import generate_readme, save_config_for_hf

    k, native = chosen["k_test"], entry["native"]
    data = {
        "input_size": (3, native, native),
        "test_input_size": (3, k, k),
        "crop_pct": entry["crop_pct"],
        "test_crop_pct": chosen["crop_pct"],
        "interpolation": INTERPOLATION,
        "crop_mode": "center",
        "mean": entry["mean"],
        "std": entry["std"],
    }
    labels = {"label_names": classes} if len(set(classes)) == len(classes) else {}
    arguments = entry["options"] or None
    with jobs.atomic(folder / "config.json") as temporary:
        save_config_for_hf(network, temporary, labels, model_args=arguments, data_config=data)
    name = entry["source"].removeprefix("timm:")
    usage = (
        "```python\nimport timm\n\n"
        f'model = timm.create_model("local-dir:{folder.name}", pretrained=True).eval()\n'
        "data = timm.data.resolve_model_data_config(model, use_test_size=True)\n"
        "transform = timm.data.create_transform(**data, is_training=False)\n```\n"
    )
    card = {
        "license": (network.pretrained_cfg.get("license") or "other"),
        "description": (
            f"{name}, {chosen['method']}, for test images of {k}×{k} pixels. Made with FixRes "
            "Suite, by the method of Touvron et al., *Fixing the train-test resolution "
            "discrepancy* (NeurIPS 2019)."
        ),
        "details": {
            "Test image size": f"{k} x {k}, crop_pct {chosen['crop_pct']:g}, {INTERPOLATION}",
            "Top-1": f"{chosen['top1']:.3f}% on the validation images that it was chosen with",
            "Classes": len(classes),
            "Run": chosen["run"],
        },
        "usage": usage,
    }
    with jobs.atomic(folder / "README.md") as temporary:
        temporary.write_text(generate_readme(card, name), encoding="utf-8")


# --- torchvision and the user's code -------------------------------------------------------------

EXAMPLE = '''"""Load the network and classify an image: python example.py IMAGE"""

import json
import math
import sys
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file
from torchvision.transforms import v2

{imports}

# Pillow's other formats may start other programs (PostScript).
FORMATS = ["JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP"]
here = Path(__file__).parent
config = json.loads((here / "config.json").read_text())
network = {build}
network.load_state_dict(load_file(here / "model.safetensors"))
k = config["k_test"]
transform = v2.Compose(
    [
        v2.Resize(math.floor(k / config["crop_pct"]), antialias=True),
        v2.CenterCrop(k),
        v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(config["mean"], config["std"]),
    ]
)

if __name__ == "__main__":
    for file in sys.argv[1:]:
        with Image.open(file, formats=FORMATS) as image, torch.no_grad():
            logits = network.eval()(transform(image.convert("RGB"))[None])
        print(file, config["classes"][logits.argmax().item()])
'''


def _as_state_dict(folder: Path, _: nn.Module, entry: dict, classes: list, chosen: dict) -> None:
    imports, build = _construction(entry, len(classes))
    content = {
        "source": entry["source"],
        "classes": classes,
        "k_test": chosen["k_test"],
        "crop_pct": chosen["crop_pct"],
        "interpolation": INTERPOLATION,
        "mean": entry["mean"],
        "std": entry["std"],
        "top1": chosen["top1"],
        "method": chosen["method"],
    }
    with jobs.atomic(folder / "config.json") as temporary:
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        temporary.write_text(text, encoding="utf-8")
    with jobs.atomic(folder / "example.py") as temporary:
        temporary.write_text(EXAMPLE.format(imports=imports, build=build), encoding="utf-8")


def _construction(entry: dict, classes: int) -> tuple[str, str]:
    """The lines of Python that import the constructor, and that call it."""
    kind, _, name = entry["source"].partition(":")
    options = "".join(f", {key}={value!r}" for key, value in entry["options"].items())
    if kind == "torchvision":
        architecture = name.partition(".")[0]
        build = f"get_model({architecture!r}, weights=None, num_classes={classes}{options})"
        return "from torchvision.models import get_model", build
    module, _, function = name.partition(":")
    arguments = options.removeprefix(", ")
    if takes_classes(name, entry["path"]):
        arguments = f"num_classes={classes}{options}"
    path = f"sys.path.insert(0, {entry['path']!r})\n" if entry["path"] else ""
    return f"{path}from {module} import {function}", f"{function}({arguments})"
