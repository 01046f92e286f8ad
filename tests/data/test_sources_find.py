"""Distributed files that are missing, damaged, or in folders without rights or room."""

import errno
import gc
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from layouts_shared import OFFICIAL

from fixres.artifacts import manifest
from fixres.data import building, extract, sources, unpack
from fixres.jobs import JobError


@pytest.mark.parametrize("source", OFFICIAL)
def test_missing_files_are_told_with_where_to_get_them(tmp_path, source):
    with pytest.raises(JobError) as caught:
        building.build(tmp_path / "nowhere", source, key=f"datasets.{source}.root")
    described, message = sources.load(source), str(caught.value)
    for part in described.parts:
        assert (part.archive or part.path) in message
    for expected in ("no such folder", f"datasets.{source}.root", "nothing that belongs to it"):
        assert expected in message
    for expected in (described.where, described.terms):
        assert expected in message


LISTS = [
    ("cars", "devkit/cars_meta.mat"),
    ("cars", "cars_test_annos_withlabels.mat"),
    ("cub", "train_test_split.txt"),
    ("flowers", "setid.mat"),
    ("pets", "annotations/test.txt"),
    ("birdsnap", "species.txt"),
    ("imagenet", "ILSVRC2012_devkit_t12/data/meta.mat"),
    ("tiny-imagenet", "wnids.txt"),
    ("tiny-imagenet", "val/val_annotations.txt"),
]


@pytest.mark.parametrize(("source", "file"), LISTS)
@pytest.mark.parametrize("damage", ["missing", "garbage", "empty"])
def test_a_list_that_is_missing_or_damaged_is_named(made, tmp_path, no_md5s, source, file, damage):
    victim = made(source).unpacked(tmp_path) / file
    victim.unlink() if damage == "missing" else victim.write_bytes(
        {"garbage": b"\x00\xff no list\n" * 40, "empty": b""}[damage]
    )
    with pytest.raises(JobError) as caught:
        building.build(tmp_path, source)
    assert Path(file).name in str(caught.value)


@pytest.mark.parametrize("source", OFFICIAL)
def test_a_wrong_checksum_stops_before_anything_is_unpacked(made, tmp_path, source):
    root = tmp_path / "root"
    shutil.copytree(made(source).root, root)
    name = next(iter(unpack.listed(root)))
    data = bytearray((root / name).read_bytes())
    data[len(data) // 2] ^= 1
    (root / name).write_bytes(data)
    with pytest.raises(JobError, match=rf"{name}: .*got MD5 [0-9a-f]{{32}}, expected"):
        building.build(root, source, tmp_path / "work", checksums="listed")
    assert not list(tmp_path.glob("work/archives/*.partial"))
    if source != "birdsnap":  # no checksum of it is published
        md5 = "[0-9a-f]{32}"
        what = "truncated, damaged or not the official file"
        with pytest.raises(JobError, match=rf"{what} .*expected {md5}( or {md5})?\)"):
            building.build(made(source).root, source, tmp_path / "work")


def test_checksums_of_ones_own(made, tmp_path):
    shutil.copytree(made("cub").root, tmp_path / "root")
    sums = tmp_path / "root" / "md5sums.txt"
    for content, expected in [
        ("", "not in md5sums.txt"),
        ("no sum\n", "line 1: .*got 'no sum'"),
        (None, "no such file"),
    ]:
        sums.write_text(content) if content is not None else sums.unlink()
        with pytest.raises(JobError, match=expected):
            building.build(tmp_path / "root", "cub", tmp_path / "work", checksums="listed")


def command(root: Path, out: Path, source: str) -> int:
    """Run the manifest command in this process; its exit status."""
    from fixres.__main__ import main

    out.mkdir(exist_ok=True)
    config = out / "config.json"
    config.write_text(
        json.dumps({"stage": "manifest", "source": source, "on_bad": "stop", "checksums": "listed"})
    )
    paths = ["--config", config, "--root", root, "--out", out / "manifest.npz"]
    try:
        return main(["manifest", *map(str, paths), "--threads", "1"])
    finally:
        gc.unfreeze()  # `main` freezes, which is right only in a process of its own


def test_a_disk_that_is_full_or_read_only_is_told(made, tmp_path, monkeypatch, capsys):
    twin, plain = made("cub"), shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: plain(path)._replace(free=100))
    assert command(twin.root, tmp_path / "full", "cub") == 1
    assert "Free some space first" in capsys.readouterr().err
    monkeypatch.undo()
    for code, said in ((errno.ENOSPC, "No space left"), (errno.EROFS, "Read-only")):

        def refuse(member, folder, code=code):
            raise OSError(code, os.strerror(code), member.name)

        monkeypatch.setattr(extract, "write", refuse)
        assert command(twin.root, tmp_path / str(code), "cub") == 1
        assert said in capsys.readouterr().err
        monkeypatch.undo()
        assert command(twin.root, tmp_path / str(code), "cub") == 0


def as_nobody(root: Path, out: Path) -> tuple[int, str]:
    """Run the manifest command as a user without rights; its exit status, and what it printed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            sys.stderr = os.fdopen(writing, "w")
            if os.getuid() == 0:
                os.setuid(65534)
            code = command(root, out, "cub")
            sys.stderr.flush()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as f:
        said = f.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def test_folders_that_may_only_be_read(made):
    """A data folder may be read-only. A read-only results folder is an error that names it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        shutil.copytree(made("cub").root, folder / "data")
        (folder / "out").mkdir()
        (folder / "out").chmod(0o777)
        (folder / "closed" / "unpacked").mkdir(parents=True)
        (folder / "closed" / "config.json").write_text("{}")
        for path in (folder / "data", *(folder / "data").iterdir(), folder / "closed" / "unpacked"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        (folder / "closed").chmod(0o777)
        (folder / "closed" / "config.json").chmod(0o666)
        code, said = as_nobody(folder / "data", folder / "out")
        assert code == 0, said
        again = manifest.load(folder / "out" / "manifest.npz")
        assert again.digest() == made("cub").manifest.digest()
        code, said = as_nobody(folder / "data", folder / "closed")
        assert code == 1
        assert f"{folder / 'closed' / 'unpacked'}" in said
        assert "Permission denied" in said
