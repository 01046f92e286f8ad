"""Weights on disk: a training starts from them, with a fresh classifier or without."""

import pytest
import torch

from fetching import NETWORK
from fixres.artifacts import weights
from fixres.jobs import JobError
from fixres.models import construct


def test_everything_but_the_classifier(tmp_path, state):
    """Transfer learning: 24 classes become 5; the fresh layer depends on the seed alone."""
    weights.save(tmp_path / "w.safetensors", state, {"run": "x"})
    network, fresh = (
        construct.build(NETWORK, 5, seed=9),
        construct.build(NETWORK, 5, seed=9).state_dict(),
    )
    assert weights.load_into(network, tmp_path / "w.safetensors", fresh="fc") == {"run": "x"}
    for name, t in network.state_dict().items():
        assert torch.equal(t, (fresh if name.startswith("fc.") else state)[name])
    with pytest.raises(JobError, match="24 classes, expected 5"):
        weights.load_into(network, tmp_path / "w.safetensors")

    less = {name: t for name, t in state.items() if name != "layer2.bn1.weight"}
    weights.save(tmp_path / "w.safetensors", less)
    with pytest.raises(JobError, match=r"missing layer2\.bn1\.weight"):
        weights.load_into(network, tmp_path / "w.safetensors", fresh="fc")
