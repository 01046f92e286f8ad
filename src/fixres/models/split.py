"""Frozen trunk, trainable head: the network cut along its graph.

Which layers train is a property of the run; where the network is cut follows from it. The graph is traced (torch.fx); every node that
runs a trainable module, and all that depends on it, is head; the rest is trunk. What the head reads from the trunk (the frontier) is
for ResNet's classifier the pooled vector, for classifier + last batch-norm that layer's input and the residual. Any network that
traces works without a line written for it.
"""

import operator
import sys
from typing import NamedTuple

import torch
from torch import fx, nn
from torch.nn import functional as F  # noqa: N812

from fixres.models.zoo import Network

# What may hand on its input's memory: an in-place layer behind one of these still writes into that input.
VIEWS = (nn.Identity, nn.Dropout, nn.Flatten)
VIEW_METHODS = {
    "view",
    "reshape",
    "flatten",
    "squeeze",
    "unsqueeze",
    "permute",
    "transpose",
    "contiguous",
    "chunk",
    "split",
    "detach",
}
VIEW_FUNCTIONS = {operator.getitem, torch.flatten, torch.reshape}
IN_PLACE = {operator.iadd, operator.isub, operator.imul, operator.itruediv}


class Split(NamedTuple):
    """`head(*trunk(x))` equals `network(x)`; both share the network's own parameters."""

    trunk: fx.GraphModule  # (n, 3, K, K) -> tuple of tensors with n rows each
    head: fx.GraphModule  # leaves the tensors it is given as they are
    modules: list[nn.Module]  # the trainable modules themselves, none inside another
    dropouts: list[
        nn.Module
    ]  # the dropout layers of the head: what they do follows their own train() and eval()


class Tracer(fx.Tracer):
    """torch.fx, which takes for leaves also what timm says it cannot trace through (same-padding, fused batch-norms)."""

    def __init__(self):
        self.leaves, functions = (), ()
        if (
            "timm" in sys.modules
        ):  # else the network is not one of timm's, and a second of import is saved
            from timm.layers import get_notrace_functions, get_notrace_modules

            self.leaves, functions = tuple(get_notrace_modules()), tuple(get_notrace_functions())
        super().__init__(autowrap_functions=functions)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, self.leaves) or super().is_leaf_module(m, module_qualified_name)


def split(network: nn.Module, trainable: list[str]) -> Split:
    """Cut `network` before the modules named in `trainable`; dropout that feeds only what trains belongs to the head.

    Raises ValueError where a name is not a module of the network, or the graph never reaches it.
    """
    modules = dict(network.named_modules())
    for name in trainable:
        if name not in modules:
            raise ValueError(
                f"'{name}' is not a layer of {type(network).__name__}; it has {', '.join(n for n in modules if n)}"
            )
    trainable = [
        t
        for t in dict.fromkeys(trainable)
        if not any(inside(t, other) for other in trainable if other != t)
    ]
    graph = Tracer().trace(network)
    head: set[fx.Node] = set()
    reached: set[str] = set()
    for node in graph.nodes:
        own = node.op == "call_module" and any(inside(str(node.target), t) for t in trainable)
        if own:
            reached.add(str(node.target))
        if own or any(parent in head for parent in node.all_input_nodes):
            head.add(node)
    missing = [t for t in trainable if not any(inside(r, t) for r in reached)]
    if missing:
        raise ValueError(
            f"{', '.join(missing)}: never called in the forward pass of {type(network).__name__}"
        )
    for node in reversed(graph.nodes):
        if is_dropout(node, modules) and all(user in head for user in node.users):
            head.add(node)
    frontier = [
        n
        for n in graph.nodes
        if n not in head and n.op != "output" and any(user in head for user in n.users)
    ]
    # Constants and parameters that the head reads directly are not activations: both halves may hold them.
    frontier = [n for n in frontier if n.op != "get_attr"]
    order = {node: i for i, node in enumerate(graph.nodes)}
    for node in frontier:
        for writer in (w for w in writers(node, modules) if w not in head):
            if any(order[user] < order[writer] for user in node.users if user in head):
                raise ValueError(
                    f"{writer.target} writes in place into {node.target}, which the trained part reads before: make it out of place"
                )

    trunk_graph, copies = fx.Graph(), {}
    for node in graph.nodes:
        if node not in head and node.op != "output":
            copies[node] = trunk_graph.node_copy(node, copies.__getitem__)
    trunk_graph.output(tuple(copies[node] for node in frontier))

    head_graph = fx.Graph()
    inside_head = {
        node: head_graph.placeholder(f"activation{i}") for i, node in enumerate(frontier)
    }
    for node in frontier:
        if any(writer in head for writer in writers(node, modules)):
            inside_head[node] = head_graph.call_method("clone", (inside_head[node],))
    for node in graph.nodes:
        if node in head or (node.op == "get_attr" and any(user in head for user in node.users)):
            inside_head[node] = head_graph.node_copy(node, inside_head.__getitem__)
    trunk = fx.GraphModule(network, trunk_graph, "Trunk")
    trunk.graph.eliminate_dead_code()  # what only the head reads of the trunk's modules
    trunk.recompile()
    head_module = fx.GraphModule(network, head_graph, "Head")
    return Split(trunk, head_module, [modules[t] for t in trainable], dropouts(head_module))


def freeze(network: nn.Module, layers: list[str], entry: Network, batch_norm: str) -> Split:
    """Cut the network before the layers that train; everything else is frozen and in eval mode.

    Parameters
    ----------
    layers : any of "classifier", "batch-norm" (the last) and "cells" (the last three, entirely).
    batch_norm : "affine+statistics" (the paper), or "statistics" (the released code: the affine weights of the last batch-norm stay;
        those inside trained cells train).

    Dropout between what trains and the logits is active, as in the released code.
    """
    names = {
        "classifier": [entry.classifier],
        "batch-norm": entry.last_batch_norm,
        "cells": entry.cells,
    }
    network.eval().requires_grad_(False)
    parts = split(network, [name for layer in layers for name in names[layer]])
    for module in parts.modules:
        module.train().requires_grad_(True)
    if batch_norm == "statistics":
        for module in (network.get_submodule(name) for name in entry.last_batch_norm):
            if any(module is trained for trained in parts.modules):
                module.requires_grad_(False)
    for module in parts.dropouts:
        module.train()
    return parts


def inside(name: str, module: str) -> bool:
    """Whether the module `name` is `module` or a part of it."""
    return name == module or name.startswith(module + ".")


def is_dropout(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return isinstance(modules[str(node.target)], nn.Dropout)
    return node.op == "call_function" and node.target is F.dropout


def writers(source: fx.Node, modules: dict[str, nn.Module]) -> list[fx.Node]:
    """The nodes that write into the memory of `source`: in-place layers that read it, or a view of it."""
    found = []
    for user in source.users:
        module = modules[str(user.target)] if user.op == "call_module" else None
        in_place = (
            getattr(module, "inplace", False)
            or user.kwargs.get("inplace")
            or user.target in IN_PLACE
        )
        in_place = in_place or (
            user.op == "call_method"
            and str(user.target).endswith("_")
            and not str(user.target).endswith("__")
        )
        if in_place and user.args and user.args[0] is source:
            found.append(user)
        elif isinstance(module, VIEWS) or user.target in (
            VIEW_METHODS if user.op == "call_method" else VIEW_FUNCTIONS
        ):
            found += writers(user, modules)
    return found


def dropouts(head: fx.GraphModule) -> list[nn.Module]:
    """The dropout layers of the head. Functions, whose mode was fixed when they were traced, become layers."""
    found = []
    for i, node in enumerate(list(head.graph.nodes)):
        if not is_dropout(node, dict(head.named_modules())):
            continue
        if node.op == "call_function":
            x, p = node.args[0], node.kwargs.get("p", node.args[1] if len(node.args) > 1 else 0.5)
            head.add_submodule(f"dropout{i}", nn.Dropout(p).eval())
            with head.graph.inserting_before(node):
                layer = head.graph.call_module(f"dropout{i}", (x,))
            node.replace_all_uses_with(layer)
            head.graph.erase_node(node)
            found.append(head.get_submodule(f"dropout{i}"))
        else:
            found.append(head.get_submodule(str(node.target)))
    head.recompile()
    return found
