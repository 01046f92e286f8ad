"""The prose check of `make lint`: it finds old idioms, across lines, in prose and nothing else."""

import sys

import pytest

from shared import ROOT

sys.path.append(str(ROOT / "docs"))
import prose


@pytest.mark.parametrize(
    ("text", "idiom"),
    [
        ("The number stands in the table.", "stands"),
        ("A result lies\nbeside it.", "lies"),
        ("The number is that\nof a run.", "is that of"),
        ("Of a transformer, the last norm is found.", "Of a transformer,"),
        ("Each in a folder of its own.", "of its own"),
        ("It prints a line a job.", "a line a job"),
        ("Seven is no number of classes.", "is no"),
    ],
)
def test_an_idiom_is_found_in_a_document(tmp_path, text, idiom):
    (page := tmp_path / "page.md").write_text(f"# Title\n\n{text}\n")
    [said, *_] = prose.idioms_in(page)
    assert said.startswith(f"{page}, line 3: '{idiom}'. Write: ")


@pytest.mark.parametrize(
    "text",
    [
        "Of 417 differences, 393 are decided.",
        "resnet10q stands for ResNet-50.",
        "There is no number longer than that; it is no longer there.",
        "```\nstands beside\n```",
        "`lies` and\n> the paper lies beside",
        "<!-- stands -->",
    ],
)
def test_what_is_plain_or_no_prose_passes(tmp_path, text):
    (page := tmp_path / "page.md").write_text(f"{text}\n")
    assert prose.idioms_in(page) == []


def test_python_is_read_in_its_strings_and_comments(tmp_path):
    (code := tmp_path / "code.py").write_text(
        '"""What stands here.\n\nIt lies there.\n"""\n'
        "stands = lies  # beside\n"
        'raise ValueError(\n    f"{stands}: found 3, "\n    "expected 4"\n)\n'
    )
    assert [said.partition(", ")[2] for said in prose.idioms_in(code)] == [
        "line 1: 'stands'. Write: is; is written; is listed",
        "line 3: 'lies'. Write: is",
        "line 5: 'beside'. Write: next to; with; in addition to; while",
        "line 7: 'found 3, expected'. Write: KEY or FILE: problem (got X, expected Y). Fix.",
    ]


def test_a_configuration_is_read_in_its_comments(tmp_path):
    (config := tmp_path / "a.yaml").write_text("lies: beside  # anew\n")
    assert len(prose.idioms_in(config)) == 1


def test_the_check_fails(tmp_path, capsys):
    (page := tmp_path / "page.md").write_text("It lies.\n")
    with pytest.raises(SystemExit, match="True"):
        prose.main([str(page)])
    assert "'lies'" in capsys.readouterr().out
