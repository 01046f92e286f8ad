"""What is known to be too little before anything is measured: images of a custom network."""

import os
from pathlib import Path

import numpy as np
import pytest
import snakemake.api  # noqa: F401 (before fixres.workflow: they import each other)
from snakemake.exceptions import WorkflowError

from fixres import paper
from fixres.config import ConfigError, load
from fixres.graph.costs import Costs
from fixres.graph.enough import check_listed_images, first_half
from fixres.graph.graph import Missing
from fixres.graph.networks import train_network
from fixres.graph.pages import Cost
from fixres.workflow import open_graph
from shared import ROOT, TEST_RESNET


def folder(root: Path, train: int, val: int) -> Path:
    """Files of two classes that look like images by their names."""
    for part, images in (("train", train), ("val", val)):
        for name in ("cat", "dog"):
            (root / part / name).mkdir(parents=True)
            for i in range(images // 2):
                (root / part / name / f"{i}.jpg").touch()
    return root


def settings(root: Path, **over) -> dict:
    custom = {"name": "mine", "network": TEST_RESNET, "train": True, "k_test": [64]} | over
    return {
        "dataset": "photos",
        "datasets": {"photos": {"root": str(root)}},
        "custom": custom,
        "fine_tuning": {"batch_size": 16},
        "base_training": {"batch_size": 16, "samples_per_epoch": None},
    }


def plan(root: Path, **over) -> None:
    extra = settings(root) | over
    check_listed_images(paper.plan_of(load(ROOT / "config.yaml", extra=extra)))


def test_enough_images_are_planned_with(tmp_path):
    plan(folder(tmp_path, 16, 80))


def test_fewer_validation_images_than_the_choice_needs(tmp_path):
    message = r"photos: too few validation images \(got 30, in halves of \d+ and \d+ by their"
    with pytest.raises(ConfigError, match=message):
        plan(folder(tmp_path, 16, 30))
    # Snakemake alone says it, too, in place of failing when all has been measured.
    config = load(ROOT / "config.yaml", extra=settings(tmp_path)).model_dump()
    with pytest.raises(WorkflowError, match="too few"):
        open_graph([], config)


def test_halves_are_those_of_the_choice(tmp_path):
    """44 images may be enough or not: it depends on their paths alone."""
    root = folder(tmp_path, 16, 44)
    paths = sorted(str(file.relative_to(root)).encode() for file in root.glob("val/*/*"))
    first = sum(first_half(np.array(paths, object)))
    if min(first, 44 - first) >= 20:
        plan(root)
    else:
        with pytest.raises(ConfigError, match=f"in halves of {first} and {44 - first}"):
            plan(root)


@pytest.mark.parametrize(("root", "key"), [("val", {"split": 1}), (".", {"only": "val"})])
def test_validation_images_alone_are_measured_and_nothing_trains(tmp_path, root, key):
    folder(tmp_path, 0, 80)
    (tmp_path / "w.safetensors").touch()
    network = TEST_RESNET | {"weights": f"{tmp_path}/w.safetensors", "outputs": 2}
    extra = settings(tmp_path / root, train=False, network=network)
    extra["datasets"]["photos"] |= key
    planned = paper.plan_of(load(ROOT / "config.yaml", extra=extra))
    check_listed_images(planned)
    [answer] = planned.of_stage("answer")
    stages = sorted(job.stage.name for job in answer.ancestors)
    assert stages == ["answer", "choose", "evaluate", "export", "manifest", "pretrained", "speed"]
    assert Costs(Cost.of(planned.resolved("pages/plan")), tmp_path).sizes["photos"] == (0, 80)
    with pytest.raises(Missing, match=r"training images of photos: none \(datasets\.photos\."):
        train_network(planned, "resnet10q", 64, "photos", planned.config.base_training, "x")
    extra["custom"]["train"] = True
    with pytest.raises(ConfigError, match=r"custom\.train: no training images .*datasets\.photos"):
        load(ROOT / "config.yaml", extra=extra)


def labelled(root: Path, **over) -> dict:
    """80 images in one folder, and a list of their labels."""
    root.mkdir(exist_ok=True)
    for i in range(80):
        (root / f"{i}.jpg").touch()
    file = root / "labels.csv"
    file.write_text("".join(f"{i}.jpg,{'cat' if i % 2 else 'dog'}\n" for i in range(80)))
    (root / "w.safetensors").touch()
    network = TEST_RESNET | {"weights": f"{root}/w.safetensors", "outputs": 2}
    extra = settings(root, train=False, network=network)
    extra["datasets"]["photos"] |= {"labels": str(file), "split": 1} | over
    return extra


def test_a_list_of_labels_counts_by_its_content(tmp_path):
    extra, file = labelled(tmp_path / "a"), tmp_path / "a/labels.csv"

    def manifest() -> str:
        graph = paper.plan_of(load(ROOT / "config.yaml", extra=extra))
        check_listed_images(graph)
        assert Costs(Cost.of(graph.resolved("pages/plan")), tmp_path).sizes["photos"] == (0, 80)
        return graph.job("data/photos/manifest").ancestry_digest

    planned = manifest()
    os.utime(file, (1, 1))
    assert manifest() == planned
    file.write_text(file.read_text().replace("3.jpg,cat", "3.jpg,dog"))
    assert manifest() != planned
    file.unlink()
    with pytest.raises(ConfigError, match=r"datasets\.photos\.labels: .*csv: cannot be read"):
        manifest()


def test_a_list_of_labels_and_classes_of_the_network(tmp_path):
    """The network has 12 classes, and the list has numbers of two of them."""
    extra = labelled(tmp_path, classes=12)
    file = tmp_path / "labels.csv"
    file.write_text(file.read_text().replace("cat", "11").replace("dog", "2"))
    extra["custom"]["network"]["outputs"] = 12
    graph = paper.plan_of(load(ROOT / "config.yaml", extra=extra))
    [evaluation] = graph.of_stage("evaluate")
    assert evaluation.config["masked"]  # ten classes have no image
    content = graph.job("data/photos/manifest").config
    assert content["classes"] == [str(i) for i in range(12)]


@pytest.mark.parametrize("over", [{"split": None}, {"source": "imagenet"}])
def test_a_list_of_labels_needs_to_know_what_is_validated(tmp_path, over):
    with pytest.raises(ConfigError, match=r"datasets\.photos\.labels: .*Set split: 1"):
        load(ROOT / "config.yaml", extra=labelled(tmp_path, **over))


def test_a_dataset_has_one_way_to_have_no_training_images(tmp_path):
    extra = settings(tmp_path)
    extra["datasets"]["photos"] |= {"only": "val", "split": 0.5}
    with pytest.raises(ConfigError, match=r"datasets\.photos\.only: not allowed with split. Use"):
        load(ROOT / "config.yaml", extra=extra)


@pytest.mark.parametrize("recipe", ["fine_tuning", "base_training"])
def test_an_epoch_that_does_not_fill_one_batch(tmp_path, recipe):
    root = folder(tmp_path, 20, 80)
    over = {recipe: settings(root)[recipe] | {"batch_size": 21}}
    message = rf"{recipe}\.batch_size: .*got 21, expected at most 20: photos has 20 training"
    with pytest.raises(ConfigError, match=message):
        plan(root, **over)


def test_ratios_that_print_alike(tmp_path):
    custom = settings(folder(tmp_path, 16, 80), crop_pct=[0.95, 0.95 + 1e-9])["custom"]
    with pytest.raises(ConfigError, match=r"custom\.crop_pct"):
        plan(tmp_path, custom=custom)
