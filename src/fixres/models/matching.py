"""Distribution matching: an affine map inside a network, in place of fine-tuning (§4.2, A.1, A.2).

The map brings the activations at k_test back to their distribution at k_train. Two models:

- gaussian (A.2, Table 4): before the last ReLU; every channel has a map of its own.
- frechet (A.1; §4.2, "Parametric adaptation"): after the global average pooling; one map for all
  activations that are not zero. Zeros stay.

The place is found in the traced graph (torch.fx), so any network that traces can be matched. The
map is a layer of the network, named `matching`, with two buffers. It is saved with the weights, and
nothing trains it. The cut of split.py goes before or after it. A network without matching is what
the zoo builds, untouched.
"""

from pathlib import Path

import torch
from torch import fx, nn
from torch.nn import functional as F  # noqa: N812

from fixres.artifacts import weights
from fixres.jobs import JobError
from fixres.models.catalogue.network import Network
from fixres.models.construct import build
from fixres.models.split import Tracer

MODELS = ("gaussian", "frechet")
# As functions and as methods. The layers are nn.ReLU, nn.AvgPool2d and nn.AdaptiveAvgPool2d.
RELUS = {F.relu, torch.relu, torch.relu_, "relu", "relu_"}
POOLINGS = {F.adaptive_avg_pool2d, F.avg_pool2d, torch.mean, "mean"}


class Affine(nn.Module):
    """The map x ↦ scale · x + shift, in the precision of x.

    Parameters
    ----------
    model : "gaussian": scale and shift are (c, 1, 1), for activations (n, c, h, w). "frechet":
        scale and shift are single numbers, and zeros stay zeros.
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


# --- weights on disk ---------------------------------------------------------------------------


def load(network: Network | str, classes: int, seed: int, file: Path) -> nn.Module:
    """Build a network with the weights of a file, and with its matching if it has one.

    Raises
    ------
    JobError : as `weights.load_into`.
    """
    network = build(network, classes, seed)
    tensors, meta = weights.opened(file)
    if "matching" in meta:
        scale, shift = tensors.get("matching.scale"), tensors.get("matching.shift")
        network = insert(network, meta["matching"], scale, shift)
    weights.check(tensors, network, str(file))
    network.load_state_dict(tensors)
    return network


def about(network: nn.Module) -> dict[str, str]:
    """The part of a file's meta that `load` needs: {"matching": model}, or {} without matching."""
    layer = getattr(network, "matching", None)
    return {"matching": layer.model} if isinstance(layer, Affine) else {}


# --- the map in the graph ----------------------------------------------------------------------


def insert(
    network: nn.Module,
    model: str,
    scale: torch.Tensor | None = None,
    shift: torch.Tensor | None = None,
) -> fx.GraphModule:
    """Insert the map into a network, as the layer `matching`.

    The other layers keep their names. So whatever works by name (weights, the zoo's last
    batch-norm, `split`) still works.

    Parameters
    ----------
    network : is used up.
    scale, shift : as in `Affine`. Without them the map is the identity.

    Returns
    -------
    The network with the map, in eval mode.

    Raises
    ------
    JobError : the network has no global average pooling, or (gaussian) no ReLU right before it.
    """
    name = type(network).__name__
    graph, modules = _traced(network)
    pooling = _pooling_of(graph, modules, f"matching '{model}': {name}")
    if model == "gaussian":
        _insert_before_relu(graph, _relu_before(pooling, modules, name), modules)
    else:
        _insert_after(graph, pooling)
    network.matching = Affine(
        model,
        torch.ones(()) if scale is None else scale,
        torch.zeros(()) if shift is None else shift,
    )
    return fx.GraphModule(network, graph, name).eval()


def _insert_after(graph: fx.Graph, pooling: fx.Node) -> None:
    """Put the map behind the pooling (A.1)."""
    with graph.inserting_after(pooling):
        mapped = graph.call_module("matching", (pooling,))
    pooling.replace_all_uses_with(mapped, delete_user_cb=lambda user: user is not mapped)


def _insert_before_relu(graph: fx.Graph, relu: fx.Node, modules: dict[str, nn.Module]) -> None:
    """Put the map before the last ReLU (A.2)."""
    source, new_relu = _free_relu(graph, relu, modules)
    with graph.inserting_before(new_relu):
        mapped = graph.call_module("matching", (source,))
    new_relu.replace_input_with(source, mapped)


def _free_relu(
    graph: fx.Graph, relu: fx.Node, modules: dict[str, nn.Module]
) -> tuple[fx.Node, fx.Node]:
    """Replace a ReLU by a function that leaves its input as it is.

    Returns
    -------
    The node of its input, and the node of the new ReLU.
    """
    layer = _layer(relu, modules)
    inside_layer = layer is not None and not isinstance(layer, nn.ReLU)
    if inside_layer:  # a batch-norm that applies its ReLU itself: the two come apart
        layer.act = nn.Identity()
        source = relu
    else:
        source = relu.all_input_nodes[0]
    with graph.inserting_after(relu):
        new_relu = graph.call_function(F.relu, (source,))
    relu.replace_all_uses_with(new_relu, delete_user_cb=lambda user: user is not new_relu)
    if not inside_layer:
        graph.erase_node(relu)
    return source, new_relu


def probe(matched: fx.GraphModule) -> fx.GraphModule:
    """The matched network, cut off behind the activations that matching measures.

    Returns
    -------
    A module on the layers of `matched`: images -> (activations behind the map, pooled
    activations). Gaussian: (n, c, h, w) and (n, c, …). Frechet: the pooled activations twice.
    """
    graph = fx.Graph()
    copies: dict = {}
    graph.graph_copy(matched.graph, copies)
    modules = dict(matched.named_modules())
    calls = (node for node in graph.nodes if node.op == "call_module")
    point = next(node for node in calls if node.target == "matching")
    pooled = point
    if matched.matching.model == "gaussian":
        pooled = next(node for node in reversed(graph.nodes) if _is_pooling(node, modules))
    graph.output((point, pooled))
    return _without_dead_code(matched, graph)


def watch(network: nn.Module) -> tuple[fx.GraphModule, bool]:
    """A network, matched or not, cut off behind its global pooling (§3.2).

    Parameters
    ----------
    network : is used up.

    Returns
    -------
    A module on its layers: images -> (activations before the last ReLU, (n, c, h, w); pooled
    activations, (n, c, …)). The pooled ones of a network with a Fréchet map are behind the map.
    And whether there is such a ReLU. Without it, the first are the activations that are pooled.

    Raises
    ------
    JobError : the network has no global average pooling.
    """
    graph, modules = _traced(network)
    pooling = _pooling_of(graph, modules, f"activations: {type(network).__name__}")
    last = _pooled_node(pooling, modules)
    has_relu = _is_relu(last, modules)
    source = _free_relu(graph, last, modules)[0] if has_relu else pooling.all_input_nodes[0]
    pooled = next((user for user in pooling.users if user.target == "matching"), pooling)
    graph.erase_node(next(node for node in graph.nodes if node.op == "output"))
    graph.output((source, pooled))
    return _without_dead_code(network, graph), has_relu


def _without_dead_code(network: nn.Module, graph: fx.Graph) -> fx.GraphModule:
    """The module that computes a graph and nothing more."""
    cut = fx.GraphModule(network, graph, "Probe").eval()
    cut.graph.eliminate_dead_code()
    cut.recompile()
    return cut


def _traced(network: nn.Module) -> tuple[fx.Graph, dict[str, nn.Module]]:
    """The graph of a network in eval mode, where a map is one node; and its layers by name."""
    tracer = Tracer()
    tracer.leaves += (Affine,)
    return tracer.trace(network.eval()), dict(network.named_modules())


def _pooling_of(graph: fx.Graph, modules: dict[str, nn.Module], who: str) -> fx.Node:
    """The global average pooling. Raises JobError where there is none; it starts with `who`."""
    for node in reversed(graph.nodes):
        if _is_pooling(node, modules):
            return node
    raise JobError(f"{who} has no average pooling before its classifier; expected one (A.1)")


def _layer(node: fx.Node, modules: dict[str, nn.Module]) -> nn.Module | None:
    """The layer that a node runs; None where it calls a function or a method."""
    return modules[str(node.target)] if node.op == "call_module" else None


def _is_pooling(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    called = node.op in ("call_function", "call_method") and node.target in POOLINGS
    return called or isinstance(_layer(node, modules), (nn.AdaptiveAvgPool2d, nn.AvgPool2d))


def _pooled_node(pooling: fx.Node, modules: dict[str, nn.Module]) -> fx.Node:
    """What is pooled: the last node before the pooling that computes something."""
    node = pooling.all_input_nodes[0]
    while isinstance(_layer(node, modules), (nn.Identity, nn.Dropout)):
        node = node.all_input_nodes[0]
    return node


def _is_relu(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether a node is a ReLU: a layer, a function, or the end of another layer."""
    layer = _layer(node, modules)
    act = getattr(layer, "act", layer)
    return isinstance(act, nn.ReLU) or (layer is None and node.target in RELUS)


def _relu_before(pooling: fx.Node, modules: dict[str, nn.Module], name: str) -> fx.Node:
    """The ReLU whose output is pooled. Raises JobError where there is none."""
    node = _pooled_node(pooling, modules)
    if _is_relu(node, modules):
        return node
    layer = _layer(node, modules)
    called = getattr(node.target, "__name__", node.target)
    found = called if layer is None else type(getattr(layer, "act", layer)).__name__
    raise JobError(
        f"matching 'gaussian': {name} has no ReLU before its global pooling, but {found}; "
        "expected one (A.2); take 'frechet'"
    )
