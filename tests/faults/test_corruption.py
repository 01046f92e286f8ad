"""Damage to every file that a later step reads: cut short, or one bit turned over.

Each file is damaged at many places. Each time it is refused by name, not used, or read as it was.
"""

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
    SMALL_BASE,
    Damage,
    copy_of,
    damages,
    different_results,
    smoke_plan,
)
from fixres import jobs
from fixres.artifacts import manifest, predictions, weights
from fixres.data import building, loader, regions
from fixres.graph.pages import Block, Cell, Measurement, Page
from fixres.jobs import JobError
from fixres.models.checkpoints import Checkpoints
from fixres.pages.view import View
from shared import PAGES

PLACES = 150  # damaged bytes of a file, besides its first and last ones
EVERYWHERE = 10_000  # more places than a small file has bytes
DAMAGED = "one bit turned over, or cut short"
REFUSED, UNHARMED = "refused", "unharmed"
Refuses = Callable[[BaseException], bool]  # whether an error is the refusal that we expect


# --- damage, then read ----------------------------------------------------------------------------


def damage_and_read(
    file: Path, read: Callable[[Path], object], refuses: Refuses, n: int = PLACES
) -> Counter:
    """Damage a file in every way, one after another, and read it each time.

    Returns how often the file was refused, and how often it was read as if whole. Fails if
    something else happens: another error, or other content.
    """
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


def same(one: object, other: object) -> bool:
    """Whether two contents, of whatever a file holds, are equal."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        floats = one.dtype.kind == "f"
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=floats)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, manifest.Manifest):
        return same(vars(one), vars(other))
    return bool(one == other)


def names(file: Path) -> Refuses:
    """Refused with an error of ours that names the file: a person can act on it."""
    return lambda error: isinstance(error, JobError) and str(file) in str(error)


def not_used(error: BaseException) -> bool:
    """Refused by a `read` of these tests, which raises LookupError where a file is not used."""
    return isinstance(error, LookupError)


def described(seen: Counter, how: str) -> str:
    """For the table of docs/reliability.md."""
    rest = f"; {seen[UNHARMED]} in bytes that nobody reads" if seen[UNHARMED] else ""
    return f"{seen[REFUSED]} {how}{rest}"


@pytest.fixture
def copy_file(undisturbed, tmp_path) -> Callable[[str], Path]:
    """Copy one of the undisturbed run's files into the test's folder."""
    return lambda path: Path(shutil.copy(undisturbed.folder / path, tmp_path))


# --- the files ------------------------------------------------------------------------------------


def test_manifest(copy_file, happened):
    file = copy_file(f"{DATA}/manifest.npz")
    seen = damage_and_read(file, manifest.load, names(file))
    assert seen[REFUSED] > PLACES / 2
    happened(DAMAGED, "manifest", seen.total(), described(seen, "refused by name"))


def test_weights(copy_file, happened):
    file = copy_file(f"{SMALL_BASE}/weights.safetensors")
    seen = damage_and_read(file, weights.opened, names(file))
    assert seen[REFUSED] > PLACES
    happened(DAMAGED, "weights", seen.total(), described(seen, "refused by name"))


def test_metrics(copy_file, tmp_path, happened):
    """As a page reads them."""
    run = "runs/pinhole-smoke/resnet10q-k32"
    folder = tmp_path / run / "evaluation"
    folder.mkdir(parents=True)
    for name in ("metrics.json", "hits.npz"):
        shutil.copy(copy_file(f"{LARGE_BASE}/evaluation/{name}"), folder / name)
    files = (f"{run}/evaluation/{name}" for name in ("metrics.json", "hits.npz"))
    found = Measurement(run, *files)
    cell = Cell("a", "b", "a", "b", "top1", runs=[found])
    block = Block("", [], [], [], [[cell]])
    page = Page("page", "A page", "", ("", ""), [block])

    def read(_: Path) -> list:
        measured = View(page, tmp_path).measured
        arrays = {key: bits.tolist() for key, bits in measured.per_image[run].values.items()}
        return [measured.metrics, arrays, measured.per_image[run].images.tolist()]

    for file, where in ((folder / "metrics.json", EVERYWHERE), (folder / "hits.npz", PLACES)):
        seen = damage_and_read(file, read, names(file), where)
        assert seen[REFUSED] > seen.total() / 2
        happened(DAMAGED, file.stem, seen.total(), described(seen, "refused by name"))


def test_resolved_configuration(copy_file, happened):
    """A job compares it with what Snakemake planned."""
    file = copy_file(f"{SMALL_BASE}/config.json")
    planned = smoke_plan().job(SMALL_BASE.removeprefix("results/")).ancestry_digest

    def read(path: Path) -> dict:
        return jobs.read_config(path, "train", planned)

    seen = damage_and_read(file, read, names(file), EVERYWHERE)
    assert seen[REFUSED] > file.stat().st_size / 2
    what = described(seen, "refused by name")
    happened(DAMAGED, "a run's resolved configuration", seen.total(), what)


def test_predictions(copy_file, happened, capsys):
    """Predictions that may be damaged are not used: the evaluation predicts again."""
    file = copy_file(f"{LARGE_BASE}/evaluation/predictions/k32.npz")
    with np.load(file) as archive:
        key = str(archive["key"])

    def read(path: Path) -> np.ndarray:
        found = predictions.read(path, key)
        if found is None:
            raise LookupError
        return found

    seen = damage_and_read(file, read, not_used)
    assert seen[REFUSED] > PLACES / 4  # the rest is names and labels, which the manifest has
    assert f"{file} is damaged" in capsys.readouterr().err
    happened(DAMAGED, "predictions", seen.total(), described(seen, "not used: predicted again"))


def test_checkpoint(tmp_path, copy_file, happened, capsys):
    """A damaged checkpoint is ignored, and the one before it is taken."""
    state, _ = weights.load(copy_file(f"{ADAPTED}/weights.safetensors"))
    checkpoints = Checkpoints(tmp_path / "checkpoints", "key")
    checkpoints.save(1, {name: t + 1 for name, t in state.items()})
    checkpoints.save(2, state)
    older, newest = sorted((tmp_path / "checkpoints").iterdir())
    before = older.read_bytes()

    def read(path: Path) -> tuple:
        found = checkpoints.latest()
        if found[0] == 1:
            path.write_bytes(b"")  # `latest` has removed it, and it is to be damaged again
            raise LookupError
        return found

    seen = damage_and_read(newest, read, not_used)
    assert older.read_bytes() == before
    assert seen[REFUSED] > PLACES
    assert f"checkpoint ignored: {newest}" in capsys.readouterr().err
    what = described(seen, "ignored: resumed from the one before")
    happened(DAMAGED, "newest checkpoint", seen.total(), what)


@pytest.mark.parametrize("name", ["pillow", "dali"])
def test_image(tiny, tmp_path, name, happened):
    """A damaged JPEG is another picture, or none. Both differ from the manifest's checksum."""
    if name == "dali":
        pytest.importorskip("nvidia.dali")
    shutil.copytree(tiny.folder, tmp_path / "set")
    data = building.build(tmp_path / "set")
    rows = data.rows("val")[:4]
    file = Path(data.files(rows)[1])

    def read(_: Path) -> list:
        test_da = regions.Augmentation("test DA")
        rocs = regions.rocs(test_da, 24, rows, data.height[rows], data.width[rows])
        batches = loader.batches(data, [[loader.Crops(rocs, 24)]], name)
        return [pixels.clone() for _, [pixels] in batches]

    seen = damage_and_read(file, read, names(file), n=30 if name == "pillow" else 1)
    assert not seen[UNHARMED]
    happened(DAMAGED, f"image ({name})", seen.total(), described(seen, "refused by name"))


# --- the way out ----------------------------------------------------------------------------------


def spoil(file: Path) -> None:
    """Turn one bit over in the middle of a file."""
    content = file.read_bytes()
    file.write_bytes(Damage(at=len(content) // 2)(content))


def test_what_the_errors_advise_gives_the_same_bytes_again(undisturbed, tmp_path, happened):
    """Damaged metrics and weights: the step that reads them names the file.

    Deleted, as the error advises, the file is made again.
    """
    workflow = copy_of(undisturbed, tmp_path / "copy")
    for path, rule in (
        (f"{SMALL_BASE}/evaluation/metrics.json", "table"),
        (f"{ADAPTED}/weights.safetensors", "evaluate"),
    ):
        spoil(workflow.folder / path)
        result = workflow.run(*PAGES, "--forcerun", rule, check=False)
        assert result.returncode != 0
        assert f"{path}: damaged" in result.stdout
        assert "Delete it" in result.stdout
        (workflow.folder / path).unlink()
    workflow.run(*PAGES)
    assert different_results(workflow, undisturbed) == []
    happened(
        DAMAGED,
        "metrics and weights of a finished run",
        2,
        "refused by name; deleted as advised, the same command: the same bytes",
    )
