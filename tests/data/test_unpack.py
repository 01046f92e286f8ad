"""Unpacking: an archive that is hostile, cut short or changed is refused; a killed job resumes."""

import gzip
import hashlib
import io
import os
import shutil
import signal
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts_shared import everything

from fixres.data import building, extract, idx, unpack
from fixres.jobs import JobError


def tar_of(file: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w") -> Path:
    with tarfile.open(file, mode) as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file


def linked(kind: bytes, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo("link")
    member.type, member.linkname = kind, target
    return member


UNSAFE = {
    "above": tarfile.TarInfo("../escaped"),
    "deep above": tarfile.TarInfo("a/b/../../../escaped"),
    "absolute": tarfile.TarInfo("/tmp/escaped"),
    "symbolic link out": linked(tarfile.SYMTYPE, "../../escaped"),
    "symbolic link to the root": linked(tarfile.SYMTYPE, "/etc/passwd"),
    "hard link out": linked(tarfile.LNKTYPE, "../escaped"),
    "symbolic link inside": linked(tarfile.SYMTYPE, "fine"),
    "hard link inside": linked(tarfile.LNKTYPE, "fine"),
    "device": linked(tarfile.CHRTYPE, ""),
    "named pipe": linked(tarfile.FIFOTYPE, ""),
}


@pytest.mark.parametrize("how", UNSAFE)
@pytest.mark.parametrize("packing", ["tar", "tars"])
def test_an_archive_that_would_leave_its_folder_is_refused(tmp_path, how, packing):
    (tmp_path / "in").mkdir()
    members = [(tarfile.TarInfo("fine"), b"1"), (UNSAFE[how], b"")]
    archive = tar_of(tmp_path / "in" / "x.tar", members)
    if packing == "tars":
        inner = [(tarfile.TarInfo("n1.tar"), archive.read_bytes())]
        archive = tar_of(tmp_path / "in" / "outer.tar", inner)
    work = tmp_path / "work" / "deep"
    with pytest.raises(JobError, match=rf"{archive.name}: refused"):
        unpack.unpack(archive, (), work, packing)
    assert not (work / archive.name).exists()
    assert not list(tmp_path.rglob("escaped"))


def test_a_path_too_long_for_the_system_hides_no_link(tmp_path):
    """CVE-2025-4517. Folders and links to them, nested until Python can no longer resolve a path.

    From then on `tarfile.data_filter` takes a link for a folder (Python 3.11.7), and follows it
    out: the last member would be written beside the folder, wherever the link leads.
    """
    long, steps, members, path = "d" * 247, "abcdefghijklmnop", [], ""
    for step in steps:
        folder = tarfile.TarInfo(f"{path}{long}")
        folder.type = tarfile.DIRTYPE
        members += [folder, short := linked(tarfile.SYMTYPE, long)]
        short.name, path = f"{path}{step}", f"{path}{long}/"
    members += [top := linked(tarfile.SYMTYPE, "../" * len(steps))]
    top.name = f"{'/'.join(steps)}/{'l' * 254}"
    members += [out := linked(tarfile.SYMTYPE, f"{top.name}/.."), tarfile.TarInfo("out/escaped")]
    out.name = "out"
    archive = tar_of(tmp_path / "x.tar", [(member, b"") for member in members])
    with pytest.raises(JobError, match=r"x\.tar: refused: 'a' is a link or a device"):
        unpack.unpack(archive, (), tmp_path / "work")
    assert not list(tmp_path.rglob("escaped"))


def sparse(size: int) -> bytes:
    """A tar with one sparse member of `size` bytes, all of them a hole; gzipped."""
    member = tarfile.TarInfo("x.jpg")
    member.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return gzip.compress(bytes(header) + bytes(2 * tarfile.BLOCKSIZE))


def many(*names: str, content: bytes = b"1") -> bytes:
    """A tar of files of these names. A name that ends in / is a folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            member.size = 0 if name.endswith("/") else len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def with_header(file: bytes, **changed: object) -> bytes:
    """A tar whose first header is changed, with the checksum that fits."""
    member = tarfile.TarInfo.frombuf(file[: tarfile.BLOCKSIZE], "utf-8", "strict")
    for key, value in changed.items():
        setattr(member, key, value)
    return member.tobuf(tarfile.GNU_FORMAT) + file[tarfile.BLOCKSIZE :]


ODD = {
    "a sparse file of 4.6 EB": (sparse(2**62), "refused: 'x.jpg' is a sparse file"),
    "a long name": (many("n" * 5000), r"refused: 'n+…' \(5000 letters\) is too long a name"),
    "a long part": (many("n" * 300), r"refused: .* cannot be written \(File name too long\)"),
    "deep folders": (many("a/" * 400), r"refused: .* is too long a name"),
    "a folder's name taken": (many("a", "a/b"), r"refused: 'a/b' cannot .*\(Not a directory\)"),
    "a folder over a file": (many("a", "a/"), r"refused: 'a' cannot .*\(Not a directory\)"),
    "a file's name taken": (many("a/", "a"), r"refused: 'a' cannot .*\(Is a directory\)"),
    "no name": (many("./"[:1]), r"refused: '\.' is not a file name"),
    "control characters": (many("/\x1b[2J"), r"refused: '/\\x1b\[2J' would be written outside"),
    "nothing": (b"", "truncated or damaged"),
    "a size below zero": (with_header(many("a"), size=-512), "truncated or damaged|refused"),
    "a size beyond all": (with_header(many("a"), size=2**70), "refused: 'a' takes 118059162071"),
    "a header of its own size": (
        with_header(many("n" * 200), size=2**62),
        r"truncated or damaged \(method tar: .*a header of 4611686018427387904 bytes",
    ),
    "many long names": (
        with_header(many("n" * 200))[: 2 * tarfile.BLOCKSIZE] * 2000,
        "truncated or damaged",
    ),
    "a damaged header": (many("a", "b").replace(b"b\0", b"c\0"), "truncated .*damaged header"),
}


@pytest.mark.parametrize("how", ODD)
def test_an_odd_archive_is_one_clear_error(tmp_path, how):
    content, message = ODD[how]
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(JobError, match=rf"^{tmp_path}/x\.tar: ({message})") as error:
        unpack.unpack(tmp_path / "x.tar", (), tmp_path / "work")
    assert len(str(error.value)) < 500
    assert {p.name for p in tmp_path.iterdir()} <= {"x.tar", "work"}


@pytest.mark.parametrize("packing", ["tar", "tars", "zip", "idx"])
def test_no_more_comes_out_than_an_archive_of_its_size_may_hold(tmp_path, packing, monkeypatch):
    """Zeros, which compress to a thousandth."""
    monkeypatch.setattr(extract, "LEAST", 0)
    inner = gzip.compress(many("a", "b", content=bytes(500_000)))
    if packing == "zip":
        archive = zip_of(tmp_path / "x", {"a": bytes(1_000_000)})
    elif packing == "idx":
        (archive := tmp_path / "x").write_bytes(idx.pack(np.zeros((10, 100, 1000), np.uint8)))
    else:
        (archive := tmp_path / "x").write_bytes(many("n1.tar", content=inner))
        if packing == "tar":
            archive.write_bytes(inner)
    most = r"refused: .* takes 500000 bytes, but the archive may hold at most \d+"
    if packing == "zip":
        most = most.replace("500000", "1000000")
    if packing == "idx":
        most = "got 10 x 100 x 1000 values, expected 1 to"
    with pytest.raises(JobError, match=most):
        unpack.unpack(archive, (), tmp_path / "work", packing)


def zip_of(file: Path, content: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return file


def test_a_zip_is_unpacked_or_refused(tmp_path):
    def tried(name: str, mode: int = 0) -> Path:
        archive = zip_of(tmp_path / "a.zip", {"a/b": b"1", name: b"2"}, mode)
        return unpack.unpack(archive, (), tmp_path / "work", "zip")

    folder = tried("a/ü.txt", stat.S_IFREG | 0o4777)
    assert {p.name: p.read_bytes() for p in (folder / "a").iterdir()} == {"b": b"1", "ü.txt": b"2"}
    assert {p.stat().st_mode & 0o7111 for p in (folder / "a").iterdir()} == {0}
    for name, mode in {"/tmp/escaped": 0, "../escaped": 0, "link": stat.S_IFLNK | 0o777}.items():
        with pytest.raises(JobError, match=r"a\.zip: refused: "):
            tried(name, mode)
    whole = zip_of(tmp_path / "a.zip", {"a": b"123"}).read_bytes()
    for damaged in (whole[:-30], whole.replace(whole[30:36], b"a\0\0\0\0\0"), b""):
        (tmp_path / "a.zip").write_bytes(damaged)
        with pytest.raises(JobError, match=r"a\.zip: truncated or damaged"):
            unpack.unpack(tmp_path / "a.zip", (), tmp_path / "work", "zip")


def test_nothing_is_written_through_a_link_that_is_already_there(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "file").symlink_to(tmp_path / "elsewhere" / "file")
    for name in ("link/a", "file"):
        member = extract.Member(name, "file", 1, lambda: io.BytesIO(b"1"))
        with pytest.raises(extract.Refused, match="cannot be written"):
            extract.write(member, tmp_path / "in")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_an_outer_tar_holds_tars_of_different_names(tmp_path):
    inner = many("a")
    for names in (("n1.tar", "b/n1.tar"), ("...tar",), (".tar",), ("n1/",)):
        (tmp_path / "outer.tar").write_bytes(many(*names, content=inner))
        with pytest.raises(JobError, match=r"refused: .* is not a tar with a new name"):
            unpack.unpack(tmp_path / "outer.tar", (), tmp_path / "work", "tars")


def test_an_outer_tar_cannot_leave_its_folder_either(tmp_path):
    inner = tar_of(tmp_path / "x.tar", [(tarfile.TarInfo("a"), b"1")]).read_bytes()

    def unpack_outer(name: str, content: bytes) -> None:
        outer = tar_of(tmp_path / "outer.tar", [(tarfile.TarInfo(name), content)])
        unpack.unpack(outer, (), tmp_path / "work", packing="tars")

    for name in ("../n1.tar", "/n1.tar"):
        with pytest.raises(JobError, match="refused"):
            unpack_outer(name, inner)
    with pytest.raises(JobError, match="truncated or damaged"):
        unpack_outer("n1.tar", b"no tar")


@given(
    share=st.floats(0, 1),
    suffix=st.sampled_from(["tar", "tgz"]),
    packing=st.sampled_from(["tar", "tars"]),
    sizes=st.lists(st.integers(0, 1500), min_size=1, max_size=4),
)
@everything
def test_an_archive_cut_anywhere_is_an_error_or_whole(tmp_path, share, suffix, packing, sizes):
    """Only the loss of zeros behind the end mark can go unnoticed."""
    shutil.rmtree(tmp_path / "work", ignore_errors=True)
    mode = "w:gz" if suffix == "tgz" else "w"
    content = {
        f"f{i}": hashlib.sha256(bytes([i])).digest() * (n // 32) for i, n in enumerate(sizes)
    }
    members = [(tarfile.TarInfo(name), data) for name, data in content.items()]
    archive = tar_of(tmp_path / f"a.{suffix}", members, mode)
    if packing == "tars":
        members = [(tarfile.TarInfo(f"n{i}.tar"), archive.read_bytes()) for i in range(2)]
        archive = tar_of(tmp_path / f"b.{suffix}", members, mode)
    data = archive.read_bytes()
    archive.write_bytes(data[: int(share * len(data))])
    folder, said = tmp_path / "work" / archive.name, ""
    try:
        assert unpack.unpack(archive, (), tmp_path / "work", packing) == folder
    except JobError as error:
        said = str(error)
    if said:
        assert f"{archive.name}: truncated or damaged" in said
        assert not folder.exists()
        return
    for part in [folder / "n0", folder / "n1"] if packing == "tars" else [folder]:
        assert {p.name: p.read_bytes() for p in part.iterdir()} == content


@pytest.mark.parametrize(("blocks", "whole"), [(2, False), (4, False), (5, True), (6, True)])
def test_a_tar_cut_between_two_files_is_noticed(tmp_path, blocks, whole):
    """Two files of one block, with their headers. tarfile alone accepts all of these archives."""
    archive = tar_of(tmp_path / "a.tar", [(tarfile.TarInfo(name), b"1") for name in "ab"])
    archive.write_bytes(archive.read_bytes()[: blocks * tarfile.BLOCKSIZE])
    with tarfile.open(archive) as tar:
        assert len(tar.getnames()) == min(blocks // 2, 2)
    if whole:
        assert len(list(unpack.unpack(archive, (), tmp_path / "work").iterdir())) == 2
    else:
        with pytest.raises(JobError, match="truncated"):
            unpack.unpack(archive, (), tmp_path / "work")


def test_a_changed_byte_in_a_compressed_archive_is_noticed(tmp_path):
    """By gzip's own checksum, which stands behind the last file.

    The archive is stored without compression, so nothing else would notice the change.
    """
    archive = tmp_path / "a.tgz"
    with tarfile.open(archive, "w:gz", compresslevel=0) as tar:
        member = tarfile.TarInfo("f")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"right"))
    archive.write_bytes(archive.read_bytes().replace(b"right", b"wrong"))
    with pytest.raises(JobError, match=r"a\.tgz: truncated or damaged \(CRC"):
        unpack.unpack(archive, (), tmp_path / "work")


def killed(work, at: int) -> bool:
    """Whether `work` is killed: in its own process, when it unpacks its `at`-th file."""
    child = os.fork()
    if child == 0:
        plain, calls = extract.write, []

        def write(*args):
            calls.append(1)
            if len(calls) == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return plain(*args)

        extract.write = write
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_unpacking_resumes_after_kill_9(made, tmp_path, monkeypatch):
    """What is finished, archives and inner tars, is neither unpacked nor checked a second time."""
    twin = made("imagenet")

    def work():
        return building.build(twin.root, "imagenet", tmp_path / "unpacked", checksums="listed")

    # First come the devkit (2 lists, 2 folders), the boxes (24 and 24, 6 folders and one) and 24
    # validation images, then the training images in classes of eight. The job is killed in the
    # third class.
    assert killed(work, 3 + 30 + 25 + 24 + 20)
    archives = tmp_path / "unpacked" / "archives"
    finished = ("ILSVRC2012_img_train.tar.partial/n*", "*.tar", "*.gz", "*.tgz")
    done = {p: p.stat().st_ino for name in finished for p in archives.glob(name)}
    assert sum(".partial" in str(p) for p in done) >= 1
    assert (archives / "ILSVRC2012_img_val.tar").is_dir()
    extracted, plain = [], extract.write

    def write(member, folder):
        extracted.append(member.name)
        return plain(member, folder)

    monkeypatch.setattr(extract, "write", write)
    monkeypatch.setattr(unpack, "md5", lambda file: pytest.fail(f"{file} was checked again"))
    again = work()
    assert again.digest() == twin.manifest.digest()
    assert len(extracted) == 48 - 8 * sum(".partial" in str(p) for p in done)
    assert all(
        Path(str(p).replace(".partial", "")).stat().st_ino == inode for p, inode in done.items()
    )
    extracted.clear()
    work()
    assert extracted == []


def test_another_archive_of_the_same_name_is_unpacked_anew(tmp_path):
    archive = tmp_path / "in" / "a.tar"
    archive.parent.mkdir()
    for text in (b"one", b"another"):
        tar_of(archive, [(tarfile.TarInfo("f"), text)])
        assert (unpack.unpack(archive, (), tmp_path / "work") / "f").read_bytes() == text


def test_an_archive_without_what_it_should_hold(tmp_path):
    tar_of(tmp_path / "CUB_200_2011.tgz", [(tarfile.TarInfo("readme"), b"1")], "w:gz")
    md5 = unpack.md5(tmp_path / "CUB_200_2011.tgz")
    (tmp_path / "md5sums.txt").write_text(f"{md5}  CUB_200_2011.tgz\n")
    with pytest.raises(
        JobError,
        match=r"CUB_200_2011\.tgz: not the official archive \(CUB_200_2011/images\.txt is missing",
    ):
        building.build(tmp_path, "cub", tmp_path / "work", checksums="listed")


def test_a_list_of_checksums_that_is_none(tmp_path):
    (tmp_path / "md5sums.txt").write_bytes(b"\x89PNG\x1b[2J\xff" * 50)
    with pytest.raises(JobError, match=r"md5sums\.txt, line 1: .*got '.{1,100}', expected `md5"):
        unpack.listed(tmp_path)
