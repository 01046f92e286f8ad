"""`fixres download`: files of datasets from a server, checked, carried on, never half there."""

import gc
import hashlib
import os
import re
import shutil
from pathlib import Path

import pytest

from fixres import config
from fixres.__main__ import main
from fixres.data import building, download, sources
from fixres.data.rendered.layouts import LAYOUTS
from fixres.graph.graph import JobGraph, Missing, list_images
from fixres.jobs import JobError
from serving import Server, serving
from shared import ROOT

FETCHED = [name for name in sources.SOURCES if sources.load(name).addresses]
SOURCE, FIRST, ARCHIVE = "flowers", "imagelabels.mat", "102flowers.tgz"


@pytest.fixture
def offer(made, monkeypatch):
    """Serves the twin of a source, as if it were the official dataset."""
    load = sources.load

    def offered(name: str, **options: object) -> Server:
        source, root = load(name), made(name).root
        files = {part.distributed: (root / part.distributed).read_bytes() for part in source.parts}
        server = start(files, **options)
        md5 = {file: hashlib.md5(content).hexdigest() for file, content in files.items()}
        parts = tuple(part._replace(md5=md5[part.distributed]) for part in source.parts)
        addresses = {file: server.url(file) for file in files}
        served = source._replace(parts=parts, addresses=addresses)
        monkeypatch.setattr(sources, "load", lambda _: served)
        return server

    with serving() as start:
        yield offered


@pytest.fixture
def said(capfd):
    """Runs the command; what it printed, or what it said when it failed."""

    def run(folder: Path, name: str = SOURCE, fails: bool = False) -> str:
        try:
            assert main(["download", name, str(folder)]) == int(fails)
        finally:
            gc.unfreeze()  # `main` freezes, which is right only in a process of its own
        out, err = capfd.readouterr()
        return "error in download: " + err.partition("error in download: ")[2] if fails else out

    return run


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize("name", [name for name in FETCHED if name in LAYOUTS])
def test_a_dataset_is_fetched_checked_and_ready(made, offer, said, tmp_path, name):
    server, folder = offer(name), tmp_path / "new" / "my data"
    text = said(folder, name)
    assert names(folder) == sorted(server.files)
    assert {n: (folder / n).read_bytes() for n in server.files} == server.files
    assert text.index(f"Terms: {sources.load(name).terms}") < text.index(": downloaded")
    assert f"datasets.{name}.root: {folder}\n" in text
    data = building.build(folder, name, tmp_path / "work")  # published checksums
    assert data.digest() == made(name).manifest.digest()
    asked = len(server.asked)
    assert asked == len(server.files)
    assert said(folder, name).count(": already there\n") == len(server.files)
    assert len(server.asked) == asked


@pytest.mark.parametrize("name", FETCHED)
def test_the_steps_that_it_names_are_those_of_the_configuration(name):
    text = download._next_steps(name, Path("/my data"))
    [variable] = re.findall(r"export (\w+)='/my data'", text)
    [file] = re.findall(r"--configfile (\S+)", text)
    dataset = config.load(ROOT / "config.yaml", ROOT / file).datasets[name]
    assert (dataset.source, dataset.root) == (name, f"${variable}")


@pytest.mark.parametrize("name", FETCHED)
def test_each_file_has_an_address_and_a_checksum(name):
    source = sources.load(name)
    assert source.addresses.keys() == {part.distributed for part in source.parts}
    for file, address in source.addresses.items():
        assert address.startswith("http")
        assert address.endswith(f"/{file}")
    for part in source.parts:
        assert [len(md5) for md5 in part.md5s] in ([32], [32, 32])


@pytest.mark.parametrize("name", [name for name in sources.SOURCES if name not in FETCHED])
def test_where_to_get_what_it_cannot_fetch(said, tmp_path, name):
    source, text = sources.load(name), said(tmp_path / "new", name, fails=True)
    assert source.where in text
    assert source.terms in text
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_breaks_off_is_carried_on(offer, said, tmp_path, ranges):
    server = offer(SOURCE, ranges=ranges, breaks_after=40)
    size = len(server.files[FIRST])
    error = said(tmp_path, fails=True)
    assert f"{server.url(FIRST)}: could not be fetched" in error
    assert f"broke off after 40 of {size} bytes" in error
    assert f"by hand into {tmp_path}" in error
    assert names(tmp_path) == [f"{FIRST}.part"]
    server.breaks_after = None
    said(tmp_path)
    assert names(tmp_path) == sorted(server.files)
    assert (tmp_path / FIRST).read_bytes() == server.files[FIRST]
    assert server.asked[:2] == [(FIRST, None), (FIRST, "bytes=40-")]


def test_a_server_that_does_not_say_how_large_a_file_is(offer, said, tmp_path):
    server = offer(SOURCE, ranges=False, breaks_after=40, chunked=True)
    assert f"{server.url(FIRST)}: could not be fetched (IncompleteRead" in said(
        tmp_path, fails=True
    )
    server.breaks_after = None
    said(tmp_path)
    assert names(tmp_path) == sorted(server.files)


def test_a_file_that_changes_on_the_server_gives_no_mixture(offer, said, tmp_path):
    server = offer(SOURCE, breaks_after=40)
    said(tmp_path, fails=True)
    official, server.breaks_after = server.files[FIRST], None
    server.files[FIRST] = b"x" * len(official)
    error = said(tmp_path, fails=True)
    assert re.search(rf"{FIRST}: wrong checksum \(got MD5 \w+, expected \w+\)\. Run the", error)
    assert names(tmp_path) == []
    server.files[FIRST] = official
    said(tmp_path)
    assert server.asked[2] == (FIRST, None)


def test_a_part_that_is_whole_already_is_only_checked(offer, said, tmp_path):
    """Killed between the last byte and the check."""
    server = offer(SOURCE)
    (tmp_path / f"{FIRST}.part").write_bytes(server.files[FIRST])
    said(tmp_path)
    assert names(tmp_path) == sorted(server.files)


def test_a_file_of_other_content_is_not_replaced(offer, said, tmp_path):
    server = offer(SOURCE)
    (tmp_path / ARCHIVE).write_bytes(b"mine")
    error = said(tmp_path, fails=True)
    assert f"{tmp_path / ARCHIVE}: wrong checksum" in error
    assert "Move it away" in error
    assert (tmp_path / ARCHIVE).read_bytes() == b"mine"
    assert server.asked == []


def test_a_file_that_is_gone_from_the_server(offer, said, tmp_path):
    server = offer(SOURCE)
    del server.files[ARCHIVE]
    error = said(tmp_path, fails=True)
    assert "(the server answered 404 Not Found). Download this address by hand into" in error
    assert error.count("\n") == 1


def test_no_network(offer, said, tmp_path, monkeypatch):
    server = offer(SOURCE)
    server.close()
    error = said(tmp_path, fails=True)
    assert "refused). Run the same command again to resume, or download this address" in error
    unknown = sources.load(SOURCE)._replace(
        addresses=dict.fromkeys(server.files, "http://a.invalid/b")
    )
    monkeypatch.setattr(sources, "load", lambda _: unknown)
    assert "http://a.invalid/b: could not be fetched (no network, or" in said(tmp_path, fails=True)
    assert names(tmp_path) == []


def test_a_disk_without_room(offer, said, tmp_path, monkeypatch):
    offer(SOURCE)
    plain = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: plain(path)._replace(free=100))
    error = said(tmp_path, fails=True)
    assert f"(got 0 MB free, expected 1 MB for {FIRST}). Free some space, then" in error


def test_a_folder_that_cannot_be_written(offer, said, tmp_path, monkeypatch):
    offer(SOURCE)
    (tmp_path / "file").write_text("")
    assert "not usable for the files of Oxford Flowers 102 (got a file" in said(
        tmp_path / "file", fails=True
    )
    assert "(Not a directory). Name another folder" in said(tmp_path / "file" / "x", fails=True)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert f"{tmp_path}: cannot hold" in said(tmp_path, fails=True)


def test_ctrl_c_keeps_what_came(offer, tmp_path, monkeypatch, capfd, said):
    server = offer(SOURCE, breaks_after=40)
    said(tmp_path, fails=True)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("urllib.request.urlopen", interrupt)
    try:
        assert main(["download", SOURCE, str(tmp_path)]) == 130
    finally:
        gc.unfreeze()
    assert "download: interrupted. Run the same command again to resume" in capfd.readouterr().err
    assert (tmp_path / f"{FIRST}.part").read_bytes() == server.files[FIRST][:40]


def test_a_missing_dataset_is_told_with_the_command(tmp_path):
    command = r"get it:  fixres download cub '.*/no data', or http"
    with pytest.raises(JobError, match=command):
        building.build(tmp_path / "no data", "cub")
    settings = config.Config(dataset="x", datasets={"x": {"source": "cub", "root": "$NOWHERE"}})
    with pytest.raises(Missing, match=r"\(to fetch them: fixres download cub FOLDER\)"):
        list_images(JobGraph(settings), "x")
