"""Run the job `pretrained` on one source of weights."""

import json
from pathlib import Path

import torch

from fixres.artifacts import weights
from fixres.stages import pretrained

NETWORK, CLASSES = "resnet10q", 24


def configuration(source: dict, network: str = NETWORK, classes: int = CLASSES) -> dict:
    """The resolved configuration of the job."""
    return {
        "stage": "pretrained",
        "version": 1,
        "run": "runs/x/net-pretrained",
        "network": network,
        "source": source,
        "classes": classes,
    }


def fetch(folder: Path, source: dict, **options: object) -> tuple[dict[str, torch.Tensor], dict]:
    """Run the job; the tensors and the meta of its result."""
    config, out = folder / "config.json", folder / "out" / "weights.safetensors"
    config.write_text(json.dumps(configuration(source, **options)))
    pretrained.main(["--config", str(config), "--out", str(out)])
    return weights.load(out)
