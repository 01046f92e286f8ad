"""Predictions that a fine-tuning leaves for the evaluations of its result and of its base."""

import json
import shutil

import numpy as np
import pytest
import torch

from bench import EVALUATE, FINETUNE, Bench
from fixres.artifacts import manifest
from fixres.artifacts.predictions import Cropping
from fixres.data import requests
from fixres.data.regions import Augmentation
from fixres.hardware.device import open_device
from fixres.hardware.ranks import ALONE
from fixres.jobs import JobError
from fixres.stages import predict
from shared import ENVIRONMENT, fixres

K = FINETUNE["k_test"]
OF_BASE = EVALUATE | {"k_test": [24, K]}
OF_TUNED = EVALUATE | {"run": "runs/tiny/net/ft", "k_test": [K]}
NO_TORCH = "import sys; sys.modules['torch'] = None\n"  # an import of torch is then an error


class Family:
    """A folder with a base and a fine-tuning of it, laid out as in results/."""

    def __init__(self, folder, trained, data: manifest.Manifest):
        self.base, self.tuned = folder / "base", folder / "base" / "ft"
        self.tuned.mkdir(parents=True)
        self.bench = Bench(self.tuned, data)
        shutil.copy(trained.folder / "weights.safetensors", self.base)

    def ask(self, run, config: dict) -> None:
        """Plan the evaluation of a run."""
        (run / "evaluation").mkdir(exist_ok=True)
        (run / "evaluation" / "config.json").write_text(json.dumps(config))

    def finetune(self, *options: object, **changes: object) -> str:
        """Fine-tune, with predictions ahead. Returns the log."""
        start = ["--weights", self.base / "weights.safetensors", "--predict"]
        return self.bench.run(FINETUNE | changes, *start, *options).stderr

    def evaluate(self, run, out: str = "evaluation", environment: dict | None = None) -> str:
        """Evaluate a run as it was asked for. Returns the log."""
        words = ["evaluate", "--config", run / "evaluation" / "config.json", "--threads", 1]
        words += ["--manifest", self.tuned / "manifest.npz"]
        words += ["--weights", run / "weights.safetensors", "--out", run / out / "metrics.json"]
        (run / out).mkdir(exist_ok=True)
        result = fixres(*words, env=environment)
        assert result.returncode == 0, result.stderr
        return result.stderr


@pytest.fixture
def family(tmp_path, trained, tiny):
    return Family(tmp_path, trained, tiny)


def files(run, out: str) -> dict[str, bytes]:
    """What an evaluation writes, by name."""
    folder = run / out
    names = ["metrics.json", "hits.npz", *(f"predictions/k{k}.npz" for k in (24, K))]
    return {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}


@pytest.mark.parametrize("layers", [["classifier"], ["batch-norm", "classifier"]])
def test_they_are_those_of_the_evaluations(family, layers, tmp_path):
    """To the byte. The fine-tuned network's evaluation then needs no torch at all."""
    family.ask(family.base, OF_BASE)
    family.ask(family.tuned, OF_TUNED)
    log = family.finetune(layers=layers)
    assert f"k_test {K}: 2 evaluation(s) predicted ahead" in log
    (tmp_path / "sitecustomize.py").write_text(NO_TORCH)
    no_torch = {"PYTHONPATH": f"{tmp_path}:{ENVIRONMENT.get('PYTHONPATH', '')}"}
    log = family.evaluate(family.tuned, environment=no_torch)
    assert f"predictions kept: k_test {K}" in log
    with pytest.raises(AssertionError, match="torch"):  # k_test 24 is missing
        family.evaluate(family.base, environment=no_torch)
    log = family.evaluate(family.base)
    assert f"predictions kept: k_test {K}" in log
    assert "k_test 24 on 48 images" in log
    for run in (family.base, family.tuned):
        family.evaluate(run, "alone")
        assert files(run, "alone") == files(run, "evaluation")
    known = np.load(family.tuned / "evaluation" / "predictions" / f"k{K}.npz")
    of_base = np.load(family.base / "evaluation" / "predictions" / f"k{K}.npz")
    assert not np.array_equal(known["top"], of_base["top"])


def test_only_what_is_asked_for_and_missing_is_predicted(family):
    assert "ahead" not in family.finetune()  # nobody asks
    family.ask(family.base, OF_BASE)
    family.evaluate(family.base)
    before = files(family.base, "evaluation")
    family.ask(family.tuned, OF_TUNED)
    assert "1 evaluation(s) predicted ahead" in family.finetune()  # the base's are known
    assert files(family.base, "evaluation") == before
    assert "ahead" not in family.finetune()  # so are all


def test_another_test_transform_is_left_to_its_evaluation(family):
    family.ask(family.base, OF_BASE | {"test_resize": "released"})
    family.ask(family.tuned, OF_TUNED)
    assert "1 evaluation(s) predicted ahead" in family.finetune()
    assert not list((family.base / "evaluation").glob("predictions*"))


def test_a_failure_is_the_evaluations(family):
    """What cannot be written ahead ends the evaluation, and not the fine-tuning before it."""
    family.ask(family.tuned, OF_TUNED)
    (family.tuned / "evaluation" / "predictions").write_text("a file where a folder should be")
    assert "not predicted ahead" in family.finetune()
    assert (family.tuned / "weights.safetensors").exists()


@pytest.mark.parametrize("crops", [1, 10])
@pytest.mark.parametrize("value", [torch.nan, -torch.inf])
def test_logits_that_are_not_finite_name_the_first_image(tiny, crops, value):
    """The mean over ten crops, of which one is infinitely unlikely, would look like a number."""
    rows, device = tiny.rows("val")[:12], open_device("cpu", "fp32", 1, ALONE)
    reader = requests.CropReader(tiny, rows, (0.5,) * 3, (0.5,) * 3, device, "pillow", 1, ALONE)
    wrong, seen = {3, 7}, []

    def head(x: torch.Tensor) -> torch.Tensor:
        logits = x.mean((2, 3))
        for crop in range(len(x)):
            if len(seen) in {crops * image for image in wrong}:
                logits[crop, 1] = value
            seen.append(crop)
        return logits

    def predicted() -> list:
        croppings = [[Cropping(24, crops=crops)]]
        looks = Augmentation("test DA")
        return predict.predict(predict.as_it_is, [head], reader, looks, croppings, 2)

    [file] = tiny.files(rows[[3]])
    expected = rf"^{file}: its logits are not finite at 24 px \(got such logits for 2 of 12 images"
    with pytest.raises(JobError, match=expected):
        predicted()
    wrong.clear()
    [[classes]] = [of_head.values() for of_head in predicted()]
    assert (classes >= 0).all()
