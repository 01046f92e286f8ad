"""Images whose classes are in a list: the forms of the list, and what can be wrong with it."""

from pathlib import Path

import pytest

from fixres import jobs
from fixres.artifacts import manifest
from fixres.data import building, sources
from fixres.data.sources import labelled
from shared import textured

WNIDS = "n01440764", "n01443537"
NAMES = "1.jpg", "2.JPEG", "sub/3 b.png", "4.jpg"


def images(root: Path, *names: str) -> Path:
    for name in names or NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        textured(20, 24).save(root / name, "PNG")
    return root


def read(root: Path, text: str | bytes, name: str = "labels.csv") -> dict[str, str]:
    """File -> label, as the list is read."""
    file = root.parent / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    listing = labelled.read(root, file)
    return {path: listing.classes[label] for path, label, _ in listing.images}


CATS = {"1.jpg": "cat", "2.JPEG": "big dog", "sub/3 b.png": "cat"}
IDS = dict(zip(("1.jpg", "2.JPEG"), WNIDS, strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.jpg,cat\n2.JPEG,big dog\nsub/3 b.png,cat\n", CATS),
        ("file,label\r\n./1.jpg, cat\r\n\r\n2.JPEG,big dog\r\nsub/3 b.png,cat\r\n", CATS),
        ('id,score,Label,Path\n7,0.1,cat,1\n8,1,"big dog",2\n9,1,cat,sub/3 b\n', None),
        ('score;label;image_id\n0.1;cat;1\n1;"big dog";2\n1;cat;sub/3 b\n', CATS),
        ("1.jpg\tcat\n2.JPEG\tbig dog\nsub/3 b.png\tcat", CATS),
        ("1.jpg 0\nsub/3 b.png 12\n2.JPEG 2", {"1.jpg": "0", "sub/3 b.png": "12", "2.JPEG": "2"}),
        (f"ImageId,PredictionString\n1,{WNIDS[0]} 85 1 499 272\n2,{WNIDS[1]} 1 2 3 4 \n", IDS),
        (f"1,{WNIDS[0]} 85 1 499 272 {WNIDS[0]} 1 1 2 2\n2,{WNIDS[1]} 1 2 3 4\n", IDS),
        ("\N{BYTE ORDER MARK}filename,class\n1.jpg,a\n4.jpg,b", {"1.jpg": "a", "4.jpg": "b"}),
    ],
)
def test_the_forms_of_a_list(tmp_path, text, expected):
    root = images(tmp_path / "photos")
    if expected is None:  # which column is meant is not guessed: "id" is the first that may be
        with pytest.raises(jobs.JobError, match=r"3 listed images are missing \(got 7 \(line 2"):
            read(root, text)
    else:
        assert read(root, text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.jpg,cat\n5.jpg,dog\n", r"1 listed images are missing \(got 5\.jpg \(line 2\).* 1\.jp"),
        ("photo,species\n1.jpg,cat\n2.JPEG,dog", r"photo \(line 1\).* call them file and label"),
        ("../photos.jpg,cat\n2.JPEG,dog\n", "1 listed images are missing"),
        ("1.jpg,cat\n2.JPEG\n", r"line 2: no file and label \(got '2\.JPEG', expected FILE,LABEL"),
        ("1.jpg,cat,3\n2.JPEG,dog,4\n", r"line 1: .*Name the columns in the first line"),
        ("1.jpg\n", "line 1: no file and label"),
        ("1.jpg,cat\n2.JPEG,cat\n", r"only one class \(got \['cat'\]"),
        ("\n \n", r"empty \(expected FILE,LABEL"),
        ("1.jpg,caf\xe9\n".encode("latin-1"), r"line 1: not UTF-8.*iconv"),
        ('1.jpg,"cat\n', r"line 1: unexpected end of data"),
        (f"1,{WNIDS[0]} 1 1 2 2 {WNIDS[1]} 1 1 2 2\n", "line 1: several classes"),
        ("a,cat\n2.JPEG,dog", r"several such images \(got 'a': a\.jpg, a\.png"),
    ],
)
def test_what_can_be_wrong_with_a_list(tmp_path, text, message):
    root = images(tmp_path / "photos", *NAMES, "a.jpg", "a.png")
    with pytest.raises(jobs.JobError, match=message):
        read(root, text)


def test_a_folder_without_images_is_another_folder(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(jobs.JobError, match=r"which has no images.* relative to"):
        read(tmp_path / "photos", "file,label\n1.jpg,cat\n")


def built(root: Path, file: Path, **wanted) -> manifest.Manifest:
    wanted = {"labels": {"file": str(file), "sha256": ""}, "split": 1.0} | wanted
    return building.build(root, sources.picked(sources.load("imagefolder"), wanted))


def test_unlisted_images_are_reported_and_no_error(tmp_path):
    root, file = images(tmp_path / "photos"), tmp_path / "photos/labels.csv"
    file.write_text("2.JPEG,dog\n1.jpg,cat\n")
    wanted = {"labels": {"file": str(file), "sha256": ""}, "split": 1.0}
    source, report = sources.picked(sources.load("imagefolder"), wanted), tmp_path / "report.md"
    data = building.build(root, source, report=report)
    assert data.path.tolist() == [b"1.jpg", b"2.JPEG"]
    assert data.notes == ("image folder: skipped: 2 not in the list of labels.",)
    assert "## unlisted (2)" in report.read_text()
    assert "`sub/3 b.png`" in report.read_text()


def test_a_listed_image_that_is_bad_is_an_error(tmp_path):
    root, file = images(tmp_path / "photos"), tmp_path / "labels.csv"
    file.write_text("1.jpg,cat\n2.JPEG,dog\n")
    (root / "1.jpg").write_bytes(b"no image")
    with pytest.raises(jobs.JobError, match=r"1 bad file.*\n.*1\.jpg"):
        built(root, file)


def test_another_list_than_was_planned_with_is_refused(tmp_path):
    root, file = images(tmp_path / "photos"), tmp_path / "labels.csv"
    file.write_text("1.jpg,cat\n2.JPEG,dog\n")
    planned = jobs.file_digest(file)
    labelled.read(root, file, planned)
    file.write_text("1.jpg,dog\n2.JPEG,cat\n")
    with pytest.raises(jobs.JobError, match="changed after the planning"):
        labelled.read(root, file, planned)


def test_a_share_of_the_listed_images_is_for_validation(tmp_path):
    root, file = images(tmp_path / "photos", *(f"{i}.jpg" for i in range(60))), tmp_path / "a.csv"
    file.write_text("".join(f"{i}.jpg,{'ab'[i % 2]}\n" for i in range(60)))
    data = built(root, file, split=0.5)
    assert 15 < len(data.rows("val")) < 45
    assert len(data.path) == 60
    other = built(root, file, split=0.2)
    assert set(other.path[other.rows("val")]) < set(data.path[data.rows("val")])


# --- which class a label is ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        (["eel", "cat"], ["cat", "dog", "eel"], {"eel": 2, "cat": 0}),
        (["0", "02", "10"], [f"c{i}" for i in range(11)], {"0": 0, "02": 2, "10": 10}),
        (["0", "1"], ["0", "1"], {"0": 0, "1": 1}),
        (["0", "3"], ["a", "b", "c"], {"0": 0}),  # no class 3
        (["a", "1"], ["a", "b"], {"a": 0}),
    ],
)
def test_labels_are_names_or_numbers(labels, classes, expected):
    assert labelled.numbered(labels, classes, "labels.csv") == expected


def test_labels_with_two_meanings_are_refused():
    with pytest.raises(jobs.JobError, match=r"labels\.csv: ambiguous labels \(got 2: the number"):
        labelled.numbered(["1", "2"], ["0", "1", "10", "2"], "labels.csv")


def test_numbers_of_classes_become_their_names(tmp_path):
    root, file = images(tmp_path / "photos"), tmp_path / "labels.txt"
    file.write_text("1.jpg 2\n2.JPEG 0\n")
    data = built(root, file, classes=["eel", "ant", "dog"])
    assert data.classes == ("eel", "ant", "dog")
    assert data.label.tolist() == [2, 0]
    with pytest.raises(
        jobs.JobError,
        match=r"1 of the images' 2 classes are unknown .*got 2, expected some of its 2 classes",
    ):
        built(root, file, classes=["eel", "ant"])
