"""Unpacking: an archive that is hostile, cut short or changed is refused; a killed job resumes."""

import hashlib
import io
import os
import shutil
import signal
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts_shared import everything

from fixres.data import building, unpack
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
    "device": linked(tarfile.CHRTYPE, ""),
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
        unpack.unpack(archive, None, work, packing)
    assert not (work / archive.name).exists()
    assert not list(tmp_path.rglob("escaped"))


def test_an_outer_tar_cannot_leave_its_folder_either(tmp_path):
    inner = tar_of(tmp_path / "x.tar", [(tarfile.TarInfo("a"), b"1")]).read_bytes()

    def unpack_outer(name: str, content: bytes) -> None:
        outer = tar_of(tmp_path / "outer.tar", [(tarfile.TarInfo(name), content)])
        unpack.unpack(outer, None, tmp_path / "work", packing="tars")

    for name in ("../n1.tar", "/n1.tar"):
        with pytest.raises(JobError, match="refused"):
            unpack_outer(name, inner)
    with pytest.raises(JobError, match="cut short or damaged"):
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
        assert unpack.unpack(archive, None, tmp_path / "work", packing) == folder
    except JobError as error:
        said = str(error)
    if said:
        assert f"{archive.name}: cut short or damaged" in said
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
        assert len(list(unpack.unpack(archive, None, tmp_path / "work").iterdir())) == 2
    else:
        with pytest.raises(JobError, match="cut short"):
            unpack.unpack(archive, None, tmp_path / "work")


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
    with pytest.raises(JobError, match=r"a\.tgz: cut short or damaged \(CRC"):
        unpack.unpack(archive, None, tmp_path / "work")


def killed(work, at: int) -> bool:
    """Whether `work` is killed: in its own process, when it unpacks its `at`-th file."""
    child = os.fork()
    if child == 0:
        plain, calls = tarfile.TarFile.extract, []

        def extract(self, *args, **options):
            calls.append(1)
            if len(calls) == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return plain(self, *args, **options)

        tarfile.TarFile.extract = extract
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

    # First come the devkit (2 lists, 2 folders) and 24 validation images, then the training images
    # in classes of eight. The job is killed in the third class.
    assert killed(work, 3 + 24 + 20)
    archives = tmp_path / "unpacked" / "archives"
    done = {
        p: p.stat().st_ino
        for p in (*archives.glob("*.partial/n*"), *archives.glob("*.tar"), *archives.glob("*.gz"))
    }
    assert sum(".partial" in str(p) for p in done) >= 1
    assert (archives / "ILSVRC2012_img_val.tar").is_dir()
    extracted, plain = [], tarfile.TarFile.extract

    def extract(self, member, *args, **options):
        extracted.append(member.name)
        return plain(self, member, *args, **options)

    monkeypatch.setattr(tarfile.TarFile, "extract", extract)
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
        assert (unpack.unpack(archive, None, tmp_path / "work") / "f").read_bytes() == text


def test_an_archive_without_what_it_should_hold(tmp_path):
    tar_of(tmp_path / "CUB_200_2011.tgz", [(tarfile.TarInfo("readme"), b"1")], "w:gz")
    md5 = unpack.md5(tmp_path / "CUB_200_2011.tgz")
    (tmp_path / "md5sums.txt").write_text(f"{md5}  CUB_200_2011.tgz\n")
    with pytest.raises(JobError, match=r"CUB_200_2011\.tgz: holds no CUB_200_2011/images\.txt"):
        building.build(tmp_path, "cub", tmp_path / "work", checksums="listed")
