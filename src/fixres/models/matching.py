"""Distribution matching: one affine map inside a network, that brings activations at k_test back to how they are distributed at k_train.

| model | where | what is mapped | source |
|---|---|---|---|
| gaussian | before the last ReLU | every channel by a map of its own | A.2, Table 4 |
| frechet | after the global average pooling | all non-zero activations by one map; zeros stay | §4.2 "Parametric adaptation", A.1 |

The place is found in the traced graph (torch.fx), so any network that traces can be matched. The map is a layer of the network, named
`matching`, of two buffers: it is saved with the weights, nothing trains it, and the cut of `split.py` goes before or after it. A network
without one is what the zoo builds, untouched.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from fixres.jobs import JobError
from fixres.models import weights, zoo

if TYPE_CHECKING:
    from torch import fx

MODELS = ("gaussian", "frechet")
RELUS = {
    F.relu,
    torch.relu,
    torch.relu_,
    "relu",
    "relu_",
}  # as functions and methods; those that are layers: nn.ReLU
POOLINGS = {F.adaptive_avg_pool2d, F.avg_pool2d, torch.mean, "mean"}


class Affine(nn.Module):
    """x ↦ scale · x + shift, in the precision of x.

    Parameters
    ----------
    model : "gaussian": scale and shift are (c, 1, 1), for activations (n, c, h, w). "frechet": they are single numbers; zeros stay.
    """

    def __init__(self, model: str, scale: torch.Tensor, shift: torch.Tensor):
        super().__init__()
        if model not in MODELS:
            raise ValueError(f"matching '{model}': expected {' or '.join(MODELS)}")
        self.model = model
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mapped = (x * self.scale + self.shift).to(x.dtype)
        return torch.where(x == 0, x, mapped) if self.model == "frechet" else mapped


def load(name: str, classes: int, seed: int, file: Path) -> nn.Module:
    """The network `name` with the weights of a file, and with the matching that the file holds. Raises JobError as `weights.load_into`."""
    network = zoo.build(name, classes, seed)
    tensors, meta = weights.opened(file)
    if "matching" in meta:
        network = insert(
            network, meta["matching"], tensors.get("matching.scale"), tensors.get("matching.shift")
        )
    weights.check(tensors, network, str(file))
    network.load_state_dict(tensors)
    return network


def about(network: nn.Module) -> dict[str, str]:
    """What a file of this network's weights must say for `load`: {"matching": model}, or nothing where there is no matching."""
    return (
        {"matching": network.matching.model}
        if isinstance(getattr(network, "matching", None), Affine)
        else {}
    )


def insert(
    network: nn.Module,
    model: str,
    scale: torch.Tensor | None = None,
    shift: torch.Tensor | None = None,
) -> "fx.GraphModule":
    """The network with `matching` in it: the identity unless scale and shift are given. In eval mode; `network` is used up.

    Its layers and their names stay, so that everything that works by name (weights, the zoo's last batch-norm, split) works on.
    Raises `JobError` where the network has no global average pooling, or (gaussian) no ReLU right before it.
    """
    from torch import fx

    from fixres.models.split import Tracer

    graph, modules = Tracer().trace(network.eval()), dict(network.named_modules())
    pooling = next((node for node in reversed(graph.nodes) if _is_pooling(node, modules)), None)
    if pooling is None:
        raise JobError(
            f"matching '{model}': {type(network).__name__} has no average pooling before its classifier; expected one (A.1)"
        )
    source = replaced = pooling
    if model == "gaussian":
        replaced = source = _relu_before(pooling, modules, type(network).__name__)
        layer = _layer(replaced, modules)
        if layer is None or isinstance(layer, nn.ReLU):
            source = replaced.all_input_nodes[0]
        else:  # a batch-norm that applies its ReLU itself: take it out, to get between the two
            layer.act = nn.Identity()
    with graph.inserting_after(replaced):
        new = last = graph.call_module("matching", (source,))
    if model == "gaussian":
        with graph.inserting_after(new):
            last = graph.call_function(F.relu, (new,))
    replaced.replace_all_uses_with(last, delete_user_cb=lambda user: user is not new)
    if source is not replaced:
        graph.erase_node(replaced)
    network.matching = Affine(
        model,
        torch.ones(()) if scale is None else scale,
        torch.zeros(()) if shift is None else shift,
    )
    return fx.GraphModule(network, graph, type(network).__name__).eval()


def probe(matched: "fx.GraphModule") -> "fx.GraphModule":
    """The matched network up to what is measured: images -> (activations behind the map, pooled activations); gaussian (n, c, h, w) and
    (n, c, …), frechet the latter twice. Shares the network's layers."""
    from torch import fx

    graph = fx.Graph()
    copies: dict = {}
    graph.graph_copy(matched.graph, copies)
    modules = dict(matched.named_modules())
    point = next(
        node for node in graph.nodes if node.op == "call_module" and node.target == "matching"
    )
    pooled = (
        point
        if matched.matching.model == "frechet"
        else next(n for n in reversed(graph.nodes) if _is_pooling(n, modules))
    )
    graph.output((point, pooled))
    cut = fx.GraphModule(matched, graph, "Probe").eval()
    cut.graph.eliminate_dead_code()
    cut.recompile()
    return cut


def _layer(node: "fx.Node", modules: dict[str, nn.Module]) -> nn.Module | None:
    return modules[str(node.target)] if node.op == "call_module" else None


def _is_pooling(node: "fx.Node", modules: dict[str, nn.Module]) -> bool:
    called = node.op in ("call_function", "call_method") and node.target in POOLINGS
    return called or isinstance(_layer(node, modules), (nn.AdaptiveAvgPool2d, nn.AvgPool2d))


def _relu_before(pooling: "fx.Node", modules: dict[str, nn.Module], name: str) -> "fx.Node":
    """The ReLU whose output is pooled: a layer, a function, or the last thing that a layer does."""
    node = pooling.all_input_nodes[0]
    while isinstance(_layer(node, modules), (nn.Identity, nn.Dropout)):
        node = node.all_input_nodes[0]
    layer = _layer(node, modules)
    act = getattr(layer, "act", layer)
    if isinstance(act, nn.ReLU) or (layer is None and node.target in RELUS):
        return node
    found = (
        type(act).__name__ if layer is not None else getattr(node.target, "__name__", node.target)
    )
    raise JobError(
        f"matching 'gaussian': {name} has no ReLU before its global pooling, but {found}; expected one (A.2); take 'frechet'"
    )
