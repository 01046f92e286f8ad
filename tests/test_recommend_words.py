"""What the command `recommend` says of words that cannot be meant, before anything takes time."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixres.jobs import JobError
from fixres.models.custom import KEYS
from fixres.recommend import _parser, main, name_of, question_of, words

QUESTION = ["--network", "timm:test_resnet", "--images", "."]


def parsed(*more: str, question: list[str] = QUESTION):
    return _parser().parse_args([*question, *more])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["--k-test", "0"],
            r"--k-test: out of range \(got 0 of type int, expected 1 to 65,535 pixels",
        ),
        (["--k-test", "65536"], r"--k-test: .*got 65536"),
        (["--k-test", "64", "-3"], r"--k-test: .*got -3"),
        (["--train", "--k-train", "0"], r"--k-train: .*got 0"),
        (["--crop-pct", "1e-9"], r"--crop-pct: .*got 1e-09 of type float, expected 0.1 to 1"),
        (["--crop-pct", "nan"], "--crop-pct: .*got nan"),
        (["--crop-pct", "0.9", "1.2"], "--crop-pct: .*got 1.2"),
        (["--split", "20"], "--split: .*got 20.0 of type float, expected .* such as 0.2"),
        (["--split", "nan"], "--split: .*got nan"),
        (["--split", "0"], "--split: .*got 0"),
        (["--budget", "nan"], "--budget: .*got nan"),
        (["--budget", "inf"], "--budget: .*got inf"),
        (["--budget", "0"], "--budget: .*got 0"),
        (["--budget", "-5"], "--budget: .*got -5"),
        (["--name", "../../way/out"], "--name: .*got '../../way/out'"),
        (["--name", ""], "--name: .*got '' of type str, expected"),
        (["--name", "n" * 300], "--name: .*expected at most 64 letters"),
        (["--weights", "/no/such.pth"], "--weights: no such file .*got /no/such.pth"),
        (["--weights", "/"], "--weights: no such file"),
        (["--weights", "none"], "--weights: 'none' without --train would"),
        (["--path", "/no/such"], "--path: no such folder .*got /no/such"),
        (["--classes", "imagenet", "--train"], "--classes: given with --train"),
        (["--images", ""], "--images: no such folder .got '', .* Is the variable set"),
        (
            ["--images", "/no/such"],
            "--images: no such folder .got '/no/such', expected a folder of",
        ),
        (["--images", "$UNSET/x"], "--images: no such folder .* Is the variable set"),
        (["--images", __file__], "--images: not a folder"),
        (["--classes", "/no/such"], "--classes: no such file .got '/no/such'"),
        (["--network", "resnet50"], "--network: .*got 'resnet50'"),
        (["--network", "python:only.a.module"], "--network: .*got 'python:only"),
        (["--network", ""], "--network: .*got '' of type str, expected timm"),
    ],
)
def test_values_that_cannot_be_meant(more, message):
    with pytest.raises(JobError, match=message):
        words.check(parsed(*more))


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(JobError) as error:
        words.check(parsed("--k-test", "0", "--split", "20", "--budget", "nan"))
    assert len(str(error.value).splitlines()) == 3


def test_values_that_can_be_meant():
    words.check(parsed("--k-test", "64", "96", "--crop-pct", "0.1", "1", "--name", "a.b-c_1"))
    words.check(parsed("--split", "0.2", "--budget", "0.5"))


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("last_norm=[b.1", r"--given last_norm=\[b.1: not valid YAML"),
        ("last_norm=!!python/object/apply:os.getcwd []", "not valid YAML"),
        ("classifier", "expected KEY=VALUE"),
        ("klassifier=fc", "got 'klassifier'; nearest: classifier"),
        ("mean=[123.7, 116.3, 103.5]", r"--given mean.0: .*got 123.7 .* 0 to 1.*divide"),
        ("mean=0.5", "--given mean: .*got 0.5"),
        ("std=[0, 0.2, 0.2]", "--given std.0: .*got 0"),
        ("std=[.nan, 0.2, 0.2]", "--given std.0: .*got nan"),
        ("native=0", "--given native: .*got 0"),
        ("native=large", "--given native: .*got 'large'"),
        ("stride=", "--given stride: .*got None"),
        ("stride=0", "--given stride: .*got 0"),
        ("outputs=0", "--given outputs: .*got 0"),
        ("crop_pct=87.5", "--given crop_pct: .*got 87.5"),
        ("any_size=perhaps", "--given any_size: .*got 'perhaps'"),
        ("options=3", "--given options: .*got 3"),
        ("last_norm=[1]", "--given last_norm.0: .*got 1"),
    ],
)
def test_what_is_said_of_a_network_is_checked_by_itself(pair, message):
    with pytest.raises(JobError, match=message):
        words.read_given([pair], KEYS)


def test_what_can_be_said_of_a_network():
    said = ["last_norm=b.1", "classifier=4", "mean=[0.5, 0.5, 0.5]", "native=64", "options={a: 1}"]
    assert words.read_given(said, KEYS) == {
        "last_norm": ["b.1"],
        "classifier": "4",  # a layer of an nn.Sequential
        "mean": [0.5, 0.5, 0.5],
        "native": 64,
        "options": {"a": 1},
    }
    with pytest.raises(JobError, match="duplicate value for native"):
        words.read_given(["native=64", "native=96"], KEYS)


@pytest.mark.parametrize("word", ["photos\nhardware: {}", "photos\x1b[31m", "photos\udce9"])
def test_no_word_breaks_out_of_its_line_in_the_file(word):
    """The question is a comment in the file that the command writes."""
    with pytest.raises(JobError, match="control character or is not UTF-8"):
        main([*QUESTION, "--images", word])


def test_crops_that_no_memory_holds_are_refused_before_the_kernel_ends_the_process():
    words.check_room("--k-test", 32, 224, "cpu")
    with pytest.raises(JobError, match=r"--k-test: 32 image.* of 100000 px do not fit"):
        words.check_room("--k-test", 32, 100_000, "cpu")


@settings(max_examples=40)
@given(
    st.text(max_size=90),
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), max_size=300),
)
def test_names_that_the_command_makes_up_are_names(network, images):
    name = name_of(f"timm:{network}", f"/{images or 'x'}")
    assert not [*words.problems(parsed("--name", name))]


@pytest.mark.parametrize(
    ("network", "name"),
    [
        ("timm:resnet50.a1_in1k", "resnet50-photos"),
        ("timm:local-dir:/a/b c/my net/", "my-net-photos"),
        ("timm:hf-hub:timm/resnet18.a1_in1k@main", "resnet18-photos"),
        ("python:a.b:made", "made-photos"),
    ],
)
def test_a_network_is_named_by_its_own_part(network, name):
    assert not [*words.problems(parsed(question=["--network", network, "--images", "."]))]
    assert name_of(network, "/x/photos") == name


def test_another_configuration_beside_a_network_is_another_question(tmp_path):
    words, network = ["--network", "x", "--plan"], f"timm:local-dir:{tmp_path}"
    assert question_of(words, "timm:test_resnet") == "--network x"
    assert question_of(words, network) == "--network x"  # it is refused when it is looked at
    file = tmp_path / "config.json"
    found = [file.write_text(text) and question_of(words, network) for text in ("{}", "{ }")]
    assert len({*found}) == 2
    assert found[0].startswith("--network x # ")


def test_the_command_says_it_in_one_message(tmp_path):
    (tmp_path / "Snakefile").touch()
    (tmp_path / "config.yaml").touch()
    command = [sys.executable, "-m", "fixres", "recommend", *QUESTION, "--k-test", "0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("\nerror in recommend: --k-test: out of range")
    assert "Traceback" not in done.stderr
    assert sorted(file.name for file in Path(tmp_path).iterdir()) == ["Snakefile", "config.yaml"]
