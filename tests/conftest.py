"""Fixtures for all tests: images of many shapes, a tiny pinhole set, a trained network."""

import hypothesis
import pytest
import torch

from bench import TRAIN, Bench
from fixres.artifacts import manifest
from fixres.data import building
from fixres.data.rendered import twins
from shared import SETTINGS, textured

# A test is never timed, because the machine may be busy, and tries the same examples every time.
hypothesis.settings.register_profile("fixres", deadline=None, derandomize=True)
hypothesis.settings.load_profile("fixres")
# For the networks of the tests themselves: more threads than cores wait for each other.
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, so that two processes that share the files end together."""
    items.sort(key=lambda item: item.path.parent.name != "workflow")


@pytest.fixture(scope="session")
def shapes(tmp_path_factory) -> manifest.Manifest:
    """Landscape, portrait, square, tiny, odd and extreme images: an ImageFolder of two classes."""
    folder = tmp_path_factory.mktemp("shapes")
    sizes = [(375, 500), (500, 375), (64, 64), (9, 7), (3, 200)]
    sizes += [(333, 111), (101, 257), (480, 481), (250, 30), (128, 127)]
    for split in ("train", "val"):
        for i, (height, width) in enumerate(sizes):
            path = folder / split / f"class {i % 2}" / f"{i}é.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            textured(height, width, i).save(path, quality=92)
    return building.build(folder)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> manifest.Manifest:
    """96 + 48 small pinhole images."""
    folder = tmp_path_factory.mktemp("tiny")
    twins.write("imagefolder", folder, SETTINGS)
    return building.build(folder)


@pytest.fixture
def bench(tmp_path, tiny) -> Bench:
    """A folder for jobs on the tiny set."""
    return Bench(tmp_path, tiny)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, tiny) -> Bench:
    """A folder in which a network was trained."""
    bench = Bench(tmp_path_factory.mktemp("trained"), tiny)
    bench.run(TRAIN)
    return bench
