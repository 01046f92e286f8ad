"""The words of a Snakemake command, and its targets: one message where they cannot be meant so."""

import os
import re

import pytest
from small import merged

from fixres.asked import PlanningError, check, check_command_line
from fixres.config import parse
from fixres.paper import plan_of
from shared import ROOT, Workflow

FASHION = "configs/fashion.yaml"
TABLE = "results/table5.md"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            [TABLE, "--config", "twins=false", "--config", "scale=a b"],
            "--config: given 2 times, but Snakemake uses only the last. Give it once, with all "
            "values: --config twins=false 'scale=a b'",
        ),
        ([TABLE, "-C", "twins=false", "--config", "scale=a"], "--config twins=false scale=a"),
        (
            ["--configfile", FASHION, f"--configfiles={FASHION}"],
            f"--configfile {FASHION} {FASHION}",
        ),
        (["--set-threads", "train=2", "--set-threads", "match=2"], "--set-threads: given 2 times"),
        (["-R", "train", "--forcerun", "match"], "--forcerun: given 2 times"),
        (
            ["--configfile", FASHION, TABLE],
            f"cannot be read (No such file or directory)). Put a target before the option: "
            f"snakemake {TABLE} --configfile {FASHION}",
        ),
        (["--configfile", FASHION, "tables"], f"snakemake tables --configfile {FASHION}"),
        (["--configfile", "README.md"], "README.md, line"),
        (
            ["--configfile", "configs/fashon.yaml"],
            "directory). Did you mean 'configs/fashion.yaml'?",
        ),
        (["--configfile", "configs"], "configs: cannot be read (Is a directory)"),
        (
            ["--config", TABLE],
            f"--config: not a setting (got '{TABLE}', expected KEY=VALUE). Put a target",
        ),
        (["--config", "base_training.epochs=2"], "--config 'base_training={epochs: 2}'"),
        (["--config", "hardware.hours.train=2"], "--config 'hardware={hours: {train: 2}}'"),
        (["--config", "tvins=false"], "--config tvins: unknown key. Did you mean 'twins'?"),
        (["--config", "twins=false", "twins=true"], "--config twins: given twice. Remove one"),
        (["--config", "table5={k_test: [8], k_test: [16]}"], "duplicate key 'k_test'"),
        (["--config", "table5={k_test: [8]"], "not valid YAML"),
    ],
)
def test_words_that_cannot_be_meant_so(words, expected, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(PlanningError) as caught:
        check_command_line("/bin/snakemake", *words)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        ["snakemake", TABLE, "--cores", "2", "--configfile", FASHION, "configs/smoke.yaml"],
        [
            "snakemake",
            "-n",
            "--config",
            "twins=false",
            "table5={k_test: [8]}",
            "table5={k_train: [8]}",
        ],
        [
            "snakemake",
            "--cores",
            "2",
            "--cores",
            "4",
        ],  # of one value, the last counts: as everywhere
        # Not Snakemake's command line, or one that Snakemake itself has written.
        ["pytest", "--config", "a", "--config", "b"],
        ["snakemake", "--mode", "remote", "--config", "a", "--config", "b"],
    ],
)
def test_words_that_are_left_alone(words, monkeypatch):
    monkeypatch.chdir(ROOT)
    check_command_line(*words)


def test_our_own_lists_are_added_up():
    from fixres.recommend import _parser

    words = ["--k-test", "8", "--k-test", "16", "24", "--given", "a=1", "--given", "b=2"]
    args = _parser().parse_args(["--network", "a", "--images", "b", *words])
    assert (args.k_test, args.given) == ([8, 16, 24], ["a=1", "b=2"])


PHOTOS = {
    "datasets": {"photos": {"root": "$NO_SUCH_VARIABLE"}},
    "transfer": {"datasets": {"cars": "photos"}, "k_test": 80},
}


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("results/tabel5.md", "tabel5.md: no such target .*Did you mean results/table5.md"),
        ("table5", "table5: no such target .*Did you mean results/table5.md"),
        (f"{os.getcwd()}/{TABLE}", "Did you mean results/table5.md"),
        ("tabel5", "tabel5: no such target .*Did you mean results/table5.md"),
        ("tabels", "Did you mean tables"),
        ("xyz", "See results/plan.md for all targets"),
        ("results/runs/set/resnet10q-k64/log.csv", "Did you mean results/runs/set/resnet10q-k"),
        ("results/data/photos/manifest.npz", "cannot be made without the images of photos: data"),
        (
            "results/table3.md",
            r"^results/table3: .* pages.allow_missing .*\$NO_SUCH_VARIABLE; check",
        ),
        ("results/summary.md", r"^results/.* and 3 more: .*\$NO_SUCH_VARIABLE"),
    ],
)
def test_files_that_cannot_be_made(file, expected):
    graph = plan_of(parse(merged(**PHOTOS)))
    check([TABLE, "config.yaml", "results/plan.md"], graph, [])  # there is nothing to say of these
    with pytest.raises(PlanningError, match=re.compile(expected, re.DOTALL)):
        check([TABLE, file], graph, ["tables"])


def test_a_file_that_cannot_be_read_when_it_is_planned(monkeypatch):
    from fixres import workflow

    def denied(config):
        raise PermissionError(13, "Permission denied", "classes.txt")

    monkeypatch.setattr(workflow.paper, "plan_of", denied)
    with pytest.raises(
        PlanningError, match=r"^classes.txt: cannot be read \(Permission denied\)\.$"
    ):
        workflow.open_graph([], merged())


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Workflow:
    workflow = Workflow(tmp_path_factory.mktemp("asked"))
    workflow.write(merged(**PHOTOS))
    return workflow


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        # Snakemake itself would end in a traceback before it reads the Snakefile.
        (["--config", "twins.a=2"], "--config 'twins={a: 2}'"),
        (["tables"], "$NO_SUCH_VARIABLE; check that the variable is set"),
        (["--config", "seeds=[1, 1]"], "seeds: duplicate value 1. Remove one."),
    ],
)
def test_one_message_and_no_frames(small, words, expected):
    result = small.run("-n", *words, check=False)
    assert result.returncode != 0
    assert expected in result.stdout
    assert 'File "' not in result.stdout
    assert "Traceback" not in result.stdout
    assert result.stdout.count("PlanningError") == 1


def test_what_needs_no_images_is_planned_without_them(small):
    assert small.planned("results/plan.md") == {("cost", "plan.md")}
    assert small.run("--unlock").returncode == 0


def test_without_a_configuration_no_other_scale_is_planned(tmp_path):
    """With --configfile alone, Snakemake would take the defaults of the schema."""
    workflow = Workflow(tmp_path)
    words = [TABLE, "-n", "--configfile", os.path.join(ROOT, FASHION)]
    result = workflow.run(*words, check=False)
    assert result.returncode != 0
    assert "config.yaml: cannot be read (No such file or directory). Run" in result.stdout
