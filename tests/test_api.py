"""`import fixres`: the numbers of the jobs, on a module and images that a program holds."""

import copy
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torchvision.datasets import ImageFolder

import fixres
from bench import EVALUATE, FINETUNE, Bench, same
from fixres.artifacts import per_image, weights
from fixres.config import FineTuning
from fixres.config.recipes import FINE_TUNING
from shared import ENVIRONMENT, TEST_RESNET, textured

NORMAL = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "crop_pct": 0.95}
ENTRY = TEST_RESNET | {"options": {}, "path": "", "title": ""}
MINE = {"network": "mine", "entry": ENTRY}
QUICK = {"epochs": 2, "lr": 0.05, "batch_size": 12}


@pytest.fixture(scope="module")
def module(tiny) -> nn.Module:
    """A network with random weights, in train mode as in the middle of a training."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        module = timm.create_model("test_resnet", num_classes=len(tiny.classes))
        for name, tensor in module.state_dict().items():
            if name.endswith("running_mean"):
                tensor.normal_(0, 0.1)
    return module.train()


@pytest.fixture(scope="module")
def folders(tiny) -> dict[str, ImageFolder]:
    """torchvision's view of the same files, in the order of the manifest."""
    found = {split: ImageFolder(tiny.folder / split) for split in ("train", "val")}
    for split, folder in found.items():
        assert [path for path, _ in folder.samples] == tiny.files(tiny.rows(split))
    return found


# --- the numbers of the jobs ---------------------------------------------------------------------


def test_accuracies_and_fixed_weights_are_those_of_the_jobs(module, folders, tiny, tmp_path):
    """An evaluation of the network and a fine-tuning of it, as `fixres recommend` plans them."""
    bench, start = Bench(tmp_path, tiny), tmp_path / "start.safetensors"
    weights.save(start, module.state_dict(), {"run": "runs/tiny/mine"})
    fp32 = ("--weights", start, "--precision", "fp32", "--loader", "pillow")

    config = EVALUATE | MINE | {"k_test": [48, 64], "crop_pct": [0.95]}
    bench.run(config, *fp32, out="metrics.json")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    hits = per_image.load(tmp_path / "hits.npz", metrics["hits"]).values
    measured = fixres.accuracy(module, folders["val"], [64, 48], **NORMAL)
    assert list(measured) == [64, 48]
    for k, ours in measured.items():
        assert ours.top1 == metrics["k_test"][str(k)]["top1@0.95"]
        assert np.array_equal(ours.hits, hits[f"top1@0.95 {k}"])
        assert 0 <= ours.low <= ours.top1 <= ours.high <= 100
        # Not only who is right: with the job's predictions as labels, all are.
        with np.load(tmp_path / f"predictions/k{k}@0.95.npz") as archive:
            said = archive["top"][:, 0].tolist()
        images = [image for image, _ in folders["val"]]
        relabelled = Pairs(*zip(images, said, strict=True))
        assert fixres.accuracy(module, relabelled, k, **NORMAL)[k].hits.all()

    recipe = FineTuning(**FINE_TUNING | QUICK).model_dump()
    recipe = {key: recipe[key] for key in recipe.keys() - {"layers", "augmentation", "jitter"}}
    looks = {"name": "test DA", "crop_pct": 0.95}
    bench.run(FINETUNE | MINE | {"recipe": recipe, "augmentation": looks}, *fp32)
    fixed = fixres.fix(module, folders["train"], 48, **NORMAL, **QUICK)
    assert same(bench.read(), fixed.state_dict())
    assert not fixed.training
    changed = {n for n, t in module.state_dict().items() if not torch.equal(t, bench.read()[n])}
    assert {name.rpartition(".")[0] for name in changed} == {"fc", "layer4.0.bn2"}


def test_streamed_and_with_threads_the_weights_are_the_same(module, folders, capfd):
    once = fixres.fix(module, folders["train"], 32, "cls", **NORMAL, **QUICK)
    assert capfd.readouterr() == ("", "")
    how = {"cache_gb": 0, "workers": 2, "progress": True}
    again = fixres.fix(module, folders["train"], 32, "cls", **NORMAL, **QUICK, **how)
    assert same(once.state_dict(), again.state_dict())
    assert "streamed" in capfd.readouterr().err
    other = fixres.fix(module, folders["train"], 32, "cls", **NORMAL, **QUICK, seed=1)
    assert not same(once.state_dict(), other.state_dict())


def test_the_module_and_torch_stay_as_they_were(module, folders):
    before, random = copy.deepcopy(module.state_dict()), torch.get_rng_state()
    module.layer1.requires_grad_(False)
    needs = [p.requires_grad for p in module.parameters()]
    with torch.no_grad():
        fixres.accuracy(module, folders["val"], 32, **NORMAL)
        fixed = fixres.fix(module, folders["val"], 32, **NORMAL, **QUICK)
    assert same(before, module.state_dict())
    assert [p.requires_grad for p in module.parameters()] == needs
    assert [p.requires_grad for p in fixed.parameters()] == needs
    assert all(m.training for m in module.modules())
    assert torch.equal(random, torch.get_rng_state())


# --- accuracies ----------------------------------------------------------------------------------


class Pairs:
    """The simplest dataset: what a program has in a list."""

    def __init__(self, *pairs: tuple):
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple:
        return self.pairs[index]


class Brightness(nn.Module):
    """Class 1 where the crop is brighter than its neighbour class says."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bright = x.mean((1, 2, 3))
        return torch.stack([torch.zeros_like(bright), bright, bright - 2], 1)


PAIRS = Pairs(*((textured(30, 40, i), i % 2) for i in range(8)))
PLAIN = {"mean": (0.5,) * 3, "std": (1.0,) * 3}


def test_a_difference_is_paired():
    found = fixres.accuracy(Brightness(), PAIRS, [16, 24], **PLAIN)
    same_twice = found[16] - found[16]
    assert (same_twice.points, same_twice.low, same_twice.high) == (0, 0, 0)
    assert str(same_twice) == "+0.0 (+0.0 to +0.0)"
    assert re.fullmatch(r"Accuracy\([\d.]+ \([\d.]+ to [\d.]+\), 8 images\)", repr(found[16]))
    others = fixres.accuracy(Brightness(), Pairs(*PAIRS.pairs[:4]), 16, **PLAIN)
    with pytest.raises(ValueError, match="of 8 and of 4 images"):
        found[16] - others[16]
    assert (found[16].labels == [0, 1] * 4).all()


def test_only_the_logits_of_some_classes_count():
    white = Pairs(*((textured(30, 40, i).point(lambda _: 255), 2) for i in range(3)))
    all_classes = fixres.accuracy(Brightness(), white, 16, **PLAIN)[16]
    some = fixres.accuracy(Brightness(), white, 16, **PLAIN, classes=[2])[16]
    assert (all_classes.top1, some.top1) == (0, 100)


def test_timm_states_normalisation_and_crop_pct(module, folders):
    stated = fixres.accuracy(module, folders["val"], 64)[64]
    cfg = {key: module.pretrained_cfg[key] for key in ("mean", "std", "crop_pct")}
    assert np.array_equal(stated.hits, fixres.accuracy(module, folders["val"], 64, **cfg)[64].hits)


# --- your own training loop -----------------------------------------------------------------------


def test_adapt_leaves_the_last_layers_to_a_loop(module):
    network, x = copy.deepcopy(module), torch.randn(4, 3, 48, 48)
    adapted = fixres.adapt(network, 48)
    assert adapted.layers == ["layer4.0.bn2", "fc"]
    trained = [p for p in network.parameters() if p.requires_grad]
    assert {id(p) for p in trained} == {id(p) for p in adapted.parameters}
    activations = adapted.trunk(x)
    before = copy.deepcopy(network.state_dict())
    loss = nn.functional.cross_entropy(adapted.head(*activations), torch.tensor([0, 1, 2, 0]))
    loss.backward()
    torch.optim.SGD(adapted.parameters, lr=0.1).step()
    changed = {n for n, t in network.state_dict().items() if not torch.equal(t, before[n])}
    assert {name.rpartition(".")[0] for name in changed} == {"layer4.0.bn2", "fc"}
    network.eval()
    with torch.no_grad():
        assert torch.equal(adapted.head(*activations), network(x))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("test_vit", ["norm", "head"]), ("test_efficientnet", ["bn2", "classifier"])],
)
def test_networks_of_other_kinds(name, expected):
    """A transformer with its LayerNorm, at another size than it was made for; mobile blocks."""
    options = {"dynamic_img_size": True} if name == "test_vit" else {}
    network = timm.create_model(name, num_classes=3, **options)
    adapted, x = fixres.adapt(network, 64), torch.randn(2, 3, 64, 64)
    assert adapted.layers == expected
    network.eval()
    with torch.no_grad():
        assert torch.equal(adapted.head(*adapted.trunk(x)), network(x))


def test_all_heads_of_a_network_that_averages_them_are_fixed(folders, tiny):
    """As `fixres recommend` does with a distilled DeiT; a width of as many units is no head."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        size = {"img_size": 32, "depth": 2, "num_classes": len(tiny.classes)}
        network = timm.create_model("deit_tiny_distilled_patch16_224", **size)
    adapted = fixres.adapt(copy.deepcopy(network), 32)
    assert adapted.layers == ["norm", "head_dist", "head"]
    assert len(adapted.parameters) == 6
    fixed = fixres.fix(network, folders["train"], 32, **NORMAL, **QUICK)
    before = network.state_dict()
    changed = {n for n, t in fixed.state_dict().items() if not torch.equal(t, before[n])}
    assert {name.rpartition(".")[0] for name in changed} == {"norm", "head_dist", "head"}
    narrow = nn.Sequential(nn.Flatten(), nn.Linear(48, 5), nn.ReLU(), nn.Linear(5, 5))
    assert fixres.adapt(narrow, 4, "cls").layers == ["3"]


def test_adapt_finds_what_it_is_told(module):
    adapted = fixres.adapt(copy.deepcopy(module), 32, last_norm=["layer4.0.bn1"], classifier="fc")
    assert adapted.layers == ["layer4.0.bn1", "fc"]
    assert fixres.adapt(copy.deepcopy(module), 32, "cls").layers == ["fc"]


# --- messages ------------------------------------------------------------------------------------


class NoNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(x).mean((2, 3)))


class Opened:
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple:
        raise OSError("no such file")


IMAGE = textured(20, 20)
WRONG = [
    (Brightness(), PAIRS, 16, {}, "mean and std: the input normalisation of a Brightness is"),
    (Brightness(), PAIRS, 0, PLAIN, "k_test.0: .*got 0"),
    (Brightness(), PAIRS, [16, 16], PLAIN, "k_test: .*duplicate value 16"),
    (Brightness(), PAIRS, 16, PLAIN | {"mean": (123.7, 116.3, 103.5)}, "divide numbers for pixels"),
    (Brightness(), PAIRS, 16, PLAIN | {"crop_pct": 87.5}, "crop_pct: .*got 87.5"),
    (Brightness(), PAIRS, 16, PLAIN | {"classes": [3]}, "classes: found 3, expected 0 to 2"),
    (Brightness(), PAIRS, 16, PLAIN | {"device": "cuda:99"}, "device cuda:99: .*torch finds"),
    (Brightness(), PAIRS, 16, PLAIN | {"batch_size": 0}, "batch_size: .*got 0"),
    (
        Brightness(),
        iter([]),
        16,
        PLAIN,
        "dataset: .*got a list_iterator, expected an object with len",
    ),
    (Brightness(), Pairs(), 16, PLAIN, "dataset: no images"),
    (
        Brightness(),
        Pairs((IMAGE, 3)),
        16,
        PLAIN,
        r"dataset\[0\]: label out of range .got 3, expected 0 to 2",
    ),
    (
        Brightness(),
        Pairs((IMAGE, 0.5)),
        16,
        PLAIN,
        r"dataset\[0\]: .*expected \(PIL image, label\)",
    ),
    (Brightness(), Pairs((torch.ones(3), 0)), 16, PLAIN, "got a Tensor.* without a transform"),
    (Brightness(), Opened(), 16, PLAIN, r"dataset\[0\]: .*OSError: no such file"),
    (nn.Conv2d(3, 4, 3), PAIRS, 16, PLAIN, r"module: Conv2d gives \(1, 4, 14, 14\)"),
    (nn.Conv2d(3, 4, 30), PAIRS, 16, PLAIN, "k_test 16: a forward pass of one crop of 16×16 px"),
    (NoNorm().half(), PAIRS, 16, PLAIN, "module: conv.weight is torch.float16.* module.float()"),
    ("resnet18", PAIRS, 16, PLAIN, "module: .*got str"),
]


@pytest.mark.parametrize(("module", "dataset", "k", "how", "message"), WRONG)
def test_what_is_wrong_is_a_value_error(module, dataset, k, how, message):
    with pytest.raises(ValueError, match=message):
        fixres.accuracy(module, dataset, k, **how)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"layers": "all"}, "layers: .*got 'all', expected 'cls' or 'cls\\+bn'"),
        ({}, "last_norm: none found in NoNorm. Give last_norm=.* or layers='cls'"),
        ({"layers": "cls", "classifier": "fd"}, "got 'fd'; nearest: fc"),
        ({"layers": "cls", "lr": -1}, "lr: .*got -1"),
        ({"layers": "cls", "batch_size": 9}, "batch_size: .*got 9, expected .* 8"),
        ({"layers": "cls", "lr": 1e30}, "at step .*the training has diverged. Lower lr"),
    ],
)
def test_a_fix_that_cannot_be_is_a_value_error(how, message):
    module = NoNorm()
    with pytest.raises(ValueError, match=message) as caught:
        fixres.fix(module, PAIRS, 16, **PLAIN, **how)
    assert "config" not in str(caught.value)


def test_an_adapt_that_fails_changes_nothing():
    module = NoNorm()
    with pytest.raises(ValueError, match="last_norm"):
        fixres.adapt(module, 16)
    assert all(m.training for m in module.modules())
    assert all(p.requires_grad for p in module.parameters())


def test_the_import_is_light():
    code = (
        "import sys, fixres; print(sorted({'torch', 'numpy', 'pydantic'} & set(sys.modules)), "
        "fixres.__version__, fixres.__all__ == [n for n in dir(fixres) if n in fixres.__all__]); "
        "assert not hasattr(fixres, 'nothing')"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert said.stdout.startswith("[] ")
    assert said.stdout.endswith("True\n")
