"""From the official files to a manifest, for every source, held against the truth of its twin; and what is said of files that are wrong."""

import csv
import errno
import gc
import hashlib
import io
import json
import os
import shutil
import signal
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from fixres.data import manifest, sources, unpack
from fixres.data.rendered import twins
from fixres.jobs import JobError
from fixres.stages import render
from shared import SETTINGS, fixres, textured

LOOK = SETTINGS | {
    "train_images": 48,
    "val_images": 24,
    "silhouettes": ["bar", "star5"],
    "hues": ["red", "green", "blue"],
    "shorter_side": [24, 32],
}
OFFICIAL = [name for name in sources.SOURCES if name != "imagefolder"]
CLASSES = 6
everything = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Twin:
    """A rendered dataset with its truth, and its manifest out of the archives."""

    def __init__(self, source: str, folder: Path):
        self.source, self.root, self.out = source, folder / "räw data", folder / "out"
        twins.write(source, self.root, LOOK)
        with open(self.root / "objects.csv", newline="", encoding="utf-8") as f:
            self.truth = list(csv.DictReader(f))
        self.before = state(self.root)
        listed = "published" if source == "imagefolder" else "listed"
        report = self.out / "report.md"
        self.manifest = manifest.build(
            self.root, source, self.out / "unpacked", checksums=listed, report=report
        )
        self.report = report.read_text(encoding="utf-8")

    def unpacked(self, folder: Path) -> Path:
        """A copy of the unpacked layout, without archives and without the mark of a rendered set."""
        for part in sources.load(self.source).parts:
            origin, target = self.manifest.folder / part.path, folder / part.path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(origin, target) if origin.is_dir() else shutil.copy(origin, target)
        return folder


def state(folder: Path) -> dict:
    """Every file below a folder with its date and content."""
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.is_file() and p.read_bytes())
        for p in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """source -> its twin, made once."""
    known: dict[str, Twin] = {}

    def get(source: str) -> Twin:
        if source not in known:
            known[source] = Twin(source, tmp_path_factory.mktemp(source))
        return known[source]

    return get


@pytest.fixture
def no_md5s(monkeypatch):
    """Accept lists of one's own where the published checksum of a single list file would be compared."""
    monkeypatch.setattr(unpack, "check", lambda file, expected: None)


def rows_of(data: manifest.Manifest) -> dict:
    """path -> (label, split) of a manifest."""
    return {
        os.fsdecode(p): (int(x), manifest.SPLITS[s])
        for p, x, s in zip(data.path, data.label, data.split, strict=True)
    }


# --- what is right ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", sources.SOURCES)
def test_archives_give_the_labels_that_were_drawn(made, source):
    twin = made(source)
    assert rows_of(twin.manifest) == {
        row["path"]: (int(row["label"]), row["split"]) for row in twin.truth
    }
    size = {row["path"]: float(row["r"]) for row in twin.truth}
    assert np.allclose(
        twin.manifest.object_size, [size[os.fsdecode(p)] for p in twin.manifest.path]
    )
    assert len(twin.manifest.classes) == CLASSES
    assert np.all(np.diff(twin.manifest.split.astype(int)) >= 0)
    assert state(twin.root) == twin.before  # the data folder is only read
    assert all(os.path.isfile(f) for f in twin.manifest.files(np.arange(len(twin.manifest.path))))
    assert ("rendered by this suite" in " ".join(twin.manifest.notes)) == (source != "imagefolder")
    for split in manifest.SPLITS:
        assert f"| {split} | {len(twin.manifest.rows(split))} |" in twin.report
    if source != "imagefolder":
        assert "## grey (1)" in twin.report


@pytest.mark.parametrize("source", sources.SOURCES)
@pytest.mark.parametrize("at_home", [False, True])
def test_an_unpacked_layout_is_read_where_it_lies(made, source, at_home, tmp_path, no_md5s):
    """At the folder itself or below the name that the archives unpack to; without a folder to unpack to."""
    home = (*sources.load(source).homes, "")[0] if at_home else ""
    twin, folder = made(source), made(source).unpacked(tmp_path / "a é" / home)
    again = manifest.build(tmp_path / "a é", source)
    assert again.folder == folder
    assert again.digest() == twin.manifest.digest()
    if source == "cub":
        counts = "48 training images (published: 5994), 24 test images (published: 5794), 6 classes (published: 200)"
        assert again.notes == (f"CUB-200-2011: {counts}.",)


@pytest.mark.parametrize(("source", "packed"), [("cub", False), ("cub", True), ("pets", False)])
def test_a_folder_of_another_dataset_beside_it_is_not_taken_for_its_own(
    made, source, packed, tmp_path
):
    twin = made(source)
    (tmp_path / "images").mkdir()
    textured(20, 20).save(tmp_path / "images" / "other.jpg")
    home = tmp_path / sources.load(source).homes[0]
    if packed:  # one archive holds its images and its lists
        for name in ("CUB_200_2011.tgz", "md5sums.txt"):
            shutil.copy(twin.root / name, tmp_path)
    else:
        twin.unpacked(home)
    again = manifest.build(
        tmp_path, source, tmp_path / "work", checksums="listed" if packed else "published"
    )
    assert again.digest() == twin.manifest.digest()


def test_imagenet_agrees_with_torchvisions_own_reader(made, tmp_path, monkeypatch):
    from torchvision.datasets import imagenet

    twin = made("imagenet")
    sums = unpack.listed(twin.root)
    monkeypatch.setattr(
        imagenet,
        "ARCHIVE_META",
        {k: (name, sums[name]) for k, (name, _) in imagenet.ARCHIVE_META.items()},
    )
    for name in sums:
        shutil.copy(twin.root / name, tmp_path)
    theirs = {}
    for split in ("train", "val"):
        theirs |= {
            (split, Path(path).name): label
            for path, label in imagenet.ImageNet(str(tmp_path), split).samples
        }
    assert theirs == {
        (split, Path(path).name): label for path, (label, split) in rows_of(twin.manifest).items()
    }
    # … and what torchvision unpacked, a folder a class in both splits, is the usual unpacked form
    folders = manifest.build(tmp_path, "imagenet")
    assert {(s, Path(p).name): x for p, (x, s) in rows_of(folders).items()} == theirs


def test_flowers_agree_with_torchvisions_own_reader(made, tmp_path, monkeypatch):
    from torchvision.datasets import Flowers102

    twin = made("flowers")
    sums = unpack.listed(twin.root)
    monkeypatch.setattr(
        Flowers102,
        "_file_dict",
        {k: (name, sums[name]) for k, (name, _) in Flowers102._file_dict.items()},
    )
    twin.unpacked(tmp_path / "flowers-102")
    theirs = {}
    for split, ours in (("train", "train"), ("val", "train"), ("test", "val")):
        data = Flowers102(str(tmp_path), split)
        theirs |= {
            f"jpg/{Path(p).name}": (x, ours)
            for p, x in zip(data._image_files, data._labels, strict=True)
        }
    assert theirs == rows_of(twin.manifest)


def test_imagenet_of_files_that_are_no_plain_jpegs(made):
    report = made("imagenet").report
    assert "1 not JPEG, 1 CMYK, 1 grey, 0 duplicate" in report
    assert "_3.JPEG`: PNG" in report


def test_birdsnap_keeps_its_labels_where_images_and_a_class_are_absent(made):
    twin = made("birdsnap")
    assert len(twin.manifest.path) < 72
    assert CLASSES - 1 not in twin.manifest.label
    assert any("this copy lacks" in note for note in twin.manifest.notes)
    assert any(
        "no train image of 1 of 6 classes: star5-red" in note for note in twin.manifest.notes
    )
    assert "## absent (" in twin.report


@pytest.mark.parametrize("source", sources.SOURCES)
def test_a_twin_is_the_same_bytes_every_time(made, source, tmp_path):
    twins.write(source, tmp_path, LOOK, processes=2)
    assert {p: content for p, (_, content) in state(tmp_path).items()} == {
        p: content for p, (_, content) in made(source).before.items()
    }


def test_commands_from_a_twin_to_its_manifest(tmp_path):
    result = fixres(
        "twin",
        "cub",
        tmp_path / "twin",
        "--train",
        24,
        "--val",
        12,
        "--classes",
        4,
        "--shorter-side",
        24,
        32,
        "--threads",
        1,
    )
    assert result.returncode == 0, result.stderr
    (tmp_path / "config.json").write_text(
        json.dumps({"stage": "manifest", "source": "cub", "on_bad": "stop", "checksums": "listed"})
    )
    out = tmp_path / "cub" / "manifest.npz"
    result = fixres(
        "manifest",
        "--config",
        tmp_path / "config.json",
        "--root",
        tmp_path / "twin",
        "--out",
        out,
        "--threads",
        1,
    )
    assert result.returncode == 0, result.stderr
    assert len(manifest.load(out).path) == 36
    again = fixres("twin", "cub", tmp_path / "twin")
    assert "not empty" in again.stderr


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"hues": ["red", "mauve"]}, r"pinhole\.hues: found mauve"),
        ({"silhouettes": ["bar", "bar"]}, "none twice"),
        (
            {"val_images": 5},
            r"pinhole\.val_images: found 5, expected one at least for each of 6 classes",
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


images = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=30).filter(
    lambda rows: len({s for _, s in rows}) == 2
)


@given(rows=images, shuffle=st.randoms(use_true_random=False))
@everything
def test_cub_lists_in_any_order(tmp_path, rows, shuffle):
    """Whatever the numbers, splits and order of lines: each image keeps its own label and split."""

    def write(name, lines):
        shuffle.shuffle(lines)
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    write("classes.txt", [f"{i + 1} {i + 1:03d}.Bird_{i}" for i in range(5)])
    write(
        "images.txt",
        [f"{10 * i + 1} {x + 1:03d}.Bird_{x}/é {i}.jpg" for i, (x, _) in enumerate(rows)],
    )
    write("image_class_labels.txt", [f"{10 * i + 1} {x + 1}" for i, (x, _) in enumerate(rows)])
    write(
        "train_test_split.txt", [f"{10 * i + 1} {int(train)}" for i, (_, train) in enumerate(rows)]
    )
    found = sources.read(sources.load("cub"), tmp_path)
    assert set(found.images) == {
        (f"images/{x + 1:03d}.Bird_{x}/é {i}.jpg", x, int(not train))
        for i, (x, train) in enumerate(rows)
    }
    assert found.classes == tuple(f"Bird_{i}" for i in range(5))


# --- finding, checking, unpacking -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", OFFICIAL)
def test_missing_files_are_told_with_where_to_get_them(tmp_path, source):
    with pytest.raises(JobError) as caught:
        manifest.build(tmp_path / "nowhere", source, key=f"datasets.{source}.root")
    of, message = sources.load(source), str(caught.value)
    for part in of.parts:
        assert (part.archive or part.path) in message
    for expected in (
        "no such folder",
        of.where,
        of.terms,
        f"datasets.{source}.root",
        "nothing that belongs to it",
    ):
        assert expected in message


LISTS = [
    ("cars", "devkit/cars_meta.mat"),
    ("cars", "cars_test_annos_withlabels.mat"),
    ("cub", "train_test_split.txt"),
    ("flowers", "setid.mat"),
    ("pets", "annotations/test.txt"),
    ("birdsnap", "species.txt"),
    ("imagenet", "ILSVRC2012_devkit_t12/data/meta.mat"),
]


@pytest.mark.parametrize(("source", "file"), LISTS)
@pytest.mark.parametrize("damage", ["missing", "garbage", "empty"])
def test_a_list_that_is_missing_or_damaged_is_named(made, tmp_path, no_md5s, source, file, damage):
    victim = made(source).unpacked(tmp_path) / file
    victim.unlink() if damage == "missing" else victim.write_bytes(
        {"garbage": b"\x00\xff no list\n" * 40, "empty": b""}[damage]
    )
    with pytest.raises(JobError) as caught:
        manifest.build(tmp_path, source)
    assert Path(file).name in str(caught.value)


@pytest.mark.parametrize("source", OFFICIAL)
def test_a_wrong_checksum_stops_before_anything_is_unpacked(made, tmp_path, source):
    root = tmp_path / "root"
    shutil.copytree(made(source).root, root)
    name = next(iter(unpack.listed(root)))
    data = bytearray((root / name).read_bytes())
    data[len(data) // 2] ^= 1
    (root / name).write_bytes(data)
    with pytest.raises(JobError, match=rf"{name}: MD5 [0-9a-f]{{32}}, expected"):
        manifest.build(root, source, tmp_path / "work", checksums="listed")
    assert not list(tmp_path.glob("work/archives/*.partial"))
    if source != "birdsnap":  # no checksum of it is published
        with pytest.raises(
            JobError,
            match=r"expected [0-9a-f]{32}: the file is cut short, damaged or not the official one",
        ):
            manifest.build(made(source).root, source, tmp_path / "work")


def test_checksums_of_ones_own(made, tmp_path):
    shutil.copytree(made("cub").root, tmp_path / "root")
    sums = tmp_path / "root" / "md5sums.txt"
    for content, expected in [
        ("", "not in md5sums.txt"),
        ("no sum\n", "line 1: found 'no sum'"),
        (None, "no such file"),
    ]:
        sums.write_text(content) if content is not None else sums.unlink()
        with pytest.raises(JobError, match=expected):
            manifest.build(tmp_path / "root", "cub", tmp_path / "work", checksums="listed")


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
@pytest.mark.parametrize("nested", [False, True])
def test_an_archive_that_would_leave_its_folder_is_refused(tmp_path, how, nested):
    (tmp_path / "in").mkdir()
    archive = tar_of(
        tmp_path / "in" / "x.tar", [(tarfile.TarInfo("fine"), b"1"), (UNSAFE[how], b"")]
    )
    if nested:
        archive = tar_of(
            tmp_path / "in" / "outer.tar", [(tarfile.TarInfo("n1.tar"), archive.read_bytes())]
        )
    work = tmp_path / "work" / "deep"
    with pytest.raises(JobError, match=rf"{archive.name}: refused"):
        unpack.unpack(archive, None, work, nested)
    assert not (work / archive.name).exists()
    assert not list(tmp_path.rglob("escaped"))


def test_an_outer_tar_cannot_leave_its_folder_either(tmp_path):
    inner = tar_of(tmp_path / "x.tar", [(tarfile.TarInfo("a"), b"1")]).read_bytes()
    for name in ("../n1.tar", "/n1.tar"):
        with pytest.raises(JobError, match="refused"):
            unpack.unpack(
                tar_of(tmp_path / "outer.tar", [(tarfile.TarInfo(name), inner)]),
                None,
                tmp_path / "work",
                nested=True,
            )
    with pytest.raises(JobError, match="cut short or damaged"):
        unpack.unpack(
            tar_of(tmp_path / "outer.tar", [(tarfile.TarInfo("n1.tar"), b"no tar")]),
            None,
            tmp_path / "work",
            nested=True,
        )


@given(
    share=st.floats(0, 1),
    suffix=st.sampled_from(["tar", "tgz"]),
    nested=st.booleans(),
    sizes=st.lists(st.integers(0, 1500), min_size=1, max_size=4),
)
@everything
def test_an_archive_cut_anywhere_is_an_error_or_whole(tmp_path, share, suffix, nested, sizes):
    """Only zeros beyond the end mark can go unnoticed."""
    shutil.rmtree(tmp_path / "work", ignore_errors=True)
    mode = "w:gz" if suffix == "tgz" else "w"
    content = {
        f"f{i}": hashlib.sha256(bytes([i])).digest() * (n // 32) for i, n in enumerate(sizes)
    }
    archive = tar_of(
        tmp_path / f"a.{suffix}",
        [(tarfile.TarInfo(name), data) for name, data in content.items()],
        mode,
    )
    if nested:
        archive = tar_of(
            tmp_path / f"b.{suffix}",
            [(tarfile.TarInfo(f"n{i}.tar"), archive.read_bytes()) for i in range(2)],
            mode,
        )
    data = archive.read_bytes()
    archive.write_bytes(data[: int(share * len(data))])
    folder, said = tmp_path / "work" / archive.name, ""
    try:
        assert unpack.unpack(archive, None, tmp_path / "work", nested) == folder
    except JobError as error:
        said = str(error)
    if said:
        assert f"{archive.name}: cut short or damaged" in said
        assert not folder.exists()
        return
    for part in [folder / "n0", folder / "n1"] if nested else [folder]:
        assert {p.name: p.read_bytes() for p in part.iterdir()} == content


@pytest.mark.parametrize(("blocks", "whole"), [(2, False), (4, False), (5, True), (6, True)])
def test_a_tar_cut_between_two_files_is_noticed(tmp_path, blocks, whole):
    """Two files of one block with their headers: tarfile alone takes each of these for a whole archive."""
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
    """gzip's own checksum stands at its end, beyond the last file: stored without compression, nothing else would tell."""
    archive = tmp_path / "a.tgz"
    with tarfile.open(archive, "w:gz", compresslevel=0) as tar:
        member = tarfile.TarInfo("f")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"right"))
    archive.write_bytes(archive.read_bytes().replace(b"right", b"wrong"))
    with pytest.raises(JobError, match=r"a\.tgz: cut short or damaged \(CRC"):
        unpack.unpack(archive, None, tmp_path / "work")


def killed(work, at: int) -> bool:
    """Do `work` in a process that is killed at the `at`-th file that it unpacks; whether it came to that."""
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
    """Finished archives and inner tars are not unpacked again, and no checksum is computed twice."""
    twin = made("imagenet")

    def work():
        return manifest.build(twin.root, "imagenet", tmp_path / "unpacked", checksums="listed")

    assert killed(
        work, 3 + 24 + 20
    )  # 2 lists with their folders, 24 validation images, then in the third class of eight images
    archives = tmp_path / "unpacked" / "archives"
    done = {
        p: p.stat().st_ino
        for p in (*archives.glob("*.partial/n*"), *archives.glob("*.tar"), *archives.glob("*.gz"))
    }
    assert sum(".partial" in str(p) for p in done) >= 1
    assert (archives / "ILSVRC2012_img_val.tar").is_dir()
    extracted, plain = [], tarfile.TarFile.extract
    monkeypatch.setattr(
        tarfile.TarFile,
        "extract",
        lambda self, m, *a, **o: extracted.append(m.name) or plain(self, m, *a, **o),
    )
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
    (tmp_path / "md5sums.txt").write_text(
        f"{unpack.md5(tmp_path / 'CUB_200_2011.tgz')}  CUB_200_2011.tgz\n"
    )
    with pytest.raises(JobError, match=r"CUB_200_2011\.tgz: holds no CUB_200_2011/images\.txt"):
        manifest.build(tmp_path, "cub", tmp_path / "work", checksums="listed")


def command(root: Path, out: Path, source: str) -> int:
    from fixres.__main__ import main

    out.mkdir(exist_ok=True)
    config = out / "config.json"
    config.write_text(
        json.dumps({"stage": "manifest", "source": source, "on_bad": "stop", "checksums": "listed"})
    )
    try:
        return main(
            [
                "manifest",
                "--config",
                str(config),
                "--root",
                str(root),
                "--out",
                str(out / "manifest.npz"),
                "--threads",
                "1",
            ]
        )
    finally:
        gc.unfreeze()  # what is right for a process of its own


def test_a_disk_that_is_full_or_read_only_is_told(made, tmp_path, monkeypatch, capsys):
    twin, plain = made("cub"), shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: plain(path)._replace(free=100))
    assert command(twin.root, tmp_path / "full", "cub") == 1
    assert "make room first" in capsys.readouterr().err
    monkeypatch.undo()
    for code, said in ((errno.ENOSPC, "No space left"), (errno.EROFS, "Read-only")):

        def refuse(self, member, *args, code=code, **options):
            raise OSError(code, os.strerror(code), member.name)

        monkeypatch.setattr(tarfile.TarFile, "extract", refuse)
        assert command(twin.root, tmp_path / str(code), "cub") == 1
        assert said in capsys.readouterr().err
        monkeypatch.undo()
        assert command(twin.root, tmp_path / str(code), "cub") == 0


def as_nobody(root: Path, out: Path) -> tuple[int, str]:
    """The manifest command by a user without rights of his own: what it returned and printed."""
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
    """For the data that is no matter; where results go, it is an error that names the folder."""
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
        assert (
            manifest.load(folder / "out" / "manifest.npz").digest() == made("cub").manifest.digest()
        )
        code, said = as_nobody(folder / "data", folder / "closed")
        assert code == 1
        assert f"{folder / 'closed' / 'unpacked'}" in said
        assert "Permission denied" in said


# --- lists and images at odds ------------------------------------------------------------------------------------------------


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def relabel(root: Path, source: str, label: int) -> None:
    """Give one image a label (counted from 1) in the official list."""
    if source == "cars":
        file = root / "cars_test_annos_withlabels.mat"
        rows = loadmat(file)["annotations"]
        rows[0, 4]["class"] = np.array([[label]])
        savemat(file, {"annotations": rows})
    elif source == "flowers":
        labels = loadmat(root / "imagelabels.mat")["labels"]
        labels[0, 7] = label
        savemat(root / "imagelabels.mat", {"labels": labels})
    elif source == "cub":
        edit(root / "image_class_labels.txt", "\n7 1\n", f"\n7 {label}\n")
    elif source == "pets":
        edit(root / "annotations/test.txt", "Bar_green_100002 2 ", f"Bar_green_100002 {label} ")
    elif source == "imagenet":
        edit(
            root / "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt",
            "\n3\n",
            f"\n{label}\n",
        )
    elif source == "birdsnap":
        edit(root / "images.txt", "bar_green/7.jpg\t2\t", f"bar_green/7.jpg\t{label}\t")


@pytest.mark.parametrize("source", OFFICIAL)
@pytest.mark.parametrize("label", [0, CLASSES + 2])
def test_a_label_out_of_range_is_named_with_its_list(made, tmp_path, no_md5s, source, label):
    root = made(source).unpacked(tmp_path)
    relabel(root, source, label)
    with pytest.raises(JobError) as caught:
        manifest.build(root, source)
    file = {
        "cars": "cars_test_annos_withlabels.mat",
        "flowers": "imagelabels.mat",
        "cub": "image_class_labels.txt",
    } | {
        "pets": "annotations/test.txt",
        "imagenet": "ILSVRC2012_validation_ground_truth.txt",
        "birdsnap": "images.txt",
    }
    assert file[source] in str(caught.value)
    assert f"label {label}" in str(caught.value)
    assert f"1 to {CLASSES}" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "file", "old", "new", "expected"),
    [
        (
            "cub",
            "image_class_labels.txt",
            "\n7 1\n",
            "\n",
            "image 7 (001.bar-blue/bar-blue_0018_0.jpg) is missing, but images.txt has it",
        ),
        ("cub", "images.txt", "\n7 ", "\n7777 ", "image 7 (no name) is missing"),
        (
            "cub",
            "train_test_split.txt",
            "\n7 1\n",
            "\n7 3\n",
            "image 7: found 3, expected 1 (train) or 0 (test)",
        ),
        (
            "cub",
            "image_class_labels.txt",
            "\n7 1\n",
            "\n7\n",
            "line 7: found '7', expected 2 columns",
        ),
        (
            "birdsnap",
            "images.txt",
            "bar_green/100001.jpg\t2",
            "bar_green/5.jpg\t2",
            "bar_green/100001.jpg is missing, but test_images.txt",
        ),
        ("birdsnap", "species.txt", "\n2\t", "\n9\t", "found 6 ids up to 9"),
        (
            "pets",
            "annotations/trainval.txt",
            "Bar_green_2 2",
            "Bar_green_2 7",
            "classes of the same name with different labels: Bar Green",
        ),
        (
            "pets",
            "annotations/test.txt",
            "Bar_green_100002 ",
            "Bar_green_2 ",
            "listed twice: images/Bar_green_2.jpg",
        ),
    ],
)
def test_lists_at_odds_with_each_other(made, tmp_path, source, file, old, new, expected):
    root = made(source).unpacked(tmp_path)
    edit(root / file, old, new)
    with pytest.raises(JobError) as caught:
        manifest.build(root, source)
    assert expected in str(caught.value)


def test_flowers_beyond_the_labels(made, tmp_path, no_md5s):
    root = made("flowers").unpacked(tmp_path)
    labels = loadmat(root / "imagelabels.mat")["labels"]
    savemat(root / "imagelabels.mat", {"labels": labels[:, :-1]})
    with pytest.raises(JobError, match=r"image 72, but imagelabels\.mat has labels of 1 to 71"):
        manifest.build(root, "flowers")


def test_imagenet_of_other_classes_than_its_devkit(made, tmp_path):
    root = made("imagenet").unpacked(tmp_path)
    (root / "train" / "n20000000").rename(root / "train" / "n19999999")
    with pytest.raises(JobError, match="only one of them has n19999999, n20000000"):
        manifest.build(root, "imagenet")


@pytest.mark.parametrize("source", OFFICIAL)
def test_a_listed_image_that_is_absent(made, tmp_path, no_md5s, source):
    """An error or left out, as asked; where every copy lacks some (Birdsnap), left out and told."""
    root = made(source).unpacked(tmp_path / "set")
    victim = next(
        row["path"]
        for row in made(source).truth
        if row["split"] == "val" and int(row["label"]) < CLASSES - 1
    )
    (root / victim).unlink()
    if source != "birdsnap":
        with pytest.raises(JobError) as caught:
            manifest.build(root, source, report=tmp_path / "report.md")
        assert f"{root / victim}: is listed, but there is no such file" in str(caught.value)
        assert victim in (tmp_path / "report.md").read_text(encoding="utf-8")
    again = manifest.build(root, source, on_bad="exclude")
    assert rows_of(again) == {
        p: row for p, row in rows_of(made(source).manifest).items() if p != victim
    }
    assert any("left out as bad: 1 absent" in n or "this copy lacks" in n for n in again.notes)


@pytest.mark.parametrize("source", OFFICIAL)
def test_an_image_that_no_list_names(made, tmp_path, no_md5s, source):
    """An error where the official lists name all; reported where they do not (Pets, Birdsnap). ImageNet's train folders are the list."""
    root, folder = (
        made(source).unpacked(tmp_path / "set"),
        {"imagenet": "val", "cars": "cars_test", "flowers": "jpg"}.get(source, "images"),
    )
    textured(30, 30, 77).save(root / folder / "stränger.jpg")
    if source in ("pets", "birdsnap"):
        data = manifest.build(root, source, report=tmp_path / "report.md")
    else:
        with pytest.raises(
            JobError, match=r"stränger\.jpg: lies in an image folder, but no list names it"
        ):
            manifest.build(root, source)
        data = manifest.build(root, source, on_bad="exclude", report=tmp_path / "report.md")
        assert any("left out as bad: 1 unlisted" in n for n in data.notes)
    assert rows_of(data) == rows_of(made(source).manifest)
    assert f"- `{folder}/stränger.jpg`" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_bad_images_stop_or_are_left_out(made, tmp_path):
    root, report = made("imagefolder").unpacked(tmp_path / "set"), tmp_path / "report.md"
    paths = sorted(
        p for p, (_, split) in rows_of(made("imagefolder").manifest).items() if split == "train"
    )
    cut, text, empty, original, copy = (root / p for p in (*paths[:4], paths[-1]))
    cut.write_bytes(cut.read_bytes()[:200])
    text.write_text("hello")
    empty.write_bytes(b"")
    shutil.copy(original, copy)
    shutil.copy(original, root / "val" / "bar-blue" / "copy.jpg")
    with pytest.raises(JobError) as caught:
        manifest.build(root, report=report)
    for file in (cut, text, empty):
        assert f"{file}: cannot be decoded" in str(caught.value)
    stopped = report.read_text(encoding="utf-8")
    data = manifest.build(root, on_bad="exclude", report=report)
    assert rows_of(data).keys() == rows_of(made("imagefolder").manifest).keys() - set(paths[:3]) | {
        "val/bar-blue/copy.jpg"
    }
    assert data.notes == ("image folder: left out as bad: 3 unreadable.",)
    assert "Stopped by 3 bad file(s)" in stopped
    for page in (stopped, report.read_text(encoding="utf-8")):
        assert "## unreadable (3)" in page
        assert f"- `{paths[-1]}`: as {paths[3]}, under another label" in page
        assert f"- `val/bar-blue/copy.jpg`: as {paths[3]}, under the other split" in page
    data.save(tmp_path / "m.npz")
    assert manifest.load(tmp_path / "m.npz").notes == data.notes


def test_a_birdsnap_image_of_other_content_than_its_list_says(made, tmp_path):
    root = made("birdsnap").unpacked(tmp_path)
    textured(30, 30, 5).save(root / "images/bar_green/7.jpg")
    with pytest.raises(JobError, match=r"bar_green/7\.jpg: is not the image that the list names"):
        manifest.build(root, "birdsnap")
    data = manifest.build(root, "birdsnap", on_bad="exclude")
    assert "images/bar_green/7.jpg" not in rows_of(data)
    assert any("left out as bad: 1 altered" in n for n in data.notes)


def test_a_split_without_a_usable_image(made, tmp_path):
    root = made("imagefolder").unpacked(tmp_path)
    for file in (root / "val").rglob("*.jpg"):
        file.write_bytes(b"")
    with pytest.raises(JobError, match="no usable image in val"):
        manifest.build(root, on_bad="exclude")
