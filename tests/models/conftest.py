"""Weights that the tests of this room share."""

import pytest
import torch

from fetching import CLASSES, NETWORK
from fixres.models import construct


@pytest.fixture(scope="session")
def state() -> dict[str, torch.Tensor]:
    """The state of a small network whose batch-norms have counted and moved."""
    network = construct.build(NETWORK, CLASSES, 4)
    network.train()(torch.randn(4, 3, 16, 16))
    return {name: t.contiguous() for name, t in network.state_dict().items()}
