"""What an edit of config.yaml reruns: exactly these jobs.

A small workflow is really executed once. Then dry runs list what each edit would run.
"""

import os
import re
import time

import pytest
import yaml
from small import ADAPTED, BASES, PAGE_JOBS, SMALL, evaluates, finetunes, merged

from shared import PAGES


def test_nothing_changed(done):
    assert done.planned() == set()


def test_a_test_resolution_added(done):
    done.write(merged(table5={"k_test": [16, 32, 48]}))
    new = f"{BASES[0]}/ft-k48-cls+bn-testda"
    assert done.planned() == finetunes([new]) | evaluates([new, *BASES]) | PAGE_JOBS
    done.run(*PAGES)
    for base in BASES:  # and of those evaluations at most the added resolution is computed
        log = (done.folder / f"results/{base}/evaluation/log.txt").read_text()
        assert "predictions kept: k_test 16, 32" in log
        computed = re.findall(r"k_test ([\d, ]+) on 48 images", log)
        # The new fine-tuning predicts for its base, too. Either of the two jobs may come first.
        assert computed == ["48"] or "predictions kept: k_test 16, 32, 48" in log


def test_a_train_resolution_added(done):
    done.write(merged(table5={"k_train": [16, 32, 24]}))
    new = "runs/set/resnet10q-k24"
    assert (
        done.planned() == {("train", f"{new}/weights.safetensors")} | evaluates([new]) | PAGE_JOBS
    )


def test_the_fine_tuning_rate_changed(done):
    done.write(merged(fine_tuning={"lr": 0.06}))
    assert done.planned() == finetunes(ADAPTED) | evaluates(ADAPTED) | PAGE_JOBS


def test_two_values_swapped_are_seen(done):
    done.write(merged(fine_tuning={"lr": 0.001, "weight_decay": 0.05}))
    assert done.planned() == finetunes(ADAPTED) | evaluates(ADAPTED) | PAGE_JOBS
    done.write(merged(base_training={"epochs": 7, "lr_step": 2}))
    assert {("train", f"{base}/weights.safetensors") for base in BASES} <= done.planned()


def test_a_seed_added(done):
    """Its trainings and what follows from them; the first seed's stay, and so do the images.

    A page needs the numbers of both seeds. Taking the seed away renders the pages alone.
    """
    before = {p: p.stat().st_mtime_ns for p in (done.folder / "results/runs").rglob("*.npz")}
    done.write(merged(seeds=[0, 1]))
    bases = [f"{base}-s1" for base in BASES]
    adapted = [run.replace(BASES[0], bases[0]) for run in ADAPTED]
    trains = {("train", f"{base}/weights.safetensors") for base in bases}
    assert done.planned() == trains | finetunes(adapted) | evaluates([*bases, *adapted]) | PAGE_JOBS
    page = done.folder / "results/table5.md"
    one_seed = page.read_text()
    assert "(one seed: images only)" in one_seed
    done.run(*PAGES)
    assert before == {p: p.stat().st_mtime_ns for p in before}
    assert "over the validation images and 2 seeds" in page.read_text()
    done.write(SMALL)
    assert done.planned() == PAGE_JOBS
    done.run(*PAGES)
    assert page.read_text() == one_seed


def test_another_seed_has_runs_of_its_own(done):
    """The images have a seed of their own, and stay."""
    done.write(merged(seeds=[1]))
    assert ("train", f"{BASES[0]}-s1/weights.safetensors") in done.planned()
    assert not any(job.startswith("data/") for _, job in done.planned())


def test_base_epochs_changed(done):
    done.write(merged(base_training={"epochs": 3}))
    trains = {("train", f"{base}/weights.safetensors") for base in BASES}
    assert done.planned() == trains | finetunes(ADAPTED) | evaluates([*BASES, *ADAPTED]) | PAGE_JOBS


@pytest.mark.parametrize("days", [-400, 1])
def test_a_clock_that_was_wrong_hides_no_edit(done, days):
    """No date tells what is to be done: the digests do.

    The results are from the future or the past. Then comes an edit, and an interruption right after
    the resolved configurations of the first jobs were written.
    """
    wrong = time.time() + days * 86400
    for path in (done.folder / "results").rglob("*"):
        os.utime(path, (wrong, wrong))
    done.write(merged(base_training={"epochs": 3}))
    for base in BASES:
        (done.folder / f"results/{base}/config.json").write_text(done.resolved(base))
    trains = {("train", f"{base}/weights.safetensors") for base in BASES}
    assert done.planned() == trains | finetunes(ADAPTED) | evaluates([*BASES, *ADAPTED]) | PAGE_JOBS
    result = done.run(*(f"results/{base}/weights.safetensors" for base in BASES), check=days < 0)
    if days > 0:  # Snakemake refuses what is older than its input
        assert "has older modification time" in result.stdout
        return
    assert done.planned() == finetunes(ADAPTED) | evaluates([*BASES, *ADAPTED]) | PAGE_JOBS


def test_another_data_set_reruns_all_that_saw_it(done):
    done.write(merged(datasets={"set": {"rendered": {"r1_median": 0.3}}}))
    data = {("render", "data/set/rendered"), ("manifest", "data/set/manifest.npz")}
    trains = {("train", f"{base}/weights.safetensors") for base in BASES}
    changed = data | trains | finetunes(ADAPTED) | evaluates([*BASES, *ADAPTED])
    assert done.planned() == changed | PAGE_JOBS


def test_hardware_comments_and_key_order_rerun_nothing(done):
    hardware = {
        "workers": 3,
        "train_threads": 2,
        "finetune_threads": 2,
        "loader": "pillow",
        "cache_gb": 0.001,
        "decoded_gb": 0.001,
        "precision": "fp32",
        "tensorboard": True,
        "cuda_graphs": False,
    }
    done.write(merged(hardware=hardware))
    assert done.planned() == set()
    backwards = {
        key: dict(reversed(value.items())) if isinstance(value, dict) else value
        for key, value in reversed(SMALL.items())
    }
    done.write({}, text="# a comment\n" + yaml.safe_dump(backwards, sort_keys=False))
    assert done.planned() == set()


def test_a_caption_or_number_format_renders_its_page_alone(done):
    done.write(merged(pages={"captions": {"table5": "Another caption"}}))
    assert done.planned() == {("table", "table5.md")}
    done.write(merged(pages={"decimals": 2}))
    assert done.planned() == {("table", "table5.md")}
    done.write(merged(pages={"captions": {"figure5": "Another caption"}}))
    assert done.planned() == {("figure", "figure5.svg")}


def test_another_dataset_collides_nowhere_and_coming_back_renders_the_pages_alone(done):
    before = {p: p.stat().st_mtime_ns for p in (done.folder / "results").rglob("*") if p.is_file()}
    other = merged(
        dataset="other",
        base_training={"epochs": 1},
        table5={"k_test": [16]},
        fine_tuning={"epochs": 1},
    )
    other["datasets"] = {"other": SMALL["datasets"]["set"]}
    done.write(other)
    outputs = {path for _, path in done.planned()}
    assert {path.split("/")[0] for path in outputs if "set" in path} == set()
    done.run(*PAGES)
    page = (done.folder / "results/table5.md").read_text()
    pages = ("table5", "figure5", "pages/")
    touched = {p for p, time_ in before.items() if not p.exists() or p.stat().st_mtime_ns != time_}
    assert {
        p for p in touched if not str(p.relative_to(done.folder / "results")).startswith(pages)
    } == set()
    done.write(SMALL)
    assert done.planned() == PAGE_JOBS
    done.run(*PAGES)
    assert (done.folder / "results/table5.md").read_text() != page
    assert done.planned() == set()


def test_rerunning_a_page_gives_the_same_bytes(done):
    names = ["table5.md", "table5.csv", "table5.html", "figure5.svg", "figure5.png"]
    before = {name: (done.folder / "results" / name).read_bytes() for name in names}
    done.run(*PAGES, "--forcerun", "table", "figure")
    assert before == {name: (done.folder / "results" / name).read_bytes() for name in names}
