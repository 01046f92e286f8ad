"""The zoo: every name is the network, the weights and the layers that it says.

Every network trains, is fine-tuned and evaluates.
"""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from fixres.models import construct, counting
from fixres.models.adapt import adapt_last_layers
from fixres.models.catalogue import released, zoo
from fixres.models.catalogue.network import Network
from shared import ENVIRONMENT, ROOT


def architecture(entry: Network) -> tuple:
    return entry.constructor, *entry.options.items()


FULL = list(zoo.PAPER)
TWINS = list(zoo.TWINS)
# Of the newer networks, one of each architecture: the others differ by their weights.
ARCHITECTURES = list({architecture(entry): name for name, entry in zoo.MODERN.items()}.values())
# What is tried with every network of the paper is tried with the smallest and largest of these.
NEWER = ["efficientnet_b0_noisy_student", "efficientnet_l2_noisy_student"]
# The same class as 32x8d; up to 3.3 GB each.
LARGE = ["resnext101_32x16d_wsl", "resnext101_32x32d_wsl", "resnext101_32x48d_wsl"]
# The same network as resnet50.
SAME = ["resnet50_cutmix", "resnet50_billion_224", "resnet50_billion_160"]
LAYERS = [["classifier"], ["batch-norm", "classifier"], ["cells", "batch-norm", "classifier"]]
SMALLEST = {"inception_resnet_v2": 96, "inceptionresnetq": 32}  # pixels; its stem does not pad


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Two threads on cores that others use wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def outlines() -> dict[str, nn.Module]:
    return {name: construct.outline(name, 1000) for name in (*FULL, *ARCHITECTURES, *TWINS)}


def called(network: nn.Module, k: int) -> list[tuple[str, nn.Module, torch.Size]]:
    """(name, module, shape of its output) of every module.

    They stand in the order in which the forward pass of a k×k crop leaves them.
    """
    order = []

    def note(name: str):
        return lambda module, _, output: order.append((name, module, output.shape))

    hooks = [m.register_forward_hook(note(name)) for name, m in network.named_modules()]
    network.eval()(torch.zeros(1, 3, k, k, device=next(network.parameters()).device))
    for hook in hooks:
        hook.remove()
    return order


# --- names --------------------------------------------------------------------------------------


def test_every_entry_names_layers_that_its_network_has(outlines):
    for name, network in outlines.items():
        construct.check_layers(name, network)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("resnet50", 25.6),
        ("resnet50_cutmix", 25.6),
        ("resnet50d", 25.6),
        ("resnet50_billion_224", 25.6),
        ("resnet50_billion_160", 25.6),
        ("pnasnet5large", 86.1),
        ("efficientnet_b7", 66),
        ("resnext101_32x8d_wsl", 88),
        ("resnext101_32x16d_wsl", 193),
        ("resnext101_32x32d_wsl", 466),
        ("resnext101_32x48d_wsl", 829),
    ],
)
def test_parameters_are_the_papers(outlines, name, millions):
    """Table 2's column.

    The paper cuts off where it should round, and counts 32x16d and 32x32d half a percent lower.
    """
    assert zoo.ZOO[name].parameters == millions
    counted = sum(p.numel() for p in outlines[name].parameters())
    assert counted / 1e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameters_of_newer_networks_are_as_published(outlines, name):
    """In the tables of EfficientNet, AdvProp and Noisy Student."""
    counted = sum(p.numel() for p in outlines[name].parameters())
    assert counted / 1e6 == pytest.approx(zoo.ZOO[name].parameters, rel=0.02)


FROM_TIMM = [name for name, entry in zoo.ZOO.items() if "timm" in (entry.source or {})]


@pytest.mark.parametrize("name", FROM_TIMM)
def test_a_timm_name_loads_the_weights_that_it_says(outlines, name):
    """timm's own record of the name, and all its keys.

    The record: architecture, tag, address, normalisation, resolution, licence.
    """
    import timm

    entry, source = zoo.ZOO[name], zoo.ZOO[name].source["timm"]
    record = timm.get_pretrained_cfg(source)
    assert f"{record.architecture}.{record.tag}" == source
    assert record.hf_hub_id in (None, f"timm/{source}")
    width = name.removeprefix("resnext101_").removesuffix("d_wsl")
    assert (
        record.url is None or not name.endswith("_wsl") or f"ig_resnext101_{width}-" in record.url
    )
    assert (record.mean, record.std) == (entry.mean, entry.std)
    assert (record.input_size[-1], record.license) == (entry.native, entry.licence.lower())
    assert record.classifier == entry.classifier
    if name not in outlines:  # its architecture is that of another entry
        assert any(architecture(zoo.ZOO[other]) == architecture(entry) for other in outlines)
        return
    with torch.device("meta"):
        theirs = timm.create_model(source, pretrained=False).state_dict()
    ours = outlines[name].state_dict()
    assert {n: t.shape for n, t in theirs.items()} == {n: t.shape for n, t in ours.items()}


def test_no_name_of_timms_that_loads_other_weights():
    """timm maps ig_resnext101_32x16d, 32x32d and 32x48d to the weights of 32x8d."""
    assert not any(
        str(name).startswith("ig_")
        for entry in zoo.ZOO.values()
        for name in (entry.source or {}).values()
    )


def test_the_checksum_in_a_file_name_is_the_one_that_is_checked():
    source = zoo.ZOO["resnext101_32x48d_wsl"].source
    assert f"-{source['sha256']}." in source["url"]


def test_torchvision_names_exist():
    from torchvision.models import get_weight

    for entry in zoo.ZOO.values():
        if "torchvision" in (entry.source or {}):
            assert get_weight(entry.source["torchvision"]).url


def test_names_without_weights_say_so_and_one_architecture_is_written_once():
    assert {name for name in FULL if zoo.ZOO[name].source is None} == {
        "resnet50_cutmix",
        "resnet50_billion_160",
    }
    assert len({architecture(zoo.ZOO[name]) for name in ("resnet50", *SAME)}) == 1


def test_the_authors_released_weights():
    for row in released.RELEASED.values():
        assert row.k_test % zoo.ZOO[row.network].stride == 0
        assert (row.augmentation == "test DA2") == row.title.endswith("(*)")
    assert len({row.url for row in released.RELEASED.values()}) == len(released.RELEASED) == 8


def test_planning_needs_no_torch():
    heavy = "{'torch', 'timm', 'torchvision'}"
    code = f"import sys, fixres.models.catalogue.zoo; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=ENVIRONMENT)


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(5)
    a = construct.build("resnet10q", 5, 1).state_dict()
    torch.manual_seed(6)
    state = torch.get_rng_state()
    b = construct.build("resnet10q", 5, 1).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a[n], b[n]) for n in a)
    assert not torch.equal(construct.build("resnet10q", 5, 2).conv1.weight, a["conv1.weight"])


# --- layers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*FULL, *NEWER, *TWINS])
def test_layers_are_what_they_are_named(outlines, name):
    entry, order = zoo.ZOO[name], called(outlines[name], 96)
    names = [n for n, _, _ in order]
    # the classifier is the last linear layer, for as many classes as asked
    assert [n for n, m, _ in order if isinstance(m, nn.Linear)][-1] == entry.classifier
    assert order[-1][2] == (1, 1000)
    # the last batch-norms: none runs after them, of those that lie on the way to the logits
    side = [
        n
        for n, m, _ in order
        if isinstance(m, nn.BatchNorm2d) and not {"downsample", "shortcut"} & set(n.split("."))
    ]
    if "pnasnet" in name:  # the ends of the last cell's separable branches
        assert set(entry.last_batch_norm) == {
            n for n in side if n.startswith("cell_11.comb") and n.endswith("bn_sep_2")
        }
    else:
        assert entry.last_batch_norm == (side[-1],)
    # the cells: the last three modules of their kind
    kinds = {type(m) for n, m, _ in order if n in entry.cells}
    assert tuple(n for n, m, _ in order if type(m) in kinds)[-3:] == entry.cells
    assert names.index(entry.cells[-1]) < names.index(entry.classifier)


@pytest.mark.parametrize("name", [*FULL, *NEWER, *TWINS])
def test_stride(outlines, name):
    """Eight strides more of crop are eight more pixels of the final map."""
    entry = zoo.ZOO[name]

    def side(k: int) -> int:
        return next(
            shape[-1] for n, _, shape in called(outlines[name], k) if n == entry.last_batch_norm[-1]
        )

    k = 16 * entry.stride
    assert side(k + 8 * entry.stride) - side(k) == 8


@pytest.mark.parametrize("name", FULL)
def test_a_twin_is_of_the_same_class(outlines, name):
    """Stride 8 for 32, the same normalisation, the same layers by name, cells of the same kind."""
    entry = zoo.ZOO[name]
    twin = zoo.ZOO[entry.twin]
    assert (twin.stride, twin.mean, twin.std) == (8, entry.mean, entry.std)
    assert twin.classifier == entry.classifier
    assert abs(4 * twin.native - entry.native) <= 16 or name == "resnet50_billion_160"
    if entry.twin == "resnet10q":
        return
    full, small = outlines[name], outlines[entry.twin]
    kinds = {type(full.get_submodule(cell)) for cell in entry.cells}
    assert kinds <= {type(module) for module in small.modules()}
    sizes = [sum(p.numel() for p in network.parameters()) for network in (small, full)]
    assert sizes[0] < 0.03 * sizes[1]

    def dropout(network: nn.Module) -> float:
        """The share of values dropped before the classifier, by a layer or by a function."""
        layers = [m.p for m in network.modules() if isinstance(m, nn.Dropout)]
        return layers[-1] if layers else getattr(network, "drop_rate", 0.0)

    if entry.twin != "efficientnetq":
        assert dropout(small) == dropout(full)


# --- training, fine-tuning, evaluation ----------------------------------------------------------


def step(model, inputs: tuple[torch.Tensor, ...], parameters: list[nn.Parameter]) -> None:
    """One small step down the gradient's sign.

    The gradient of a random network may be very small or very large.
    """
    gradients = torch.autograd.grad(model(*inputs).float().square().mean(), parameters)
    with torch.no_grad():
        for p, g in zip(parameters, gradients, strict=True):
            assert g.device.type == "meta" or g.isfinite().all()
            p -= 1e-4 * g.sign()


def allowed(network: nn.Module, name: str, layers: list[str]) -> set[str]:
    """The modules that a fine-tuning may change, from the zoo's names."""
    entry = zoo.ZOO[name]
    named = {
        "classifier": (entry.classifier,),
        "batch-norm": entry.last_batch_norm,
        "cells": entry.cells,
    }
    return {m for layer in layers for m in named[layer]}


@pytest.mark.parametrize("name", sorted({*FULL, *TWINS, NEWER[0]} - {*LARGE, *SAME}))
def test_trains_fine_tunes_and_evaluates(name):
    """One step of each, from random weights.

    Frozen parameters and frozen statistics stay bit for bit.
    """
    network, entry = construct.build(name, 5, seed=1), zoo.ZOO[name]
    k = SMALLEST.get(name, 2 * entry.stride)
    x = torch.randn(2, 3, k, k).contiguous(memory_format=torch.channels_last)
    torch.manual_seed(0)  # dropout
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            # After one step the statistics are this batch's: random weights do not blow up later.
            module.momentum = 1.0
    step(network.train(), (x,), list(network.parameters()))
    for layers in LAYERS:
        before = {n: t.clone() for n, t in network.state_dict().items()}
        parts = adapt_last_layers(network, entry, layers, k)
        trained = nn.ModuleList(parts.trained)
        parameters = [p for p in network.parameters() if p.requires_grad]
        assert {id(p) for p in trained.parameters()} == {id(p) for p in parameters}
        tensors = trained.state_dict().values()
        assert len(tensors) == len({t.data_ptr() for t in tensors})  # nothing is listed twice
        with torch.no_grad():
            frontier = parts.trunk(x)
        kept = [a.clone() for a in frontier]
        step(parts.head, frontier, parameters)
        assert all(torch.equal(a, b) for a, b in zip(frontier, kept, strict=True))
        changed = {n for n, t in network.state_dict().items() if not torch.equal(t, before[n])}
        may = allowed(network, name, layers)
        assert {n for n in changed if not any(n.startswith(f"{m}.") for m in may)} == set()
        assert {m for m in may if any(n.startswith(f"{m}.") for n in changed)} == may
    network.eval()
    parts.head.eval()
    with torch.no_grad():
        logits, frontier = network(x), parts.trunk(x)
        assert torch.equal(parts.head(*frontier), logits)
        assert torch.equal(parts.head(*frontier), logits)  # what was cached can be used again


@pytest.mark.parametrize("name", LARGE)
def test_the_widest_networks_train_and_split_without_their_numbers(outlines, name):
    """Up to 829 million parameters, on the meta device: shapes, graph and gradients, no values."""
    network, entry = outlines[name], zoo.ZOO[name]
    x = torch.zeros(2, 3, 64, 64, device="meta")
    step(network.train().requires_grad_(True), (x,), list(network.parameters()))
    for layers in LAYERS:
        parts = adapt_last_layers(network, entry, layers, 64)
        parameters = [p for p in network.parameters() if p.requires_grad]
        with torch.no_grad():
            frontier = parts.trunk(x)
        step(parts.head, frontier, parameters)
        may = allowed(network, name, layers)
        changing = {n for n, p in network.named_parameters() if p.requires_grad}
        named = {n for n, _ in network.named_parameters()}
        assert changing == {n for n in named if any(n.startswith(f"{m}.") for m in may)}
        training = {n for n, m in network.named_modules() if m.training}
        inside = {n for n in training if any(n == m or n.startswith(f"{m}.") for m in may)}
        assert training - inside == set()


@pytest.mark.parametrize("name", ["pnasnetq", "senet14q"])  # dropout as a layer, and as a function
@pytest.mark.parametrize("layers", LAYERS)
def test_dropout_before_the_classifier_is_active_while_it_trains(name, layers):
    network = construct.build(name, 5, seed=1)
    parts = adapt_last_layers(network, zoo.ZOO[name], layers, 32)
    frontier = parts.trunk(torch.randn(8, 3, 32, 32))
    for module in parts.trained:
        module.eval()
    with torch.no_grad():
        a, b = parts.head(*frontier), parts.head(*frontier)
    assert not torch.equal(a, b)
    for module in parts.dropouts:
        module.eval()
    with torch.no_grad():
        assert torch.equal(parts.head(*frontier), parts.head(*frontier))


@pytest.mark.parametrize("classes", [24, 200])  # of the embedded scale, and of Tiny-ImageNet
def test_twins_are_in_the_order_of_the_full_networks(classes):
    """By parameters, counted. What is called larger is larger, and small enough for two cores."""
    by_size = sorted(FULL, key=counting.parameters_of)
    twins = list(dict.fromkeys(zoo.ZOO[name].twin for name in by_size))
    networks = [construct.outline(name, classes) for name in twins]
    sizes = [sum(p.numel() for p in network.parameters()) for network in networks]
    assert set(twins) == set(TWINS)
    assert sizes == sorted(set(sizes))
    assert sizes[-1] < 1_600_000


# --- the documentation --------------------------------------------------------------------------


def test_the_documented_table_is_the_zoo():
    assert zoo.markdown() in (ROOT / "docs/networks.md").read_text(encoding="utf-8")


def test_the_documented_way_to_add_a_network(monkeypatch):
    """The example of docs/networks.md, executed: the new name builds, splits and trains."""
    text = (ROOT / "docs/networks.md").read_text(encoding="utf-8")
    [example] = [block.split("```")[0] for block in text.split("```python\n")[1:]]
    monkeypatch.setattr(zoo, "ZOO", copy.copy(zoo.ZOO))
    before = set(zoo.ZOO)
    exec(example, vars(zoo) | {})
    [name] = set(zoo.ZOO) - before
    assert called(construct.outline(name, 1000), 96)[-1][2] == (1, 1000)
    network = construct.build(name, 5, 0)
    for layers in LAYERS:
        parts = adapt_last_layers(network, zoo.ZOO[name], layers, 64)
        parts.head(*parts.trunk(torch.zeros(2, 3, 64, 64))).sum().backward()
