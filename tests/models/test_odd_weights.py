"""Checkpoints as people have them: wrapped, prefixed, without a classifier, or full of odd numbers.

What can be read is read, and the log says how; the rest is refused by name, in one message.
"""

import argparse
import collections
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import torch

from bench import same
from fetching import CLASSES, NETWORK, configuration, fetch
from fixres.__main__ import _print_message
from fixres.artifacts import weights
from fixres.jobs import JobError
from fixres.models import construct, published
from fixres.stages import pretrained

BN = "layer2.bn1"


def saved(folder, content):
    torch.save(content, folder / "a.pth")
    return fetch(folder, {"file": str(folder / "a.pth")})[0]


# --- how they are wrapped ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "model._orig_mod.", "module.model.", "net.0."]
)
def test_a_prefix_of_all_names_is_stripped_and_said(tmp_path, state, capsys, prefix):
    assert same(saved(tmp_path, {prefix + name: t for name, t in state.items()}), state)
    assert f"a.pth: stripped the prefix {prefix} of all names" in capsys.readouterr().err


def test_an_averaged_model_has_a_counter_beside_the_network(tmp_path, state):
    averaged = {f"module.{name}": t for name, t in state.items()}
    found = saved(tmp_path, {"model_ema": {"n_averaged": torch.tensor(7), **averaged}})
    assert same(found, state)


# --- as training scripts write them --------------------------------------------------------------


def of_timm(state):
    """timm/utils/checkpoint_saver.py, with --model-ema."""
    args = argparse.Namespace(model="resnet18", output=pathlib.Path("out"), lr=0.1, amp=True)
    kept = {"epoch": 3, "arch": "resnet18", "version": 2, "args": args, "metric": 76.0}
    kept |= {"optimizer": {"state": {0: {"step": torch.ones(1)}}}, "amp_scaler": {"scale": 2.0}}
    return kept | {"state_dict": state, "state_dict_ema": {n: 0 * t for n, t in state.items()}}


def of_torchvision(state):
    """references/classification/train.py, with --model-ema: the average is in a wrapper."""
    args = argparse.Namespace(model="resnet18", output_dir=".", device=torch.device("cpu"))
    ema = {"n_averaged": torch.tensor(7)} | {f"module.{n}": 0 * t for n, t in state.items()}
    kept = {"optimizer": {}, "lr_scheduler": {"last_epoch": 3}, "epoch": 3, "args": args}
    return {"model": state, "model_ema": ema, "scaler": {"scale": 2.0}} | kept


def of_lightning(state, name="model"):
    """A Trainer's: names of the LightningModule, with a loss and a second network beside it."""
    module = {f"{name}.{n}": t for n, t in state.items()}
    module |= {"criterion.weight": torch.ones(24), "train_acc.total": torch.zeros(())}
    module |= {f"a_teacher.net.{n}": 0 * t for n, t in state.items()}
    kept = {"epoch": 3, "global_step": 300, "pytorch-lightning_version": "2.5.0", "loops": {}}
    hyper = {"args": argparse.Namespace(lr=0.1), "root": pathlib.PurePosixPath("/data")}
    callbacks = {"ModelCheckpoint{'monitor': 'val_acc'}": {"best_model_score": np.float64(76.0)}}
    return kept | {"state_dict": module, "hyper_parameters": hyper, "callbacks": callbacks}


WRITTEN = {
    "timm": of_timm,
    "torchvision": of_torchvision,
    "lightning, model": of_lightning,
    "lightning, net": lambda state: of_lightning(state, "net"),
    "lightning, compiled": lambda state: of_lightning(state, "model._orig_mod"),
}


@pytest.mark.parametrize("script", WRITTEN)
@pytest.mark.parametrize("suffix", [".pth.tar", ".ckpt"])
def test_checkpoints_of_training_scripts_are_read(tmp_path, state, capsys, script, suffix):
    file = tmp_path / f"last{suffix}"
    torch.save(WRITTEN[script](state), file)
    assert same(fetch(tmp_path, {"file": str(file)})[0], state)
    said = capsys.readouterr().err
    if script in ("timm", "torchvision"):
        assert "_ema'. To use it instead, save it to its own file: python -c" in said
    else:
        assert "of the network's names\n" in said
        assert "tensors with other names (criterion.weight, …; among them a_teacher.net.," in said


def test_two_whole_networks_are_refused_by_name(tmp_path, state):
    two = {f"{name}.{n}": t for name in ("student", "teacher") for n, t in state.items()}
    with pytest.raises(JobError, match=r"under several prefixes, student\., teacher\. \(expected"):
        saved(tmp_path, two)


def test_what_is_read_beside_the_weights_runs_nothing(tmp_path):
    """A class of the list is replaced; what is no such class is refused."""
    torch.save({"model": {"a": torch.ones(1)}, "path": pathlib.Path("x")}, tmp_path / "a.pth")
    with torch.serialization.safe_globals([(published._Inert, name) for name in published.BESIDE]):
        read = torch.load(tmp_path / "a.pth", weights_only=True)
    assert type(read["path"]) is published._Inert
    assert vars(read["path"]) == {}
    torch.save({"model": {"a": torch.ones(1)}, "f": pathlib.Path("x").touch}, tmp_path / "b.pth")
    with pytest.raises(JobError, match="refused, because it holds code in addition to tensors"):
        published.read(tmp_path / "b.pth")


def test_a_prefix_that_is_the_networks_own_stays():
    network = torch.nn.Sequential(collections.OrderedDict(model=torch.nn.Linear(2, 2)))
    found = {f"model.{name}": torch.ones(2) for name in ("weight", "bias")}
    assert published.without_prefix(found, network, "a.pth") is found


def test_other_names_are_shown_beside_those_that_are_missing(tmp_path, state):
    names = list(state)[1:]  # without the first, nothing here is the whole network
    with pytest.raises(JobError, match=r"missing conv1\.weight; unexpected other\.x; missing bn1"):
        saved(tmp_path, {"other.x": torch.ones(1)} | {f"m.{n}": state[n] for n in names})


def test_which_of_two_dictionaries_is_said_and_how_to_take_the_other(
    tmp_path, state, capsys, monkeypatch
):
    ema = {name: t + 1 if t.is_floating_point() else t for name, t in state.items()}
    content = {"state_dict": state, "state_dict_ema": {f"module.{n}": t for n, t in ema.items()}}
    assert same(saved(tmp_path, content | {"optimizer": {"state": {0: torch.ones(2)}}}), state)
    said = capsys.readouterr().err
    assert "a.pth: using the weights under 'state_dict'" in said
    [way] = [line for line in said.splitlines() if "it also holds" in line]
    assert "it also holds 'state_dict_ema'" in way
    monkeypatch.setenv("PATH", f"{sys.prefix}/bin:/usr/bin:/bin")
    subprocess.run(way.partition("save it to its own file: ")[2], shell=True, check=True)
    assert same(fetch(tmp_path, {"file": str(tmp_path / "a-state_dict_ema.pth")})[0], ema)


def test_under_another_key_the_largest_is_taken(tmp_path, state, capsys):
    rng = {"cpu": torch.zeros(3)}
    assert same(saved(tmp_path, {"rng": rng, "net": state, "head": {"w": rng["cpu"]}}), state)
    said = capsys.readouterr().err
    assert "using the weights under 'net'" in said
    assert "it holds" not in said


def test_a_dictionary_that_holds_itself_is_no_network(tmp_path):
    content: dict = {"epoch": 1}
    content["model"] = content
    with pytest.raises(JobError, match="no network in it"):
        saved(tmp_path, content)


# --- what they hold ------------------------------------------------------------------------------


def quantised(_: torch.Tensor) -> torch.Tensor:
    return torch.quantize_per_tensor(torch.rand(128), 0.1, 0, torch.qint8)


ODD = {
    "NaN": (
        lambda t: t.index_fill(0, torch.tensor([1]), torch.nan),
        "has 1 number.s. that are not",
    ),
    "infinite": (lambda t: t / 0, r"has \d+ number.s. that are not finite, of"),
    "too large for float32": (lambda t: t.double() + 1e300, r"has \d+ number.s. that are not"),
    "int8": (lambda t: t.to(torch.int8), "is int8"),
    "bool": (lambda t: t > 0, "is bool"),
    "complex": (lambda t: t.to(torch.complex64), "is complex64"),
    "float8": (lambda t: t.to(torch.float8_e5m2), "is float8_e5m2"),
    "sparse": (lambda t: t.to_sparse(), "is sparse"),
    "meta": (lambda t: t.to("meta"), "has no values"),
    "quantised": (quantised, "is quantised"),
    "a number": (lambda t: 3.0, "is not a tensor but of the type float"),
    "nothing": (lambda t: None, "is not a tensor but of the type NoneType"),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.filterwarnings("ignore")
def test_what_is_no_finite_number_is_refused_by_name(tmp_path, state, odd):
    damage, message = ODD[odd]
    name = f"{BN}.running_mean"
    with pytest.raises(JobError, match=rf"a\.pth: '?{name}'? {message}") as error:
        saved(tmp_path, state | {name: damage(state[name])})
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out/weights.safetensors").exists()


@pytest.mark.parametrize(
    ("variance", "message"),
    [(lambda t: -t, "has a negative variance"), (torch.zeros_like, "has no variance in any")],
)
def test_a_variance_is_positive(tmp_path, state, variance, message):
    name = f"{BN}.running_var"
    with pytest.raises(JobError, match=f"{name} {message}"):
        saved(tmp_path, state | {name: variance(state[name])})
    some = state[name].clone()
    some[0] = 0  # a channel that is always 0
    saved(tmp_path, state | {name: some})


def test_counters_may_be_of_any_type(tmp_path, state):
    """They play no part, and whoever halves a network may have halved them, too."""
    halved = {n: t.half() if n.endswith("tracked") else t for n, t in state.items()}
    counters = {n: t for n, t in saved(tmp_path, halved).items() if n.endswith("tracked")}
    assert counters
    assert all(t.dtype == torch.int64 and t == 0 for t in counters.values())


def test_keys_that_are_no_text(tmp_path, state):
    with pytest.raises(JobError, match=r"a\.pth: 3 \(a key\) is not a string but of the type int"):
        saved(tmp_path, state | {3: torch.ones(1)})


def test_weights_of_an_earlier_job_are_looked_at_too(tmp_path, state):
    """Also those that a former version has let pass."""
    bad = state | {"conv1.weight": state["conv1.weight"] * torch.nan}
    weights.save(tmp_path / "w.safetensors", bad)
    with pytest.raises(JobError, match=r"w\.safetensors: conv1\.weight has 432 number"):
        weights.load_into(construct.build(NETWORK, CLASSES, 0), tmp_path / "w.safetensors")


@pytest.mark.parametrize("content", ["key", "wrapper", "type"])
def test_control_characters_do_not_reach_the_terminal(tmp_path, state, capfd, content):
    escape = "\x1b[31m\x1b]0;owned\x07\u202e\nerror: "
    file = {
        "key": state | {f"conv{escape}": torch.ones(1)},
        "wrapper": {f"a{escape}": {f"{escape}.{n}": t for n, t in state.items()}},
        "type": {f"a{escape}": 3},
    }[content]
    torch.save(file, tmp_path / "a.pth")
    config = configuration({"file": str(tmp_path / "a.pth")})
    (tmp_path / "config.json").write_text(json.dumps(config))
    words = ["--config", tmp_path / "config.json", "--out", tmp_path / "out/weights.safetensors"]
    try:
        pretrained.main([*map(str, words)])
    except JobError as error:
        _print_message(str(error))
    out, err = capfd.readouterr()
    assert "owned" in err
    assert not set("\x1b\x07\u202e") & set(out + err)
    assert "\nerror: " not in err


# --- without a classifier ------------------------------------------------------------------------


def headless(folder, state, **more) -> dict[str, torch.Tensor]:
    torch.save(state, folder / "a.pth")
    content = configuration({"file": str(folder / "a.pth")}) | more
    (folder / "config.json").write_text(json.dumps(content))
    out = folder / "weights.safetensors"
    pretrained.main(["--config", str(folder / "config.json"), "--out", str(out)])
    return weights.load(out)[0]


@pytest.mark.parametrize("classifier", [None, 1000])
def test_a_backbone_will_do_where_the_classifier_is_fresh(tmp_path, state, classifier):
    rest = {name: t for name, t in state.items() if not name.startswith("fc.")}
    own = {"fc.weight": torch.ones(classifier, 128)} if classifier else {}
    assert same(headless(tmp_path, rest | own, headless=True), rest)
    network = construct.build(NETWORK, 5, seed=9)
    weights.load_into(network, tmp_path / "weights.safetensors", fresh="fc")
    assert torch.equal(network.conv1.weight, rest["conv1.weight"])


def test_a_backbone_alone_is_refused_with_what_to_do(tmp_path, state):
    rest = {name: t for name, t in state.items() if not name.startswith("fc.")}
    expected = (
        r"a\.pth: no classifier in it \(missing fc\.weight, fc\.bias\)\. Give .*custom\.train"
    )
    with pytest.raises(JobError, match=expected):
        headless(tmp_path, rest)
