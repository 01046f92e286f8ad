"""The numbers that docs/gpu.md calls computed: those of the plan at the paper's scale."""

import re

import pytest

from fixres import paper
from fixres.config import load
from fixres.graph.costs import PAPER, Costs
from fixres.graph.pages import Cost
from fixres.models.counting import work_of
from shared import ROOT

PAGE = (ROOT / "docs/gpu.md").read_text(encoding="utf-8")
RESOLUTIONS = (64, 128, 224, 288, 384, 448, 480)
IMAGES, EPOCHS, DISK = 1_281_167, 60, 3e9
LAYERS = ("batch-norm", "classifier")


@pytest.fixture
def table5(tmp_path, monkeypatch) -> Costs:
    """The plan of Table 5, with a folder of images."""
    monkeypatch.setenv("IMAGENET", str(tmp_path))
    plan = paper.plan_of(load(ROOT / "config.yaml", ROOT / "configs/imagenet.yaml"))
    content = Cost.of(plan.resolved("pages/plan"))
    jobs = {name: content.jobs[name] for name in content.pages["table5"]}
    return Costs(content.model_copy(update={"jobs": jobs}), tmp_path)


def computed() -> list[list[list[str]]]:
    """The cells of the two tables, without their heads."""
    text = PAGE.split("<!-- computed: begin")[1].split("<!-- computed: end")[0]
    tables = [part.splitlines()[2:] for part in text.split("\n\n") if part.startswith("|")]
    return [[[c.strip() for c in line.split("|")[1:-1]] for line in t] for t in tables]


def test_trunk_and_disk(table5):
    work = work_of("resnet50", LAYERS)
    lines = []
    for k in RESOLUTIONS:
        need = IMAGES * work.at(k, 224).frontier
        epoch = IMAGES * work.at(k, 224).trunk / table5.estimate
        numbers = (f"{need / 1e9:.0f}", f"{epoch:.0f}", f"{EPOCHS * epoch / 3600:.1f}")
        lines.append([str(k), *numbers, f"{need / DISK:.0f}"])
    assert computed()[0] == lines


def test_what_memory_saves(table5):
    lines = []
    for size in (0, 64, 170, 520, 2400):
        fit = sum(0 < table5.cache_needed(name) <= size for name in table5.jobs)
        hours = sum(table5.duration(name, size) for name in table5.jobs) / 3600
        lines.append([str(size), f"{fit} of 28", f"{hours:.0f}"])
    assert table5.plan.cache_gb == 64
    assert [[line[0].split()[0], *line[1:]] for line in computed()[1]] == lines


def test_the_numbers_in_the_text(table5):
    work = work_of("resnet50", LAYERS)
    rate = 3 * PAPER.images_per_second
    written = sum(map(table5.cache_needed, table5.jobs))

    def hours(stage: str, path: str = "") -> float:
        of_stage = (n for n, job in table5.jobs.items() if job.config["stage"] == stage)
        return sum(table5.duration(n) for n in of_stage if path in n) / 3600

    every = sum(map(table5.duration, table5.jobs)) / 3600
    kept = sum(table5.duration(name, 2400) for name in table5.jobs) / 3600
    last_block = 49 * (2048 * 512 + 9 * 512 * 512 + 512 * 2048)
    sentences = [
        f"1,281,167 training images, {EPOCHS} epochs",
        f"{work.frontier / 1e3:.0f} kB an image at 224 px",
        f"{rate:,.0f} images of 224 px per second, which is {rate * work.frontier / 1e9:.2f} GB/s",
        f"each gets {DISK / 8 / 1e9:.2f} GB/s",
        f"because it computes {10 * rate * work.frontier / 1e9:.1f} GB/s",
        f"sixteen cores cut {16 * 700:,} crops/s, {IMAGES / 16 / 700:.0f} s per epoch",
        f"such a cache would write {written / 1e3:.0f} TB",
        f"{100 * last_block / work.trunk:.0f}% of the trunk's multiply-adds",
        f"they are {hours('evaluate'):.1f} of {every:.0f} device hours",
        f"at most {hours('evaluate', '/ft-'):.2f} hours, "
        f"{100 * hours('evaluate', '/ft-') / every:.2f}%",
        f"Base trainings take {hours('train'):.0f} hours, fine-tunings {hours('finetune'):.0f}",
        f"up to {every - kept:.0f} of the {every:.0f}",
    ]
    text = re.sub(r"\s+", " ", PAGE)
    assert [sentence for sentence in sentences if sentence not in text] == []
    assert hours("finetune", "/ft-k224") == pytest.approx(4 * 11.2, abs=0.2)


def test_no_two_fine_tunings_of_table_5_share_a_trunk_pass(table5):
    shared = [
        (name.rsplit("/", 1)[0], job.config["k_test"])
        for name, job in table5.jobs.items()
        if job.config["stage"] == "finetune"
    ]
    assert len(shared) == len(set(shared)) == 28
