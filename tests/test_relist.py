"""`python -m fixres relist`: changed images are noticed, and nothing is lost where none changed."""

import json
import os
import re
import shutil

import pytest
import yaml

from fixres import config, paper, relist
from fixres.artifacts import manifest
from fixres.data import building, inventory
from fixres.data.rendered import twins
from fixres.data.sources import SOURCES
from fixres.jobs import JobError
from fixres.stages import manifest as stage
from shared import SETTINGS, textured

LOOK = SETTINGS | {
    "train_images": 24,
    "val_images": 24,
    "silhouettes": ["bar", "star5"],
    "hues": ["red", "blue"],
    "shorter_side": [24, 32],
}
FIRST = "train/bar-blue"  # a class folder


class Folder:
    """A data folder whose images are listed, and the current folder of a suite that uses it."""

    def __init__(self, folder, source="imagefolder"):
        self.root, self.data = folder / "my data", folder / "results/data/set"
        twins.write(source, self.root, LOOK)
        (self.root / building.OBJECTS).unlink()
        self.settings = {
            "dataset": "set",
            "datasets": {
                "set": {"source": source, "root": str(self.root), "checksums": "listed"},
                "drawn": {"rendered": LOOK},
            },
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(self.settings))
        self.job = paper.plan_of(config.parse(self.settings)).resolved("data/set/manifest")
        (self.data / "manifest").mkdir(parents=True)
        (self.data / "manifest/config.json").write_text(json.dumps(self.job))

    def list_images(self):
        options = {
            "--config": self.data / "manifest/config.json",
            "--root": self.root,
            "--out": self.data / "manifest.npz",
            "--threads": 1,
        }
        stage.main([str(word) for option in options.items() for word in option])
        return self

    @property
    def image(self):
        return min((self.root / FIRST).glob("*.jpg"))

    @property
    def manifest(self):
        return (self.data / "manifest.npz").read_bytes()

    def relist(self, capsys, *options):
        relist.main(["--threads", "1", *options])
        return capsys.readouterr().out


@pytest.fixture
def listed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path).list_images()


def add(listed):
    textured(30, 40).save(listed.root / FIRST / "new.png")


def remove(listed):
    listed.image.unlink()


def replace(listed):
    textured(30, 40).save(listed.image)


CHANGES = [
    (add, f"1 added ({FIRST}/new.png)", 25),
    (remove, f"1 removed ({FIRST}/", 23),
    (replace, f"1 changed ({FIRST}/", 24),
]


@pytest.mark.parametrize(("change", "said", "images"), CHANGES)
def test_a_changed_image_is_noticed_and_listed(listed, capsys, change, said, images):
    before = manifest.load(listed.data / "manifest.npz")
    change(listed)
    assert said in listed.relist(capsys, "--look")
    assert manifest.load(listed.data / "manifest.npz").digest() == before.digest()
    text = listed.relist(capsys)
    assert said in text
    assert "the images changed" in text
    after = manifest.load(listed.data / "manifest.npz")
    assert after.digest() != before.digest()
    assert len(after.rows("train")) == images
    assert any(f"set: {images} training and 24 validation" in note for note in after.notes)
    assert "nothing changed (" in listed.relist(capsys)


def test_nothing_changed(listed, capsys):
    before = listed.manifest
    text = listed.relist(capsys)
    assert "set: nothing changed (48 files)" in text
    assert "drawn: rendered by the suite" in text
    assert listed.manifest == before


def test_the_same_images_with_other_dates_leave_the_manifest_alone(listed, capsys):
    before, date = listed.manifest, (listed.data / "manifest.npz").stat().st_mtime_ns
    os.utime(listed.image, ns=(1, 1))
    assert "the same images as before" in listed.relist(capsys)
    assert (listed.manifest, (listed.data / "manifest.npz").stat().st_mtime_ns) == (before, date)
    assert "nothing changed" in listed.relist(capsys)


def test_the_same_images_at_another_place_keep_the_date_of_the_manifest(listed, capsys):
    """Snakemake goes by the date: nothing runs again. But later jobs must find the images."""
    file = listed.data / "manifest.npz"
    date, before = file.stat().st_mtime_ns, manifest.load(file)
    moved = listed.root.rename(listed.root.with_name("moved"))
    listed.settings["datasets"]["set"]["root"] = str(moved)
    (moved.parent / "config.yaml").write_text(yaml.safe_dump(listed.settings))
    assert "the same images as before" in listed.relist(capsys, "--force")
    after = manifest.load(file)
    assert (after.folder, after.digest(), after.notes) == (moved, before.digest(), before.notes)
    assert file.stat().st_mtime_ns == date


def test_an_image_of_the_same_size_and_date_is_found_by_force(listed, capsys):
    image, stat = listed.image, listed.image.stat()
    content = image.read_bytes()
    image.write_bytes(content[:-20] + bytes(18) + content[-2:])
    os.utime(image, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert "nothing changed" in listed.relist(capsys)
    assert "the images changed" in listed.relist(capsys, "--force")


def test_a_file_that_cannot_be_decoded_leaves_the_manifest_alone(listed, capsys):
    before = listed.manifest
    (listed.root / FIRST / "new.jpg").write_text("no image")
    with pytest.raises(JobError, match="set: not listed again"):
        relist.main(["--threads", "1"])
    text = capsys.readouterr().out
    assert "1 bad file(s)" in text
    assert "the manifest stays as it was" in text
    assert listed.manifest == before
    with pytest.raises(JobError):  # the folder still differs from what was listed
        relist.main(["--threads", "1"])


def test_a_folder_that_has_vanished_leaves_the_manifest_alone(listed, capsys):
    before = listed.manifest
    shutil.rmtree(listed.root)
    with pytest.raises(JobError, match="set: not listed again"):
        relist.main([])
    assert f"datasets.set.root: not a folder (got {listed.root}" in capsys.readouterr().out
    assert listed.manifest == before


def test_images_that_were_never_listed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = Folder(tmp_path)
    assert "set: not listed yet" in folder.relist(capsys)
    assert not (folder.data / "manifest.npz").exists()


def test_a_manifest_without_inventory_is_compared_with_the_images_themselves(listed, capsys):
    """Manifests of earlier versions have none."""
    (listed.data / inventory.NAME).unlink()
    before = listed.manifest
    text = listed.relist(capsys)
    assert "no record of the files from when they were listed" in text
    assert "the same images as before" in text
    assert listed.manifest == before
    assert "nothing changed" in listed.relist(capsys)


def test_the_note_of_a_rendered_set_has_no_date(listed):
    """Its pages are the same on every day."""
    note = "set: 24 training and 24 validation images, {}."
    file = listed.data / "manifest.npz"
    assert re.fullmatch(note.format(r"listed on \d{4}-\d\d-\d\d"), manifest.load(file).notes[0])
    (listed.root / building.OBJECTS).write_text("path,r\n")  # as beside a rendered set
    listed.list_images()
    assert manifest.load(file).notes[0] == note.format("rendered")


def test_settings_that_changed_are_left_to_snakemake(listed, capsys):
    listed.settings["datasets"]["set"]["on_bad"] = "exclude"
    (listed.root.parent / "config.yaml").write_text(yaml.safe_dump(listed.settings))
    add(listed)
    before = listed.manifest
    assert "the next snakemake command lists it again by itself" in listed.relist(capsys)
    assert listed.manifest == before


def test_the_results_that_depend_on_the_images_are_named(listed, capsys):
    made = [
        "runs/set/resnet10q-k56/weights.safetensors",
        "runs/set/resnet10q-k56/evaluation/metrics.json",
        "runs/set/other-k56-fast/weights.safetensors",  # of another configuration
        "timing/set/resnet10q-k56/metrics.json",
    ]
    others = ["runs/set/resnet50-pretrained/weights.safetensors", "runs/drawn/a/metrics.json"]
    for file in (*made, *others):
        path = listed.root.parent / "results" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    fetched = (listed.root.parent / "results" / others[0]).with_name("config.json")
    fetched.write_text('{"stage": "pretrained"}')
    add(listed)
    text = listed.relist(capsys)
    assert "2 files of numbers and 2 files of weights (runs/set/other-k56-fast/weights" in text
    plan = paper.plan_of(config.parse(listed.settings))
    assert relist._results(plan, "set") == sorted(made)


def test_it_waits_for_snakemake(listed, capsys):
    add(listed)
    (listed.root.parent / ".snakemake/locks").mkdir(parents=True)
    (listed.root.parent / ".snakemake/locks/0.input.lock").touch()
    before = listed.manifest
    with pytest.raises(JobError):
        relist.main(["--threads", "1"])
    assert "Snakemake is running in this folder" in capsys.readouterr().out
    assert listed.manifest == before


def test_an_unknown_dataset(listed):
    with pytest.raises(JobError, match=r"sett: not an entry of datasets\. Did you mean 'set'"):
        relist.main(["sett"])


@pytest.mark.parametrize("source", [s for s in SOURCES if s != "imagefolder"])
def test_a_new_archive_or_list_is_noticed(tmp_path, monkeypatch, capsys, source):
    """Of each file in the official layout, whether archive or list."""
    monkeypatch.chdir(tmp_path)
    folder = Folder(tmp_path, source).list_images()
    assert "nothing changed" in folder.relist(capsys)
    files = [f for f in folder.root.iterdir() if f.is_file() and f.name != "md5sums.txt"]
    assert files
    for file in files:
        os.utime(file, ns=(1, 1))
        assert f"1 changed ({file.name})" in folder.relist(capsys, "--look")
        folder.relist(capsys)
        assert "nothing changed" in folder.relist(capsys)
