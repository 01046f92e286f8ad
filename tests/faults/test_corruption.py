"""Every file that a later step reads, cut or with one bit turned over at many places: refused by name, not used, or read as it was."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from faults.helpers import (
    ADAPTED,
    DATA,
    LARGE_BASE,
    PAGES,
    SMALL_BASE,
    Damage,
    copied,
    damages,
    differing,
    final,
    smoke,
)
from fixres import config, jobs, paper
from fixres.data import loader, manifest, regions
from fixres.jobs import JobError
from fixres.models import weights
from fixres.models.checkpoints import Checkpoints
from fixres.pages import table
from fixres.stages import evaluate

PLACES = 150  # in a file, besides its first and last bytes
DAMAGED = "one bit turned over, or cut short"
REFUSED, UNHARMED = "refused", "unharmed"


def same(one: object, other: object) -> bool:
    """Whether two contents, of whatever a file holds, are equal."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(
            one, other, equal_nan=one.dtype.kind == "f"
        )
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            same(value, other[key]) for key, value in one.items()
        )
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, manifest.Manifest):
        return same(vars(one), vars(other))
    return bool(one == other)


def damaged(
    file: Path,
    read: Callable[[Path], object],
    refuses: Callable[[BaseException], bool],
    n: int = PLACES,
) -> Counter:
    """Damage a file in every way, one after another, and read it each time; counts what happened. Anything else is a failure."""
    whole, seen = file.read_bytes(), Counter()
    expected = read(file)
    for damage in damages(len(whole), n):
        file.write_bytes(damage(whole))
        try:
            found = read(file)
        except Exception as error:
            found = error
        refused = isinstance(found, Exception)
        assert refuses(found) if refused else same(found, expected), (damage, found)
        seen[REFUSED if refused else UNHARMED] += 1
    file.write_bytes(whole)
    return seen


def names(file: Path) -> Callable[[BaseException], bool]:
    """An error that a person can act on: of ours, with the file's name."""
    return lambda error: isinstance(error, JobError) and str(file) in str(error)


def described(seen: Counter, how: str) -> str:
    rest = f"; {seen[UNHARMED]} in bytes that nobody reads" if seen[UNHARMED] else ""
    return f"{seen[REFUSED]} {how}{rest}"


@pytest.fixture
def taken(undisturbed, tmp_path) -> Callable[[str], Path]:
    """A copy of one of the undisturbed run's files."""
    return lambda path: Path(shutil.copy(undisturbed.folder / path, tmp_path))


def test_manifest(taken, happened):
    file = taken(f"{DATA}/manifest.npz")
    seen = damaged(file, manifest.load, names(file))
    assert seen[REFUSED] > PLACES / 2
    happened(DAMAGED, "manifest", seen.total(), described(seen, "refused by name"))


def test_weights(taken, happened):
    file = taken(f"{SMALL_BASE}/weights.safetensors")
    seen = damaged(file, weights.opened, names(file))
    assert seen[REFUSED] > PLACES
    happened(DAMAGED, "weights", seen.total(), described(seen, "refused by name"))


def test_metrics(taken, undisturbed, tmp_path, happened):
    """As a page reads them."""
    file = tmp_path / "runs/pinhole-smoke/resnet10q-k32/evaluation/metrics.json"
    file.parent.mkdir(parents=True)
    shutil.copy(taken(f"{LARGE_BASE}/evaluation/metrics.json"), file)
    cell = {"run": "runs/pinhole-smoke/resnet10q-k32", "plus": None, "row": "a", "column": "b"}
    page = {"title": "A page", "blocks": [{"cells": [[cell]]}]}
    seen = damaged(file, lambda _: table.read_metrics(page, tmp_path), names(file), n=10_000)
    assert seen[REFUSED] > file.stat().st_size / 2
    happened(DAMAGED, "metrics", seen.total(), described(seen, "refused by name"))


def test_resolved_configuration(taken, happened):
    """A job compares it with what Snakemake planned."""
    plan = paper.plan_of(config.parse(smoke(), where="smoke"))
    file, ancestry_digest = (
        taken(f"{SMALL_BASE}/config.json"),
        plan.ancestry_digest(SMALL_BASE.removeprefix("results/")),
    )
    seen = damaged(
        file, lambda path: jobs.read_config(path, "train", ancestry_digest), names(file), n=10_000
    )
    assert seen[REFUSED] > file.stat().st_size / 2
    happened(
        DAMAGED, "a run's resolved configuration", seen.total(), described(seen, "refused by name")
    )


def test_predictions(taken, happened, capsys):
    """What cannot be told to be whole is not used: the evaluation predicts again."""
    file = taken(f"{LARGE_BASE}/evaluation/predictions/k32.npz")
    with np.load(file) as archive:
        key = str(archive["key"])

    def read(path: Path) -> np.ndarray:
        found = evaluate.load_predictions(path, key)
        if found is None:
            raise LookupError
        return found

    seen = damaged(file, read, lambda error: isinstance(error, LookupError))
    assert seen[REFUSED] > PLACES / 4  # the rest is names and labels, which the manifest has
    assert f"{file} is damaged" in capsys.readouterr().err
    happened(DAMAGED, "predictions", seen.total(), described(seen, "not used: predicted again"))


def test_checkpoint(tmp_path, taken, happened, capsys):
    """The one before is taken in its place."""
    state, checkpoints = (
        weights.load(taken(f"{ADAPTED}/weights.safetensors"))[0],
        Checkpoints(tmp_path / "checkpoints", "key"),
    )
    checkpoints.save(1, {name: t + 1 for name, t in state.items()})
    checkpoints.save(2, state)
    older, newest = sorted((tmp_path / "checkpoints").iterdir())
    kept = {file: file.read_bytes() for file in (older, newest)}

    def read(path: Path) -> tuple:
        found = checkpoints.latest()
        if found[0] == 1:
            path.write_bytes(b"")  # it was removed, and is to be damaged again
            raise LookupError
        return found

    seen = damaged(newest, read, lambda error: isinstance(error, LookupError))
    assert older.read_bytes() == kept[older]
    assert seen[REFUSED] > PLACES
    assert f"checkpoint ignored: {newest}" in capsys.readouterr().err
    happened(
        DAMAGED,
        "newest checkpoint",
        seen.total(),
        described(seen, "ignored: resumed from the one before"),
    )


@pytest.mark.parametrize("name", ["pillow", "dali"])
def test_image(tiny, tmp_path, name, happened):
    """A JPEG with a bit turned over is another picture, or none: either way it is not what the manifest was built from."""
    if name == "dali":
        pytest.importorskip("nvidia.dali")
    shutil.copytree(tiny.folder, tmp_path / "set")
    data = manifest.build(tmp_path / "set")
    rows = data.rows("val")[:4]
    file = Path(data.files(rows)[1])

    def read(path: Path) -> list:
        views = regions.views(
            regions.Augmentation("test DA"), 24, rows, data.height[rows], data.width[rows]
        )
        return [
            pixels.clone()
            for _, [pixels] in loader.batches(data, [[loader.Crops(views, 24)]], name)
        ]

    seen = damaged(file, read, names(file), n=30 if name == "pillow" else 1)
    assert not seen[UNHARMED]
    happened(DAMAGED, f"image ({name})", seen.total(), described(seen, "refused by name"))


def spoil(file: Path) -> None:
    """Turn a bit over in the middle of a file."""
    content = file.read_bytes()
    file.write_bytes(Damage(at=len(content) // 2)(content))


def test_what_the_errors_advise_gives_the_same_bytes_again(undisturbed, tmp_path, happened):
    """Metrics and weights spoiled, and the steps that read them asked for: each names its file; deleted, it is made again."""
    workflow = copied(undisturbed, tmp_path / "copy")
    for path, rule in (
        (f"{SMALL_BASE}/evaluation/metrics.json", "table"),
        (f"{ADAPTED}/weights.safetensors", "evaluate"),
    ):
        spoil(workflow.folder / path)
        result = workflow.run(*PAGES, "--forcerun", rule, check=False)
        assert result.returncode != 0
        assert f"{path} is damaged" in result.stdout or f"{path}: damaged" in result.stdout
        assert "delete it" in result.stdout
        (workflow.folder / path).unlink()
    workflow.run(*PAGES)
    assert differing(final(workflow.folder), final(undisturbed.folder)) == []
    happened(
        DAMAGED,
        "metrics and weights of a finished run",
        2,
        "refused by name; deleted as advised, the same command: the same bytes",
    )
