"""The cut: a network becomes a frozen trunk and a trainable head, along its graph.

    parts = split(network, ["layer4.2.bn3", "fc"])
    logits = parts.head(*parts.trunk(x))  # equals network(x)

The graph is traced with torch.fx. A node that runs a trainable module belongs to the head, and so
does every node that depends on it. All other nodes are the trunk. The frontier is the set of
activations that the head reads from the trunk:

- for the classifier of a ResNet: the pooled vector;
- for its classifier and its last batch-norm: the input of that batch-norm, and the residual.

Only tensors with one row per image cross the cut. Anything else that the head reads from the trunk,
such as the number of images, is computed again in the head.

Any network that torch.fx traces can be cut, without code for a particular network. A network that
torch.fx cannot trace is cut at the input of the first trainable module (boundary.py). adapt.py
decides what trains, and how.
"""

import operator
import sys
from typing import NamedTuple

import torch
from torch import fx, nn
from torch.nn import functional as F  # noqa: N812

from fixres.models import boundary
from fixres.models.boundary import inside

# Operations whose output may share the memory of their input. An in-place layer behind one of them
# still writes into that input.
VIEWS = (nn.Identity, nn.Dropout, nn.Flatten)
VIEW_METHODS = {"view", "reshape", "flatten", "squeeze", "unsqueeze", "permute", "transpose"}
VIEW_METHODS |= {"contiguous", "chunk", "split", "detach"}
VIEW_FUNCTIONS = {operator.getitem, torch.flatten, torch.reshape}
IN_PLACE = {operator.iadd, operator.isub, operator.imul, operator.itruediv}

NO_ACTIVATION = ("output", "get_attr")
# What depends on the shape of a tensor, or on where it is, and not on its numbers.
SHAPE_METHODS, SHAPE_ATTRIBUTES = {"size", "dim", "numel"}, {"shape", "ndim", "device"}
FROZEN = "frozen"  # marks a node of the head that belongs to the trunk

Modules = dict[str, nn.Module]  # by their names in the network


class Split(NamedTuple):
    """The two halves of a network, on its own parameters: `head(*trunk(x))` equals `network(x)`.

    Attributes
    ----------
    trunk : (n, 3, K, K) -> tuple of tensors with n rows each.
    head : these tensors -> logits (n, classes). It leaves the tensors as they are.
    trainable : the modules to train, none inside another.
    dropouts : the dropout layers of the head. Each follows its own train() and eval().
    """

    trunk: nn.Module
    head: nn.Module
    trainable: list[nn.Module]
    dropouts: list[nn.Module]


def split(network: nn.Module, trainable: list[str], k: int | None = None) -> Split:
    """Cut a network before its trainable modules.

    Dropout belongs to the head where nothing but the head reads its output.

    Parameters
    ----------
    network : in eval mode. A function like F.dropout keeps the mode in which it is traced.
    trainable : names of modules.
    k : side of the crops, pixels. With it, a network that cannot be traced is cut, too.

    Raises
    ------
    JobError : see `boundary.cut`.
    ValueError : a name is not a module of the network; the forward pass never calls the module; or
        the trunk overwrites an activation that the head reads.
    """
    modules = dict(network.named_modules())
    for name in trainable:
        if name not in modules:
            kind, layers = type(network).__name__, ", ".join(n for n in modules if n)
            expected = f"got '{name}', expected one of {layers}"
            raise ValueError(f"{kind}: no such layer ({expected}). Correct the name.")
    trainable = boundary.outermost(trainable)
    trained = [modules[name] for name in trainable]
    try:
        graph = Tracer().trace(network)
        head = nodes_of_head(graph, modules, trainable)
        rows = rows_of(network, graph, k) if k else {}
    except Exception:  # each forward pass that cannot be traced fails in its own way
        if k is None:
            raise
        return at_boundary(network, trainable, k)
    again = nodes_again(graph, head, rows) if k else set()

    # The frontier. Parameters and constants (get_attr) are not activations: both halves hold them.
    trunk = [n for n in graph.nodes if n not in head | again and n.op not in NO_ACTIVATION]
    readers = head | {node for node in again if not asks_for_shape(node)}
    frontier = [node for node in trunk if any(user in readers for user in node.users)]
    check_in_place(modules, head, frontier)
    trunk_module = trunk_of(network, graph, head, frontier)
    head_module = head_of(network, graph, head, again, frontier, rows)
    if again and boundary.difference(network, trunk_module, head_module, k) is not None:
        return at_boundary(network, trainable, k)
    return Split(trunk_module, head_module, trained, expose_dropouts(head_module))


def at_boundary(network: nn.Module, trainable: list[str], k: int) -> Split:
    """The cut of a network at the input of the first trainable module (boundary.py)."""
    trunk, head, dropouts = boundary.cut(network, trainable, k)
    return Split(trunk, head, [network.get_submodule(name) for name in trainable], dropouts)


class Tracer(fx.Tracer):
    """torch.fx's tracer, with timm's list of what cannot be traced.

    Such modules (same-padding, fused batch-norms) become leaves of the graph.
    """

    def __init__(self):
        self.leaves, functions = (), ()
        # Unless timm is imported, the network is not one of timm's. The import would take a second.
        if "timm" in sys.modules:
            from timm.layers import get_notrace_functions, get_notrace_modules

            self.leaves, functions = tuple(get_notrace_modules()), tuple(get_notrace_functions())
        super().__init__(autowrap_functions=functions)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, self.leaves) or super().is_leaf_module(m, module_qualified_name)


# --- where the graph is cut --------------------------------------------------------------------


def nodes_of_head(graph: fx.Graph, modules: Modules, trainable: list[str]) -> set[fx.Node]:
    """The nodes that run a trainable module, those that depend on them, and dropout before them.

    Raises ValueError where the graph never reaches a trainable module.
    """
    head: set[fx.Node] = set()
    reached: set[str] = set()
    for node in graph.nodes:
        target = str(node.target)
        trains = node.op == "call_module" and any(inside(target, name) for name in trainable)
        if trains:
            reached.add(target)
        if trains or any(parent in head for parent in node.all_input_nodes):
            head.add(node)
    missing = [name for name in trainable if not any(inside(r, name) for r in reached)]
    boundary.check_called(modules[""], missing)
    for node in reversed(graph.nodes):
        if is_dropout(node, modules) and all(user in head for user in node.users):
            head.add(node)
    return head


class Recorder(fx.Interpreter):
    """Runs a graph and keeps the shape of each value: None if it is not a tensor."""

    def run_node(self, n: fx.Node) -> object:
        value = super().run_node(n)
        self.shapes[n] = tuple(value.shape) if isinstance(value, torch.Tensor) else None
        return value


@torch.no_grad()
def rows_of(network: nn.Module, graph: fx.Graph, k: int) -> dict[fx.Node, tuple[int, ...]]:
    """Each node whose output is a tensor with one row per image -> the shape of a row.

    The network runs on two and on three crops of k×k pixels.
    """
    device = next(network.parameters()).device
    recorder, found = Recorder(network, graph=graph), []
    for n in (2, 3):
        recorder.shapes = {}
        recorder.run(torch.zeros(n, 3, k, k, device=device))
        found.append(recorder.shapes)
    two, three = found
    shapes = {node: shape[1:] for node, shape in two.items() if shape and shape[0] == 2}
    return {node: shape for node, shape in shapes.items() if three[node] == (3, *shape)}


def nodes_again(graph: fx.Graph, head: set[fx.Node], rows: dict) -> set[fx.Node]:
    """The nodes of the trunk that the head computes again, because they have no rows of images.

    Numbers and sizes, such as `n = x.size(0)`, and tensors computed only from these or from
    parameters. Their inputs are included, back to the tensors that have rows.
    """
    again: set[fx.Node] = set()
    todo = [node for node in graph.nodes if any(user in head for user in node.users)]
    while todo:
        node = todo.pop()
        if not (node in head or node in again or node in rows or node.op in NO_ACTIVATION):
            again.add(node)
            todo += node.all_input_nodes
    return again


def asks_for_shape(node: fx.Node) -> bool:
    """Whether a node depends only on the shape or the device of a tensor, as x.size(0) does."""
    if node.op == "call_function":
        return node.target is len or (node.target is getattr and node.args[1] in SHAPE_ATTRIBUTES)
    return node.op == "call_method" and node.target in SHAPE_METHODS


def check_in_place(modules: Modules, head: set[fx.Node], frontier: list[fx.Node]) -> None:
    """Raise ValueError if the trunk overwrites an activation that the head reads earlier.

    The head would get the overwritten activation instead of the original.
    """
    for node in frontier:
        readers = [user for user in node.users if user in head]
        for writer in writers(node, modules):
            if writer not in head and any(reader < writer for reader in readers):
                raise ValueError(
                    f"{writer.target}: writes in place into {node.target}, which the trained part "
                    "reads earlier. Make it out of place."
                )


def writers(source: fx.Node, modules: Modules) -> list[fx.Node]:
    """The nodes that write into the memory of `source`, or of a view of it, in place."""
    found = []
    for user in source.users:
        if is_in_place(user, modules) and user.args and user.args[0] is source:
            found.append(user)
        elif is_view(user, modules):
            found += writers(user, modules)
    return found


def is_in_place(node: fx.Node, modules: Modules) -> bool:
    """Whether a node writes into its input, as ReLU(inplace=True), `x += y` or `x.add_(y)` do."""
    if node.target in IN_PLACE or node.kwargs.get("inplace"):
        return True
    if node.op == "call_module":
        return bool(getattr(modules[str(node.target)], "inplace", False))
    name = str(node.target)
    return node.op == "call_method" and name.endswith("_") and not name.endswith("__")


def is_view(node: fx.Node, modules: Modules) -> bool:
    """Whether the output of a node may share the memory of its input."""
    if node.op == "call_module":
        return isinstance(modules[str(node.target)], VIEWS)
    return node.target in (VIEW_METHODS if node.op == "call_method" else VIEW_FUNCTIONS)


def is_dropout(node: fx.Node, modules: Modules) -> bool:
    if node.op == "call_module":
        return isinstance(modules[str(node.target)], nn.Dropout)
    return node.op == "call_function" and node.target is F.dropout


# --- the two halves ----------------------------------------------------------------------------


def trunk_of(
    network: nn.Module, graph: fx.Graph, head: set[fx.Node], frontier: list[fx.Node]
) -> fx.GraphModule:
    """The trunk as a module: the images go in, the activations of the frontier come out."""
    trunk_graph, copies = fx.Graph(), {}
    for node in graph.nodes:
        if node not in head and node.op != "output":
            copies[node] = trunk_graph.node_copy(node, copies.__getitem__)
    trunk_graph.output(tuple(copies[node] for node in frontier))
    trunk = fx.GraphModule(network, trunk_graph, "Trunk")
    trunk.graph.eliminate_dead_code()  # parameters that only the head reads
    trunk.recompile()
    return trunk


def head_of(
    network: nn.Module,
    graph: fx.Graph,
    head: set[fx.Node],
    again: set[fx.Node],
    frontier: list[fx.Node],
    rows: dict[fx.Node, tuple[int, ...]],
) -> fx.GraphModule:
    """The head as a module: the activations of the frontier go in, the logits come out.

    If the head writes into an activation, it gets a copy, because cached activations are reused.

    Parameters
    ----------
    again : nodes of the trunk that it computes again.
    rows : node -> the shape of one of its rows. Where only the shape of a tensor is asked for, the
        tensor need not cross the cut.
    """
    modules, own = dict(network.named_modules()), head | again
    head_graph = fx.Graph()
    copies = {node: head_graph.placeholder(f"activation{i}") for i, node in enumerate(frontier)}
    for node in frontier:
        if any(writer in own for writer in writers(node, modules)):
            copies[node] = head_graph.call_method("clone", (copies[node],))
    for node in graph.nodes:
        if node in again and asks_for_shape(node) and (source := node.args[0]) not in copies:
            shape = (copies[frontier[0]], rows[source])
            copies[source] = head_graph.call_function(stand_in, shape)
        if node in own or (node.op == "get_attr" and any(user in own for user in node.users)):
            copies[node] = head_graph.node_copy(node, copies.__getitem__)
            copies[node].meta[FROZEN] = node in again
    return fx.GraphModule(network, head_graph, "Head")


def stand_in(activation: torch.Tensor, row: tuple[int, ...]) -> torch.Tensor:
    """A tensor that takes no memory, with one row of this shape per image."""
    return activation.new_zeros(()).expand(len(activation), *row)


def expose_dropouts(head: fx.GraphModule) -> list[nn.Module]:
    """The dropout layers of the head.

    F.dropout becomes a layer: as a function it would keep the mode in which it was traced.
    """
    found = []
    for i, node in enumerate(list(head.graph.nodes)):
        if node.meta.get(FROZEN) or not is_dropout(node, dict(head.named_modules())):
            continue
        name = str(node.target)
        if node.op == "call_function":
            name = f"dropout{i}"
            p = node.kwargs.get("p", node.args[1] if len(node.args) > 1 else 0.5)
            head.add_submodule(name, nn.Dropout(p).eval())
            with head.graph.inserting_before(node):
                node.replace_all_uses_with(head.graph.call_module(name, (node.args[0],)))
            head.graph.erase_node(node)
        found.append(head.get_submodule(name))
    head.recompile()
    return found
