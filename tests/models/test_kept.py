"""Networks of timm with their configuration beside them: local-dir: and hf-hub:."""

import shutil
from pathlib import Path

import pytest
import timm
import torch
from timm.models import _hub

from bench import same
from fixres.config import ConfigError
from fixres.graph.classes import names_are_among, read_classes
from fixres.graph.custom import custom_weights
from fixres.jobs import JobError
from fixres.models import construct, published
from fixres.models.custom import described, find

CLASSES = ["pear", "apple", "fig"]  # in no alphabetical order
DATA = {"input_size": (3, 96, 96), "crop_pct": 0.9, "mean": (0.4, 0.5, 0.6), "std": (0.2,) * 3}


def save(folder: Path, name: str = "test_resnet", data: dict | None = None, **options) -> dict:
    """A folder as timm writes it; the weights in it."""
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=3, **options)
    labels = {"label_names": CLASSES}
    data = DATA if data is None else data
    _hub.save_for_hf(network, folder, labels, safe_serialization=True, data_config=data)
    return network.state_dict()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("kept") / "my nets: ä"
    save(made)
    return made


def test_a_folder_says_all_of_a_network_and_its_weights_are_a_file(folder):
    found = find(f"timm:local-dir:{folder}")
    assert found.source == "timm:test_resnet"
    assert found.weights == str(folder / "model.safetensors")
    assert (found.outputs, found.native, found.crop_pct) == (3, 96, 0.9)
    assert (found.mean, found.std) == ([0.4, 0.5, 0.6], [0.2, 0.2, 0.2])
    assert found.title == f"test_resnet of {folder}"
    assert "num_classes" not in found.options
    # Whatever the jobs build from this is what timm builds from the folder.
    entry = found.model_dump() | {"options": found.options}
    source = construct.weights_of(entry)
    tensors = published.fetch(source, folder, "").tensors
    network = construct.call(found.source, found.outputs, "", found.options).eval()
    network.load_state_dict(published.fitted(published.Fetched(tensors, "", None), network, "fc"))
    theirs = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    x = torch.randn(2, 3, 96, 96)
    assert torch.equal(network(x), theirs(x))


def test_arguments_and_what_is_given_count(folder, tmp_path):
    save(tmp_path, "vit_tiny_patch16_224", {}, depth=1, class_token=False, global_pool="avg")
    found = find(f"timm:local-dir:{tmp_path}", given={"crop_pct": 1.0})
    assert found.options["class_token"] is False
    assert found.options["dynamic_img_size"] is True
    assert (found.last_norm, found.native) == (["fc_norm"], 224)
    # Weights of another file; or random ones, for the whole training.
    other = tmp_path / "other.pth"
    torch.save(timm.create_model("test_resnet", num_classes=5).state_dict(), other)
    assert find(f"timm:local-dir:{folder}", str(other)).outputs == 5
    copy = shutil.copytree(folder, tmp_path / "without weights")
    (copy / "model.safetensors").unlink()
    assert find(f"timm:local-dir:{copy}", "none").weights == "none"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", None, r"no file .*config\.json \(expected a folder as written by timm"),
        ("config.json", "{", r"config\.json: not a timm configuration \(JSONDecodeError"),
        ("config.json", "[1]", r"config\.json: not a timm configuration"),
        (
            "config.json",
            '{"architecture": "test_resnet", "pretrained_cfg": {}, "model_args": {"no_such": 1}}',
            r"test_resnet of .*: cannot be built .* config\.json, .'no_such': 1. \(",
        ),
        ("config.json", '{"architecture": "vgg11", "crop_pct": [1]}', "not a timm configuration"),
        ("config.json", '{"a": 1}', r"config\.json: not a timm configuration \(KeyError"),
        ("config.json", '{"architecture": "resnet5"}', "got 'resnet5'; nearest: resnet50"),
        (
            "model.safetensors",
            None,
            r"contains no weights \(expected model\.safetensors, or another",
        ),
    ],
)
def test_a_folder_that_is_none_is_refused_by_name(folder, tmp_path, name, content, message):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_text(content)
    with pytest.raises(JobError, match=message):
        find(f"timm:local-dir:{copy}")


# --- images ---------------------------------------------------------------------------------------


def test_classes_come_in_the_order_of_the_configuration(folder, tmp_path):
    from fixres.config.datasets import Dataset

    file = str(folder / "config.json")
    assert read_classes(file, "--classes") == CLASSES
    for part in ("train", "val"):
        for name in CLASSES[:2]:
            (tmp_path / part / name).mkdir(parents=True)
    photos = Dataset(root=str(tmp_path))
    assert names_are_among(photos, file)
    (tmp_path / "val" / "plum").mkdir()
    assert not names_are_among(photos, file)
    (tmp_path / "config.json").write_text('{"label_names": {"0": "pear"}}')
    with pytest.raises(ConfigError, match="no class in it"):
        read_classes(str(tmp_path / "config.json"), "--classes")


def test_images_of_one_channel_are_refused_when_the_network_is_looked_at(tmp_path):
    message = (
        r"wrong number of image channels \(got 1, expected 3, .*docs/recommend\.md, .Grey images"
    )
    grey = save(tmp_path / "grey", data={}, in_chans=1)
    with pytest.raises(JobError, match=f"test_resnet of .*grey: {message}"):
        find(f"timm:local-dir:{tmp_path / 'grey'}")
    with pytest.raises(JobError, match=f"timm:test_resnet: {message}"):
        find("timm:test_resnet", "none", given={"options": {"in_chans": 1}})
    torch.save(grey, tmp_path / "grey.pth")
    with pytest.raises(JobError, match=rf"grey\.pth: {message}"):
        find("timm:test_resnet", str(tmp_path / "grey.pth"))


def test_another_crop_mode_is_said(tmp_path, capsys):
    save(tmp_path, data=DATA | {"crop_mode": "squash"})
    find(f"timm:local-dir:{tmp_path}")
    said = capsys.readouterr().out
    assert "images squashed to squares (timm's crop_mode squash), but this" in said


# --- the Hub --------------------------------------------------------------------------------------

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A cache of huggingface_hub in which somebody's network lies, and no network to reach."""
    repository = tmp_path / "models--me--net"
    tensors = save(repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tensors


@pytest.mark.parametrize("revision", ["", "@main", f"@{COMMIT}"])
def test_a_network_on_the_hub_is_pinned_to_its_commit(hub, revision):
    found = find(f"timm:hf-hub:me/net{revision}")
    assert found.weights == f"hf-hub:me/net@{COMMIT}" == custom_weights(found.weights)
    assert (found.source, found.title) == ("timm:test_resnet", "test_resnet of me/net")
    assert (found.outputs, found.native, found.has_file) == (3, 96, False)
    assert "3 classes" in described(found)[0]
    source = construct.weights_of(found.model_dump())
    assert source == {"hf-hub": f"me/net@{COMMIT}"}
    assert same(published.fetch(source, Path(), "").tensors, hub)


def test_the_hub_out_of_reach_is_one_message(hub):
    message = r"hf-hub:me/other: its config\.json could not be fetched .* timm:local-dir:FOLDER\.$"
    with pytest.raises(JobError, match=message):
        find("timm:hf-hub:me/other")
    with pytest.raises(JobError, match=r"hf-hub me/other: the weights could not be .*\. WAY"):
        published.fetch({"hf-hub": "me/other"}, Path(), "WAY OUT")
