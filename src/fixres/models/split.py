"""Frozen trunk, trainable head: the network cut along its graph.

Which layers train is a property of the run; where the network is cut follows from it. The graph is traced (torch.fx); every node that
runs a trainable module, and all that depends on it, is head; the rest is trunk. What the head reads from the trunk (the frontier) is
for ResNet's classifier the pooled vector, for classifier + last batch-norm that layer's input and the residual. Any network that
traces works without a line written for it.
"""

from typing import NamedTuple

from torch import fx, nn


class Split(NamedTuple):
    """`head(*trunk(x))` equals `network(x)`; both share the network's own parameters."""

    trunk: fx.GraphModule  # (n, 3, K, K) -> tuple of tensors with n rows each
    head: fx.GraphModule
    modules: list[nn.Module]  # the trainable modules themselves


def split(network: nn.Module, trainable: list[str]) -> Split:
    """Cut `network` before the modules named in `trainable`.

    Raises ValueError where a name is not a module of the network, or the graph never reaches it.
    """
    modules = dict(network.named_modules())
    for name in trainable:
        if name not in modules:
            raise ValueError(f"'{name}' is not a layer of {type(network).__name__}; it has {', '.join(n for n in modules if n)}")
    graph = fx.Tracer().trace(network)
    head: set[fx.Node] = set()
    reached: set[str] = set()
    for node in graph.nodes:
        own = node.op == "call_module" and any(node.target == t or node.target.startswith(t + ".") for t in trainable)
        if own:
            reached.add(str(node.target))
        if own or any(parent in head for parent in node.all_input_nodes):
            head.add(node)
    missing = [t for t in trainable if not any(r == t or r.startswith(t + ".") for r in reached)]
    if missing:
        raise ValueError(f"{', '.join(missing)}: never called in the forward pass of {type(network).__name__}")
    frontier = [n for n in graph.nodes if n not in head and n.op != "output" and any(user in head for user in n.users)]
    # Constants and parameters that the head reads directly are not activations: both halves may hold them.
    frontier = [n for n in frontier if n.op != "get_attr"]

    trunk_graph, copies = fx.Graph(), {}
    for node in graph.nodes:
        if node not in head and node.op != "output":
            copies[node] = trunk_graph.node_copy(node, copies.__getitem__)
    trunk_graph.output(tuple(copies[node] for node in frontier))

    head_graph = fx.Graph()
    inside = {node: head_graph.placeholder(f"activation{i}") for i, node in enumerate(frontier)}
    for node in graph.nodes:
        if node in head or (node.op == "get_attr" and any(user in head for user in node.users)):
            inside[node] = head_graph.node_copy(node, inside.__getitem__)
    trunk = fx.GraphModule(network, trunk_graph, "Trunk")
    trunk.graph.eliminate_dead_code()  # what only the head reads of the trunk's modules
    trunk.recompile()
    return Split(trunk, fx.GraphModule(network, head_graph, "Head"), [modules[t] for t in trainable])
