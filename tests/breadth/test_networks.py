"""Networks of many kinds: what is found in each, and that both cuts give its numbers (slow).

`make test-breadth` runs it; `make test` does not. Random weights, three classes, timm's smallest of
each kind.
"""

import pytest

from fixres.models import boundary
from fixres.models.custom import _with_numbers, find
from fixres.models.split import split

NETWORKS = {
    # classifier, last normalisation, native size, stride, whether it takes any size, and off it
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_looked_at_and_cut(name):
    classifier, norm, *sizes = NETWORKS[name]
    found = find(f"timm:{name}", "none", given={"outputs": 3})
    assert (found.classifier, found.last_norm) == (classifier, norm)
    assert [found.native, found.stride, found.any_size, found.off_stride] == sizes
    assert found.outputs == 3
    network = _with_numbers(found.source, "", {"outputs": 3, "options": found.options})
    heads = [found.classifier, *found.other_heads]
    for layers in (heads, [*found.last_norm, *heads]):
        parts = split(network, layers, found.native)
        assert boundary.difference(network, parts.trunk, parts.head, found.native) is None
        assert [*parts.trainable] == [network.get_submodule(layer) for layer in layers]
