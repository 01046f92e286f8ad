"""Twins: the same bytes every time, made by hand, and what is said where they cannot be made."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts_shared import LOOK, state

from fixres.artifacts import manifest
from fixres.data import sources
from fixres.data.rendered import twins
from fixres.jobs import JobError
from fixres.stages import render
from shared import fixres


@pytest.mark.parametrize("source", sources.SOURCES)
def test_a_twin_is_the_same_bytes_every_time(made, source, tmp_path):
    twins.write(source, tmp_path, LOOK, processes=2)
    assert {p: content for p, (_, content) in state(tmp_path).items()} == {
        p: content for p, (_, content) in made(source).before.items()
    }


def test_commands_from_a_twin_to_its_manifest(tmp_path):
    size = ["--train", 24, "--val", 12, "--classes", 4, "--shorter-side", 24, 32]
    result = fixres("twin", "cub", tmp_path / "twin", *size, "--threads", 1)
    assert result.returncode == 0, result.stderr
    config, out = tmp_path / "config.json", tmp_path / "cub" / "manifest.npz"
    config.write_text(
        json.dumps({"stage": "manifest", "source": "cub", "on_bad": "stop", "checksums": "listed"})
    )
    paths = ["--config", config, "--root", tmp_path / "twin", "--out", out]
    result = fixres("manifest", *paths, "--threads", 1)
    assert result.returncode == 0, result.stderr
    assert len(manifest.load(out).path) == 36
    again = fixres("twin", "cub", tmp_path / "twin")
    assert "not empty" in again.stderr


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"hues": ["red", "mauve"]}, r"pinhole\.hues: .*got mauve"),
        ({"silhouettes": ["bar", "bar"]}, "all different"),
        (
            {"val_images": 5},
            r"pinhole\.val_images: .*got 5, expected at least one for each of 6 classes",
        ),
    ],
)
def test_a_twin_that_cannot_be_rendered(tmp_path, change, expected):
    with pytest.raises(JobError, match=expected):
        twins.write("cub", tmp_path / "twin", LOOK | change)
    assert not (tmp_path / "twin").exists()


@pytest.mark.parametrize(("n", "near"), [(23, "22 or 24"), (1, "2 or 3"), (1000, "96 or 104")])
def test_a_number_of_classes_that_cannot_be_drawn_names_its_neighbours(n, near):
    with pytest.raises(JobError, match=near):
        render.classes(n)


@given(st.integers(2, 104))
def test_classes_are_the_number_asked_for(n):
    if n not in {s * h for s in range(1, 14) for h in range(1, 9)}:
        with pytest.raises(JobError):
            render.classes(n)
        return
    silhouettes, hues = render.classes(n)
    assert len(set(silhouettes)) * len(set(hues)) == n
