"""What is found in a network that nothing was prepared for."""

import json
import os
from pathlib import Path

import pytest
import timm
import torch

from fixres.graph.custom import custom_entry
from fixres.graph.recommendation import possible
from fixres.jobs import JobError
from fixres.models import code, construct
from fixres.models.adapt import adapt_last_layers
from fixres.models.catalogue import zoo
from fixres.models.code import file_of
from fixres.models.custom import described, find

OWN = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=7):
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.b = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.after = nn.BatchNorm1d(8)
        self.unused = nn.Linear(8, num_classes)
        self.out = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.out(self.after(self.b(self.a(x)).mean((2, 3))))

def made(num_classes=7):
    return Net(num_classes)

class Looks(Net):
    def forward(self, x):
        y = self.a(x)
        if y.mean() > -1e9:  # no tracer knows
            x = self.b(y)
        return self.out(self.after((x.mean((2, 3)) + y.mean((2, 3)))))

class Counts(Net):
    def forward(self, x):
        n = x.size(0)
        return super().forward(x).view(n, -1)

def no_network():
    return 3

def no_norm():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
"""
NORMAL = {"mean": [0.5] * 3, "std": [0.5] * 3, "native": 64}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("timm:resnet18.a1_in1k", ("fc", "layer4.1.bn2", 32, True, 224, 0.95, True)),
        ("timm:test_resnet", ("fc", "layer4.0.bn2", 32, True, 160, 0.95, True)),
        ("timm:convnext_atto", ("head.fc", "head.norm", 32, True, 224, 0.875, False)),
        ("timm:test_vit", ("head", "norm", 16, True, 160, 0.95, False)),
        ("torchvision:resnet18", ("fc", "layer4.1.bn2", 32, True, 224, 0.875, True)),
        ("torchvision:vit_b_16", ("heads.head", "encoder.ln", 16, False, 224, 0.875, False)),
    ],
)
def test_what_is_found(source, expected):
    found = find(source, "none")
    keys = ("classifier", "last_norm", "stride", "any_size", "native", "crop_pct", "has_statistics")
    values = [getattr(found, key) for key in keys]
    assert values == [expected[0], [expected[1]], *expected[2:]]
    assert found.outputs == 1000
    assert "multiply-adds" in described(found)[0]


def test_a_transformer_of_timm_is_built_to_take_any_size():
    found = find("timm:vit_tiny_patch16_224", "none")
    assert found.options == {"dynamic_img_size": True}
    assert (found.stride, found.any_size) == (16, True)


def test_the_work_is_that_of_the_literature():
    assert find("torchvision:resnet18", "none").multiply_adds == pytest.approx(1.82e9, rel=0.02)


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine_net.py").write_text(OWN)
    return str(tmp_path)


def test_ones_own_code_is_looked_at_and_what_nobody_states_is_asked_for(mine):
    missing = r"native, mean, std cannot be found. Give --given native=… mean=… std=…"
    with pytest.raises(JobError, match=missing):
        find("python:mine_net:made", path=mine)
    found = find("python:mine_net:made", path=mine, given=NORMAL)
    # Not the layer that never runs, and not the batch-norm behind the pooling.
    assert (found.classifier, found.last_norm) == ("out", ["b.1"])
    assert (found.stride, found.outputs, found.any_size) == (4, 7, True)


def test_a_parameter_may_be_the_input_of_a_layer():
    assert find("timm:pit_ti_224", "none").classifier == "head"


def test_the_file_of_ones_own_code_is_found(tmp_path):
    """In the folder that is given; without one, where Python finds the module."""
    package = tmp_path / "nets" / "__init__.py"
    package.parent.mkdir()
    package.touch()
    assert file_of(str(tmp_path), "nets") == package
    assert file_of(str(tmp_path), "nets.mine") == tmp_path / "nets" / "mine.py"
    assert file_of("", "json") == Path(json.__file__)
    assert not file_of("", "no_such_package.mine").is_file()


@pytest.mark.parametrize(
    ("source", "how", "message"),
    [
        ("timm:resnet5", {}, "got 'resnet5'; nearest: resnet50"),
        ("timm:resnet18.b9", {}, r"unknown weights \(got b9, expected a1_in1k, "),
        ("torchvision:resnet17", {}, "got 'resnet17'; nearest: resnet"),
        ("torchvision:resnet18.V9", {}, r"got V9, expected IMAGENET1K_V1 or DEFAULT"),
        ("resnet18", {}, "expected timm:NAME"),
        ("timm:resnet18", {"given": {"klassifier": "fc"}}, "nearest: classifier"),
        ("timm:resnet18", {"given": {"classifier": "fcc"}}, "got 'fcc'; nearest: fc"),
        ("timm:resnet18", {"given": {"last_norm": ["bn9"]}}, "got 'bn9'; nearest: bn1"),
        ("timm:resnet18", {"given": {"stride": 32.5}}, "custom.network.stride: .*got 32.5"),
    ],
)
def test_what_cannot_be_is_named_with_what_there_is(source, how, message):
    with pytest.raises(JobError, match=message):
        find(source, "none", **how)


@pytest.mark.parametrize(
    ("source", "given", "message"),
    [
        ("python:no_such:made", {}, r"no module no_such in .*\. Give the folder"),
        ("python:mine_net:mad", {}, "got 'mad'; nearest: made"),
        ("python:mine_net:no_network", NORMAL, r"not return a network \(got int, expected torch"),
    ],
)
def test_ones_own_code_that_does_not_fit(mine, source, given, message):
    with pytest.raises(JobError, match=message):
        find(source, path=mine, given=given)


# --- networks without a norm, with two heads, and with sizes off their stride ---------------------


def test_of_a_network_without_a_normalisation_the_classifier_alone_is_fine_tuned(mine):
    for source in ("timm:test_nfnet", "python:mine_net:no_norm"):
        found = find(source, "none", mine, {} if source.startswith("timm") else NORMAL)
        assert (found.last_norm, found.has_statistics) == ([], False)
        assert described(found)[1].endswith("so only the classifier is fine-tuned")
        assert possible(found) == ["as it is", "classifier"]
    assert possible(find("timm:test_vit", "none")) == [
        "as it is",
        "classifier",
        "classifier + norm",
    ]
    # What a file says counts: its statistics are not estimated without a norm.
    assert possible(found.model_copy(update={"has_statistics": True})) == ["as it is", "classifier"]


TWO_HEADS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=6, chained=False):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU())
        self.width = nn.Linear(6, 6)  # of as many numbers as there are classes, and no classifier
        self.head, self.head_dist = nn.Linear(6, num_classes), nn.Linear(6, num_classes)

    def forward(self, x):
        x = self.stem(x)
        if x.mean() > -1e9:  # no tracer knows
            x = self.width(x.mean((2, 3)))
        return (self.head(x.relu()) + self.head_dist(x.tanh())) / 2
"""


def test_two_heads_side_by_side_are_both_found_and_both_train(tmp_path):
    (tmp_path / "two_heads.py").write_text(TWO_HEADS)
    found = find("python:two_heads:Net", path=str(tmp_path), given=NORMAL)
    assert (found.classifier, found.other_heads) == ("head_dist", ["head"])
    assert "classifier: head_dist and head; " in described(found)[1]
    entry = custom_entry(found)
    network = construct.build(zoo.entry_of({"network": "x", "entry": entry}), 6, 0)
    adaptation = adapt_last_layers(
        network, zoo.entry_of({"network": "x", "entry": entry}), ["classifier"], 32
    )
    assert adaptation.trained == [network.head_dist, network.head]
    x = torch.randn(3, 3, 32, 32)
    activations = adaptation.trunk(x)
    assert [tuple(a.shape) for a in activations] == [(3, 6), (3, 6)]
    assert torch.equal(adaptation.head(*activations), network.eval()(x))
    adaptation.head(*activations).sum().backward()
    assert all(module.weight.grad is not None for module in adaptation.trained)


def test_a_distilled_transformer_of_timm_is_fixed_as_it_is():
    found = find("timm:deit_tiny_distilled_patch16_224", "none")
    assert (found.classifier, found.other_heads) == ("head_dist", ["head"])
    assert (found.last_norm, found.options) == (["norm"], {"dynamic_img_size": True})


def test_the_key_of_another_head_is_part_of_an_entry_only_where_there_is_one():
    """The jobs of all other networks keep their resolved configuration."""
    entry = custom_entry(find("timm:test_resnet", "none"))
    assert not {"other_heads", "off_stride"} & set(entry)


def test_heads_of_a_file_are_fresh_or_missing_together(tmp_path):
    (tmp_path / "two_heads.py").write_text(TWO_HEADS)
    whole = construct.call("python:two_heads:Net", 6, str(tmp_path), {}).state_dict()
    file = tmp_path / "w.pth"
    torch.save({n: t for n, t in whole.items() if not n.startswith("head")}, file)
    where = ("python:two_heads:Net", str(file), str(tmp_path), NORMAL)
    with pytest.raises(
        JobError, match=r"no classifier in it \(missing head\.weight, head\.bias, head_"
    ):
        find(*where)
    assert find(*where, headless=True).other_heads == ["head"]


@pytest.mark.parametrize(
    ("source", "takes"), [("timm:test_resnet", True), ("timm:test_vit", False)]
)
def test_whether_sizes_off_the_stride_are_taken_is_tried(source, takes):
    assert find(source, "none").off_stride is takes


# --- what must be known before minutes of work ---------------------------------------------------


def test_a_network_that_cannot_be_cut_is_refused_when_it_is_looked_at(mine):
    find("python:mine_net:Counts", path=mine, given=NORMAL)
    with pytest.raises(JobError, match=r"Looks: cannot be cut at b\.1"):
        find("python:mine_net:Looks", path=mine, given=NORMAL)


def test_the_number_of_classes_is_that_of_the_files_classifier(tmp_path, capsys, mine):
    state = timm.create_model("test_resnet", num_classes=12).state_dict()
    file = tmp_path / "w.pth"
    torch.save({f"module.{name}": t for name, t in state.items()}, file)
    assert find("timm:test_resnet", str(file)).outputs == 12
    said = capsys.readouterr()
    assert f"{file}: its classifier is for 12 classes" in said.out
    assert said.err.count("stripped the prefix module. of all names") == 1
    with pytest.raises(JobError, match="the classifier is for 12 classes, expected 9"):
        find("timm:test_resnet", str(file), given={"outputs": 9})
    torch.save(construct.call("python:mine_net:made", 5, mine, {}).state_dict(), file)
    assert find("python:mine_net:made", str(file), mine, NORMAL).outputs == 5


def test_weights_that_do_not_fit_are_known_when_the_network_is_looked_at(tmp_path):
    state = timm.create_model("test_resnet", num_classes=0).state_dict()
    file = tmp_path / "w.pth"
    torch.save(state, file)
    with pytest.raises(JobError, match=r"w\.pth: no classifier in it .*custom\.train"):
        find("timm:test_resnet", str(file))
    assert find("timm:test_resnet", str(file), headless=True).outputs == 1000
    torch.save({"conv1.weight": torch.ones(1)}, file)
    with pytest.raises(JobError, match=r"w\.pth: does not fit ResNet: missing "):
        find("timm:test_resnet", str(file), headless=True)
    with pytest.raises(JobError, match=r"--weights: no such file \(got '.*none\.pth', expected"):
        find("timm:test_resnet", str(tmp_path / "none.pth"))


# --- the user's code misbehaves ------------------------------------------------------------------

BAD = {
    "exits": ("import sys\nsys.exit(3)", "its code exits with 3 .*/bad_exits.py, line 2.. Move"),
    "parses": (
        "import argparse\np = argparse.ArgumentParser()\np.error('no data')",
        r"its code exits with 2 .*/bad_parses.py, line 3",
    ),
    "moves": ("import os\nos.chdir('/')", "its code changes the current folder"),
    "syntax": ("def made(:\n  pass", r"/bad_syntax.py, line 1: invalid syntax. Correct the file"),
    "raises": ("1 / 0", r"its code fails with ZeroDivisionError: .*/bad_raises.py, line 1"),
    "lacks": ("import no_such_thing", r"imports no_such_thing, which is not installed .*line 1"),
    "later": ("def made():\n import os; os.chdir('/')", "its code changes the current folder"),
    "later_exit": ("def made():\n raise SystemExit('bye')", "its code exits with 'bye'"),
    "later_lacks": ("def made():\n import no_such_thing", "imports no_such_thing, which is not"),
    "prints": ("raise ValueError('\\x1b[31m\\nerror')", r"ValueError: \\x1b\[31m \("),
    "forward": (
        "import torch\nclass made(torch.nn.Linear):\n"
        " def __init__(self): super().__init__(1, 1)\n"
        " def forward(self, x): raise SystemExit('bye')",
        r"a forward pass of one crop of 64×64 px fails \(bye\)",
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_code_that_misbehaves_is_one_message(tmp_path, bad):
    text, message = BAD[bad]
    (tmp_path / f"bad_{bad}.py").write_text(text)
    folder = os.getcwd()
    with pytest.raises(JobError, match=message) as error:
        find(f"python:bad_{bad}:made", path=str(tmp_path), given=NORMAL)
    assert os.getcwd() == folder
    assert "\n" not in str(error.value)


def test_code_that_changed_after_the_plan_does_not_run(tmp_path):
    (tmp_path / "planned_net.py").write_text(f"import planned_parts\n{OWN}")
    (tmp_path / "planned_parts.py").touch()
    entry = {"source": "python:planned_net:made", "path": str(tmp_path), "options": {}}
    entry |= {"stride": 4, "classifier": "out", "last_norm": ["b.1"], **NORMAL}
    entry["code"] = code.digest(str(tmp_path), "planned_net")
    network = zoo.entry_of({"network": "mine", "entry": entry})
    (tmp_path / "planned_parts.py").write_text("# edited\n")
    with pytest.raises(JobError, match="planned_net:made: its code changed after this job was pl"):
        construct.build(network, 7, 0)
    (tmp_path / "planned_parts.py").write_text("")
    construct.build(network, 7, 0)
    (tmp_path / "planned_parts.py").write_text("# edited while the job runs\n")
    construct.build(network, 7, 0)
