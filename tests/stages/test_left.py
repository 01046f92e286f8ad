"""What a fine-tuning leaves for the jobs beside it: they run no trunk, and keep their bits."""

import json

import numpy as np
import pytest
import timm
import torch

from bench import EVALUATE, FINETUNE
from fixres.artifacts import weights
from fixres.data.pillow_loader import decode
from fixres.stages import evaluate, finetune, left, statistics
from shared import TEST_RESNET

K = 64
ENTRY = TEST_RESNET | {"options": {}, "path": "", "title": ""}
COMMON = {"network": "mine", "entry": ENTRY, "seed": 0, "k_test": K}
TUNE = FINETUNE | COMMON | {"augmentation": {"name": "test DA", "crop_pct": 0.95}}
JOBS = {  # folder -> its configuration
    "both": TUNE | {"run": "runs/tiny/base/both"},
    "cls": TUNE | {"run": "runs/tiny/base/cls", "layers": ["classifier"]},
    "statistics": COMMON
    | {"stage": "statistics", "version": 1, "run": "runs/tiny/base/statistics"}
    | {"images": 5000, "crop_pct": 0.95},
}
OF = EVALUATE | {"network": "mine", "entry": ENTRY, "k_test": [K], "crop_pct": [0.875, 1.0]}


class Runs:
    """A base with three adaptations beside each other, laid out as in results/."""

    def __init__(self, folder, data):
        self.base, self.data = folder / "base", folder / "manifest.npz"
        data.save(self.data)
        torch.manual_seed(4)
        network = timm.create_model("test_resnet", num_classes=len(data.classes))
        weights.save(self.base / "weights.safetensors", network.state_dict(), {"run": "base"})
        for name, config in JOBS.items():
            self.plan(name, config)

    def plan(self, name: str, config: dict) -> None:
        for folder, content in ((name, config), (f"{name}/evaluation", OF)):
            (self.base / folder).mkdir(parents=True, exist_ok=True)
            text = json.dumps(content | {"run": f"runs/tiny/base/{name}"})
            (self.base / folder / "config.json").write_text(text)

    def run(self, name: str, *more: str) -> bytes:
        """Run an adaptation in this process. Returns its weights."""
        stage, out = JOBS[name]["stage"], self.base / name / "weights.safetensors"
        options = [*self.options(self.base / name, self.base), "--out", str(out), *more]
        if stage == "finetune":
            options += ["--predict"]
        {"finetune": finetune, "statistics": statistics}[stage].main(options)
        return out.read_bytes()

    def evaluate(self, name: str) -> dict[str, np.ndarray]:
        """Evaluate the result of an adaptation. Returns the predictions by file."""
        folder = self.base / name / "evaluation"
        out = str(folder / "metrics.json")
        evaluate.main([*self.options(folder, self.base / name), "--out", out])
        return {f.name: np.load(f)["top"] for f in folder.glob("predictions/*.npz")}

    def options(self, folder, start) -> list[str]:
        files = {"config": folder / "config.json", "manifest": self.data}
        files |= {"weights": start / "weights.safetensors"}
        named = [word for name, file in files.items() for word in (f"--{name}", str(file))]
        return [*named, "--threads", "1", "--precision", "fp32", "--loader", "pillow"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory, tiny) -> dict[str, tuple]:
    """Each adaptation with nobody beside it: weights and predictions."""
    found = {}
    for name in JOBS:
        runs = Runs(tmp_path_factory.mktemp(name), tiny)
        for other in JOBS.keys() - {name}:
            (runs.base / other / "config.json").unlink()
        found[name] = runs.run(name), runs.evaluate(name)
    return found


@pytest.fixture
def runs(tmp_path, tiny) -> Runs:
    return Runs(tmp_path, tiny)


def test_what_is_left_gives_the_same_bits_from_no_image(runs, alone, monkeypatch):
    assert runs.run("both") == alone["both"][0]
    assert not list(runs.base.glob("*/*.safetensors.*"))
    assert not (runs.base / "statistics" / "left.safetensors").exists()
    # From here on no image is opened.
    monkeypatch.setattr("fixres.data.pillow_loader.decode", _refuse)
    for name in ("statistics", "cls"):
        assert (runs.base / name / left.TRAINING).is_file()
        assert runs.run(name) == alone[name][0]
        assert not list((runs.base / name).glob("left*"))
    for name, (_, predicted) in alone.items():
        found = runs.evaluate(name)
        assert found.keys() == predicted.keys()
        assert len(found) == 2
        assert all(np.array_equal(found[file], predicted[file]) for file in found)
    assert decode is not _refuse


def _refuse(file: str, _: bytes):
    raise AssertionError(f"{file} was opened")


@pytest.mark.parametrize("changes", [{"images": 50}, {"crop_pct": 1.0}, {"k_test": K + 32}])
def test_other_images_or_crops_are_not_shared(runs, changes):
    runs.plan("statistics", JOBS["statistics"] | changes)
    runs.run("both")
    assert not list((runs.base / "statistics").glob("left*"))
    assert (runs.base / "cls" / left.TRAINING).is_file()


def test_what_was_left_for_another_job_or_is_damaged_counts_as_none(runs, alone, capfd):
    runs.run("both")
    file = runs.base / "statistics" / left.TRAINING
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert runs.run("statistics") == alone["statistics"][0]
    file.write_bytes(whole)
    runs.plan("statistics", JOBS["statistics"] | {"images": 50})
    capfd.readouterr()
    assert runs.run("statistics") != alone["statistics"][0]
    assert "found, as a fine-tuning has left them" not in capfd.readouterr().err


def test_a_network_whose_activations_are_not_kept_leaves_its_images(runs, alone):
    """With --cache-mb 0 each job runs the trunk on its training images itself."""
    assert runs.run("both", "--cache-mb", "0") == alone["both"][0]
    assert not list(runs.base.glob("*/left-training.npz"))
    assert runs.run("cls") == alone["cls"][0]
