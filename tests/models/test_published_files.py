"""Published weights from files: every form is read, checked key by key, and refused by name."""

import hashlib
import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

from bench import same
from fetching import CLASSES, NETWORK, configuration, fetch
from fixres.artifacts import weights
from fixres.jobs import JobError
from fixres.models import construct
from fixres.stages import pretrained
from shared import Harmful, fixres


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("under", [None, "model", "state_dict"])
@pytest.mark.parametrize("suffix", [".pth", ".pth.tar", ".pt", ".bin", ".safetensors"])
def test_files_of_every_form(tmp_path, state, prefix, under, suffix):
    file = tmp_path / f"gewichte ä{suffix}"
    content = {prefix + name: t for name, t in state.items()}
    if suffix == ".safetensors":
        save_file(content, file)
    else:
        others = {"epoch": 7, "optimizer": {"lr": 0.1}}
        torch.save({**others, under: content} if under else content, file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    tensors, meta = fetch(tmp_path, {"file": str(file), "sha256": sha256})
    assert same(tensors, state)
    assert (meta["run"], meta["sha256"]) == ("runs/x/net-pretrained", sha256)
    assert meta["source"]["file"] == str(file)
    weights.load_into(
        construct.build(NETWORK, CLASSES, 0), tmp_path / "out" / "weights.safetensors"
    )


def test_a_file_without_checksum_is_taken_and_its_checksum_kept(tmp_path, state):
    torch.save(state, tmp_path / "a.pth")
    meta = fetch(tmp_path, {"file": str(tmp_path / "a.pth"), "sha256": None})[1]
    assert meta["sha256"] == hashlib.sha256((tmp_path / "a.pth").read_bytes()).hexdigest()
    assert meta["licence"] is None


def test_old_checkpoints_lack_the_counters_of_batch_norm(tmp_path, state):
    counters = {n for n in state if n.endswith("num_batches_tracked")}
    torch.save({n: t for n, t in state.items() if n not in counters}, tmp_path / "a.pth")
    tensors, _ = fetch(tmp_path, {"file": str(tmp_path / "a.pth")})
    for name, t in state.items():
        assert tensors[name] == 0 if name in counters else torch.equal(tensors[name], t)


def test_half_precision_is_kept_as_the_networks_own(tmp_path, state):
    halves = {n: t.half() if t.is_floating_point() else t for n, t in state.items()}
    torch.save(halves, tmp_path / "a.pth")
    tensors, _ = fetch(tmp_path, {"file": str(tmp_path / "a.pth")})
    assert {n: t.dtype for n, t in tensors.items()} == {n: t.dtype for n, t in state.items()}


# --- refused -----------------------------------------------------------------------------------


def damaged(state: dict[str, torch.Tensor], damage: str) -> object:
    """The content of a file, damaged before it is written."""
    content = dict(state)
    if damage == "missing key":
        del content["layer3.conv1.weight"]
    elif damage == "extra key":
        content["layer5.weight"] = torch.zeros(2)
    elif damage == "shape":
        content["conv1.weight"] = torch.zeros(16, 3, 5, 5)
    elif damage == "classes":
        content |= {"fc.weight": torch.zeros(1000, 128), "fc.bias": torch.zeros(1000)}
    elif damage == "other network":
        return construct.build("resnet18", CLASSES, 0).state_dict()
    elif damage == "code":
        return {"model": content, "args": Harmful()}
    elif damage == "not weights":
        return {"epoch": 3}
    elif damage == "list":
        return [1, 2]
    return content


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ("missing key", ["missing layer3.conv1.weight"]),
        ("extra key", ["unexpected layer5.weight"]),
        ("shape", ["conv1.weight is (16, 3, 5, 5), expected (16, 3, 3, 3)"]),
        ("classes", ["the classifier is for 1000 classes, expected 24"]),
        ("other network", ["does not fit QuarterResNet", "and ", " more"]),
        ("code", ["refused", "holds code", ".safetensors"]),
        ("cut", ["damaged"]),
        ("not weights", ["no network in it", "got dict with keys epoch"]),
        ("list", ["no network in it", "got list"]),
        ("empty", ["damaged"]),
        ("text", ["damaged, or not a PyTorch checkpoint"]),
        ("safetensors cut", ["damaged"]),
        ("absent", ["no such file of weights", f"networks.{NETWORK}.weights.file"]),
        ("checksum", ["wrong checksum", "expected " + "0" * 64]),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path, state, monkeypatch, damage, expected):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / ("a.safetensors" if "safetensors" in damage else "a.pth")
    content = damaged(state, damage)
    (save_file if file.suffix == ".safetensors" else torch.save)(content, file)
    if "cut" in damage:
        file.write_bytes(file.read_bytes()[:2000])
    elif damage in ("empty", "text"):
        file.write_bytes(b"" if damage == "empty" else b"<html>404</html>")
    elif damage == "absent":
        file.unlink()
    source = {"file": str(file)} | ({"sha256": "0" * 64} if damage == "checksum" else {})
    with pytest.raises(JobError) as error:
        fetch(tmp_path, source)
    assert str(file) in str(error.value)
    for part in expected:
        assert part in str(error.value)
    assert not (tmp_path / "out" / "weights.safetensors").exists()
    assert not (tmp_path / "harm was done").exists()


def test_the_key_of_a_released_file_is_named(tmp_path):
    """The authors' weights are given under released.files, not under networks."""
    config = {
        "stage": "pretrained",
        "run": "runs/imagenet/fixresnet50_v2-pretrained",
        "network": "resnet50",
        "source": {"file": "/nowhere.pth", "sha256": None},
        "classes": 1000,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(JobError, match=r"the file in released\.files\.fixresnet50_v2\.$"):
        pretrained.main(["--config", str(tmp_path / "config.json"), "--out", str(tmp_path / "w")])


def test_the_harmful_file_is_harmful(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Harmful()))
    assert (tmp_path / "harm was done").exists()


def test_a_message_and_no_traceback(tmp_path, state):
    file, config = tmp_path / "a.pth", tmp_path / "config.json"
    torch.save(damaged(state, "classes"), file)
    config.write_text(json.dumps(configuration({"file": str(file)})))
    result = fixres("pretrained", "--config", config, "--out", tmp_path / "w.safetensors")
    assert result.returncode == 1
    assert "error in pretrained" in result.stderr
    assert "1000 classes, expected 24" in result.stderr
    assert "Traceback" not in result.stderr
