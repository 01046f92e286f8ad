"""Published weights from a URL: checked, carried on after a break, never mixed with others."""

import hashlib
import re

import pytest
import torch

from bench import same
from fetching import NETWORK, fetch
from fixres.jobs import JobError
from fixres.models import published
from serving import serving

FILE = "net-weights.pth"


@pytest.fixture
def serve():
    """Starts a server of one file."""
    with serving() as start:
        yield lambda content, **options: start({FILE: content}, **options)


@pytest.fixture
def content(tmp_path, state) -> bytes:
    torch.save({"state_dict": state}, tmp_path / "served.pth")
    return (tmp_path / "served.pth").read_bytes()


@pytest.mark.parametrize("digits", [64, 8])
def test_a_download_is_checked_and_leaves_nothing_behind(
    tmp_path, state, serve, content, digits, capsys
):
    server, sha256 = serve(content), hashlib.sha256(content).hexdigest()
    tensors, meta = fetch(tmp_path, {"url": server.url(FILE), "sha256": sha256[:digits]})
    assert same(tensors, state)
    assert meta["sha256"] == sha256
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["weights.safetensors"]
    assert re.search(r"download of net-weights\.pth: (\d+)/\1 MB", capsys.readouterr().err)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_breaks_off_is_carried_on(tmp_path, state, serve, content, ranges):
    half = len(content) // 2
    server = serve(content, ranges=ranges, breaks_after=half)
    source = {"url": server.url(FILE), "sha256": hashlib.sha256(content).hexdigest()}
    message = f"broke off after {half} of {len(content)} bytes.*Run the same command again"
    with pytest.raises(JobError, match=message) as error:
        fetch(tmp_path, source)
    assert server.url(FILE) in str(error.value)
    server.breaks_after = None
    assert same(fetch(tmp_path, source)[0], state)
    assert [r for _, r in server.asked] == [None, f"bytes={half}-"]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["weights.safetensors"]


def test_a_part_that_is_whole_already_is_not_fetched_again(tmp_path, state, serve, content):
    """Killed between the last byte and the check."""
    server, sha256 = serve(content), hashlib.sha256(content).hexdigest()
    file = published.download(server.url(FILE), sha256, tmp_path / "out" / "downloads", "")
    assert file.read_bytes() == content
    assert same(fetch(tmp_path, {"url": server.url(FILE), "sha256": sha256})[0], state)
    assert [r for _, r in server.asked] == [None, f"bytes={len(content)}-"]


def test_a_wrong_checksum_names_the_url_and_the_next_attempt_starts_afresh(
    tmp_path, serve, content
):
    server, source = serve(b"x" + content[1:]), {"sha256": hashlib.sha256(content).hexdigest()}
    with pytest.raises(JobError, match="wrong checksum") as error:
        fetch(tmp_path, {"url": server.url(FILE)} | source)
    assert server.url(FILE) in str(error.value)
    server.files[FILE] = content
    fetch(tmp_path, {"url": server.url(FILE)} | source)
    assert [r for _, r in server.asked] == [None, None]


def test_a_part_of_another_file_is_not_carried_on(tmp_path, state, serve, content):
    old = serve(b"y" * 5000, breaks_after=3000)
    with pytest.raises(JobError, match="broke off"):
        fetch(tmp_path, {"url": old.url(FILE), "sha256": "1" * 64})
    server, sha256 = serve(content), hashlib.sha256(content).hexdigest()
    assert same(fetch(tmp_path, {"url": server.url(FILE), "sha256": sha256})[0], state)
    assert [r for _, r in server.asked] == [None]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("404", "404"), ("refused", "refused"), ("no checksum", "too short"), ("scheme", "net")],
)
def test_a_url_that_cannot_be_had(tmp_path, serve, content, kind, expected):
    server = serve(content)
    url, sha256 = server.url(FILE), "12345678"
    if kind == "404":
        url = url.replace("net-weights", "other")
    elif kind == "refused":
        server.close()
    elif kind == "no checksum":
        sha256 = ""
    else:
        url = "net-weights.pth"
    with pytest.raises(JobError, match=expected) as error:
        fetch(tmp_path, {"url": url, "sha256": sha256})
    assert url in str(error.value)
    assert kind == "no checksum" or f"networks.{NETWORK}.weights.file" in str(error.value)
