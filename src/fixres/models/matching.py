"""Distribution matching: an affine map inside a network, in place of fine-tuning (§4.2, A.1, A.2).

The map brings the activations at k_test back to their distribution at k_train. Two models:

- gaussian (A.2, Table 4): before the last ReLU; every channel has its own map.
- frechet (A.1; §4.2, "Parametric adaptation"): after the global average pooling; one map for all
  activations that are not zero. Zeros stay.

The place is found in the traced graph (torch.fx), so any network that torch.fx can trace can be
matched. The map is a layer of the network, named `matching`, with two buffers. It is saved with the
weights and never trained. split.py may cut before or after it.
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
            expected = f"got '{model}', expected {' or '.join(MODELS)}"
            raise ValueError(f"matching: unknown model ({expected}). Correct the name.")
        self.model = model
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mapped = (x * self.scale + self.shift).to(x.dtype)
        return torch.where(x == 0, x, mapped) if self.model == "frechet" else mapped


# --- weights on disk ---------------------------------------------------------------------------


def load(network: Network | str, classes: int, seed: int, file: Path) -> nn.Module:
    """Build a network with the weights of a file, and with the file's matching if it has one.

    Raises
    ------
    JobError : as in `weights.load_into`.
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
    """The network, in eval mode, with the map as its layer `matching`.

    The other layers keep their names, so whatever uses names (weights, the zoo's last batch-norm,
    `split`) still works.

    Parameters
    ----------
    network : modified in place; do not reuse it.
    scale, shift : as in `Affine`. Without them the map is the identity.

    Raises
    ------
    JobError : the network has no global average pooling, or (gaussian) no ReLU right before it.
    """
    name = type(network).__name__
    traced = _Traced(network, f"matching '{model}': {name}")
    graph = traced.graph
    if model == "gaussian":  # before the last ReLU (A.2)
        source, relu = traced.free_relu(traced.relu_before_pooling(name))
        with graph.inserting_before(relu):
            mapped = graph.call_module("matching", (source,))
        relu.replace_input_with(source, mapped)
    else:  # behind the pooling (A.1)
        with graph.inserting_after(traced.pooling):
            mapped = graph.call_module("matching", (traced.pooling,))
        traced.pooling.replace_all_uses_with(mapped, lambda user: user is not mapped)
    scale = torch.ones(()) if scale is None else scale
    network.matching = Affine(model, scale, torch.zeros(()) if shift is None else shift)
    return fx.GraphModule(network, graph, name).eval()


def probe(matched: fx.GraphModule) -> fx.GraphModule:
    """The matched network, cut off behind the activations that matching measures.

    It returns (activations behind the map, pooled activations). Gaussian: (n, c, h, w) and
    (n, c, …). Frechet: the pooled activations twice.
    """
    traced = _Traced(matched, "matching")
    [point] = traced.graph.find_nodes(op="call_module", target="matching")
    pooled = traced.pooling if matched.matching.model == "gaussian" else point
    return traced.cut_behind(point, pooled)


def watch(network: nn.Module) -> tuple[fx.GraphModule, bool]:
    """A network, matched or not, cut off behind its global pooling (§3.2).

    Parameters
    ----------
    network : modified in place; do not reuse it.

    Returns
    -------
    A module that shares its layers: images -> (activations before the last ReLU, (n, c, h, w);
    pooled activations, (n, c, …)). If the network has a Fréchet map, the pooled activations are
    taken behind the map. And whether there is such a ReLU. Without it, the first activations are
    the input of the pooling.

    Raises
    ------
    JobError : the network has no global average pooling.
    """
    traced = _Traced(network, f"activations: {type(network).__name__}")
    pooling, last = traced.pooling, traced.pooled
    has_relu = traced.is_relu(last)
    source = traced.free_relu(last)[0] if has_relu else pooling.all_input_nodes[0]
    pooled = next((user for user in pooling.users if user.target == "matching"), pooling)
    return traced.cut_behind(source, pooled), has_relu


class _Traced:
    """The graph of a network in eval mode, where a map is one node.

    `pooling` is the node of the global average pooling, and `pooled` its input: the last node
    before the pooling that computes something. Raises JobError, which starts with `who`, if there
    is no pooling.
    """

    def __init__(self, network: nn.Module, who: str):
        tracer = Tracer()
        tracer.leaves += (Affine,)
        self.network, self.graph = network, tracer.trace(network.eval())
        self.layers = dict(network.named_modules())
        poolings = [node for node in self.graph.nodes if self._is_pooling(node)]
        if not poolings:
            missing = "has no average pooling before its classifier (expected one, A.1)"
            raise JobError(f"{who} {missing}. Take another network.")
        self.pooling = poolings[-1]
        self.pooled = self.pooling.all_input_nodes[0]
        while isinstance(self.layer(self.pooled), (nn.Identity, nn.Dropout)):
            self.pooled = self.pooled.all_input_nodes[0]

    def layer(self, node: fx.Node) -> nn.Module | None:
        """The layer that a node runs, or None if it calls a function or a method."""
        return self.layers[str(node.target)] if node.op == "call_module" else None

    def _is_pooling(self, node: fx.Node) -> bool:
        called = node.op in ("call_function", "call_method") and node.target in POOLINGS
        return called or isinstance(self.layer(node), (nn.AdaptiveAvgPool2d, nn.AvgPool2d))

    def is_relu(self, node: fx.Node) -> bool:
        """Whether a node is a ReLU: a layer, a function, or the end of another layer."""
        layer = self.layer(node)
        act = getattr(layer, "act", layer)
        return isinstance(act, nn.ReLU) or (layer is None and node.target in RELUS)

    def relu_before_pooling(self, name: str) -> fx.Node:
        """The ReLU whose output is pooled. Raises JobError if there is none."""
        if self.is_relu(self.pooled):
            return self.pooled
        layer, target = self.layer(self.pooled), self.pooled.target
        called = getattr(target, "__name__", target)
        found = called if layer is None else type(getattr(layer, "act", layer)).__name__
        raise JobError(
            f"matching 'gaussian': {name} has no ReLU before its global pooling (got {found}, "
            "expected a ReLU, A.2). Use 'frechet'."
        )

    def free_relu(self, relu: fx.Node) -> tuple[fx.Node, fx.Node]:
        """Replace a ReLU by a function that is not in place; return the nodes of input and ReLU."""
        layer, source = self.layer(relu), relu.all_input_nodes[0]
        inside_layer = layer is not None and not isinstance(layer, nn.ReLU)
        if inside_layer:  # a batch-norm that applies its ReLU itself: separate the two
            layer.act, source = nn.Identity(), relu
        with self.graph.inserting_after(relu):
            new_relu = self.graph.call_function(F.relu, (source,))
        relu.replace_all_uses_with(new_relu, delete_user_cb=lambda user: user is not new_relu)
        if not inside_layer:
            self.graph.erase_node(relu)
        return source, new_relu

    def cut_behind(self, *nodes: fx.Node) -> fx.GraphModule:
        """The module that computes these nodes and nothing more."""
        [output] = self.graph.find_nodes(op="output")
        self.graph.erase_node(output)
        self.graph.output(nodes)
        cut = fx.GraphModule(self.network, self.graph, "Probe").eval()
        cut.graph.eliminate_dead_code()
        cut.recompile()
        return cut
