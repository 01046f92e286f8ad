"""results/plan.md: multiply-adds, hours and rates, against published and measured ones."""

import pytest

from fixres import paper
from fixres.config import load, parse
from fixres.graph import costs
from fixres.graph.pages import Cost
from fixres.models import counting
from fixres.models.catalogue.zoo import ZOO
from fixres.pages import cost
from shared import ROOT, TEST_RESNET

# Multiply-adds of a forward pass, from the networks' papers or timm's results-imagenet.csv.
GIGA = {
    "resnet50": 4.1,
    "resnet50d": 4.35,
    "senet154": 20.77,
    "inception_resnet_v2": 13.18,
    "resnext101_32x8d_wsl": 16.48,
}


@pytest.mark.parametrize("network", GIGA)
def test_multiply_adds_are_the_published_ones(network):
    counted = counting.count(network, ["classifier"])
    assert counted.network / 1e9 == pytest.approx(GIGA[network], rel=0.02)
    assert counted.head < 0.01 * counted.network


def test_the_frontier_of_a_split():
    """ResNet-50 at 224, in bf16: 4.1 kB for the classifier, 401 kB with the last batch-norm.

    The batch-norm needs its input and the residual.
    """
    assert counting.count("resnet50", ["classifier"]).frontier == 2 * 2048
    assert counting.count("resnet50", ["batch-norm", "classifier"]).frontier == 2 * 2 * 2048 * 7 * 7


@pytest.fixture
def papers_scale(tmp_path, monkeypatch) -> Cost:
    """The paper's scale, with a folder of images."""
    monkeypatch.setenv("IMAGENET", str(tmp_path))
    return plan_of(load(ROOT / "config.yaml", ROOT / "configs/imagenet.yaml"))


def plan_of(config) -> Cost:
    return Cost.of(paper.plan_of(config).resolved("pages/plan"))


def changed(plan: Cost, **values: object) -> Cost:
    return plan.model_copy(update=values)


def only(plan: Cost, page: str) -> Cost:
    """The same plan, asked for one page."""
    jobs = {name: plan.jobs[name] for name in plan.pages[page]}
    return changed(plan, pages={page: plan.pages[page]}, jobs=jobs)


def test_the_papers_own_hours_come_out(papers_scale, tmp_path):
    """Table 7: 133.9 hours for k_train 224 on one V100, 120 epochs of 5005·512 crops.

    The estimate starts from the step time of the same V100.
    """
    counter = costs.Costs(only(papers_scale, "table5"), tmp_path)
    assert counter.seconds("runs/imagenet/resnet50-k224") / 3600 == pytest.approx(133.9, rel=0.01)
    assert counter.seconds("runs/imagenet/resnet50-k128") < counter.seconds(
        "runs/imagenet/resnet50-k160"
    )
    text = cost.page(only(papers_scale, "table5"), counter)
    row = next(line for line in text.splitlines() if line.startswith("| table5"))
    assert [cell.strip() for cell in row.strip("|").split("|")][1:6] == ["67", "0", "5", "28", "33"]
    assert "none yet" in text


def test_finished_jobs_measure_the_rate(papers_scale, tmp_path):
    """One training took a hundredth of the estimate: so will the others like it."""
    content = only(papers_scale, "table5")
    before = costs.Costs(content, tmp_path)
    done = tmp_path / "runs/imagenet/resnet50-k128"
    done.mkdir(parents=True)
    (done / "train.benchmark.tsv").write_text(
        f"s\th:m:s\n{before.seconds('runs/imagenet/resnet50-k128') / 100}\t0:00:01\n"
    )
    after = costs.Costs(content, tmp_path)
    assert after.seconds("runs/imagenet/resnet50-k128") == 0
    k224 = "runs/imagenet/resnet50-k224"
    assert after.seconds(k224) == pytest.approx(before.seconds(k224) / 100, rel=1e-6)
    assert after.seconds(f"{k224}/evaluation") == before.seconds(f"{k224}/evaluation")
    assert "train of resnet50" in cost.page(content, after)


def test_a_cache_that_fits_runs_the_trunk_once(papers_scale, tmp_path):
    run = "runs/imagenet/resnet50-k224/ft-k224-cls+bn-testda"
    streamed = costs.Costs(only(papers_scale, "table5"), tmp_path).seconds(run)
    cached = costs.Costs(changed(only(papers_scale, "table5"), cache_gb=600.0), tmp_path).seconds(
        run
    )
    assert 50 < streamed / cached < 60  # 60 epochs, and the head's own work


def test_a_classifier_alone_reads_pooled_vectors(papers_scale, tmp_path):
    """2048 channels in bf16, at every k_test."""
    plan = costs.Costs(papers_scale, tmp_path)
    for k in (64, 448):
        needed = plan.cache_needed(f"runs/imagenet/resnet50-k128/ft-k{k}-cls-testda")
        assert needed == pytest.approx(1_281_167 * 2 * 2048 / 1e9)


def test_the_plan_says_what_more_memory_saves(papers_scale, tmp_path):
    """Table 5: 28 fine-tunings, the same seven k_test for each of four k_train.

    ResNet-50's activations take 401 kB an image at 224 px, and grow with the area.
    """
    content = only(papers_scale, "table5")
    text = cost.page(content, costs.Costs(content, tmp_path))
    lines = [[c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines()]
    [start] = [i for i, line in enumerate(lines) if line[:1] == ["cache_gb"]]
    rows = [line for line in lines[start + 2 :] if len(line) == 3]
    images, per_image = 1_281_167, 2 * 2 * 2048 * 7 * 7
    needs = [images * per_image * (k / 224) ** 2 / 1e9 for k in (64, 128, 224, 288, 384, 448, 480)]
    assert [row[:2] for row in rows] == [
        [str(size), f"{4 * sum(need <= size for need in needs)} of 28"]
        for size in (64, 256, 1024, 2048, 4096)
    ]
    to_go = [float(row[2].replace(",", "")) for row in rows]
    assert to_go == sorted(to_go, reverse=True)
    whole = costs.Costs(changed(content, cache_gb=4096.0), tmp_path)
    assert to_go[-1] == pytest.approx(sum(map(whole.seconds, content.jobs)) / 3600, abs=0.5)
    # Where everything fits, nothing is said. Two processes need twice as much.
    assert "trunks that run once" not in cost.page(changed(content, cache_gb=4096.0), whole)
    shared = costs.Costs(changed(content, processes=2), tmp_path)
    run = "runs/imagenet/resnet50-k224/ft-k224-cls+bn-testda"
    assert shared.cache_needed(run) == pytest.approx(2 * needs[2])


def test_every_page_is_in_the_plan():
    plan = paper.plan_of(parse({}))
    content = Cost.of(plan.resolved("pages/plan"))
    assert list(content.pages) == [*plan.tables, *plan.figures]
    assert all(job in content.jobs for jobs in content.pages.values() for job in jobs)
    assert {
        content.jobs[job].config.get("network", "resnet10q")
        for jobs in content.pages.values()
        for job in jobs
    } <= set(ZOO)


def test_ten_crops_cost_ten_crops(papers_scale, tmp_path):
    job = "runs/imagenet/resnet50-k224/evaluation"
    known = papers_scale.jobs[job]
    plans = (
        changed(known, config=known.config | {"k_test": [224], "ten_crops": ten})
        for ten in ([], [224])
    )
    one, both = (costs.Costs(changed(papers_scale, jobs={job: x}), tmp_path) for x in plans)
    assert both.computation(job) == pytest.approx(11 * one.computation(job))
    assert both.bytes(job) == 2 * one.bytes(job)
    # A table of the paper has such cells.
    assert any(one.config.get("ten_crops") for one in papers_scale.jobs.values())


def test_the_wait_for_a_device_is_not_measured(papers_scale, tmp_path):
    """Two trainings took 100 s each; one of them waited 60 s of them."""
    content = only(papers_scale, "table5")
    rates = []
    for seconds, line in ((40, "devices: GPU-a"), (100, "devices: GPU-a; waited 60.0 s")):
        done = tmp_path / str(seconds) / "runs/imagenet/resnet50-k128"
        done.mkdir(parents=True)
        (done / "train.benchmark.tsv").write_text(f"s\th:m:s\n{seconds}\t0:00:01\n")
        (done / "train.log").write_text(f"[    0.2 s] {line}\n[   99.0 s] training: 9/9\n")
        rates.append(costs.Costs(content, tmp_path / str(seconds)).measured["train", "resnet50"])
    assert rates[0] == pytest.approx(rates[1])


def test_adaptations_of_a_custom_network_share_its_trunk(own_folder, tmp_path):
    """At each k_test: once over the training images, and over the validation images a crop_pct."""
    about = {"weights": "pretrained", "outputs": 2, "multiply_adds": 1e6, "parameters": 10_000}
    network = TEST_RESNET | about  # its own crop_pct is 0.95
    asked = {"name": "mine", "network": network, "k_test": [64, 96], "crop_pct": [0.875, 0.95]}
    own = {"dataset": "mine", "datasets": {"mine": {"root": str(tmp_path / "own")}}}
    content = plan_of(parse(own | {"custom": asked, "twins": False}))
    whole = 1e6 * (1 + (96 / 64) ** 2)
    counter = costs.Costs(changed(content, cache_gb=1.0), tmp_path / "results")
    assert counter.sizes == {"mine": (6, 4)}
    assert sum(map(counter.computation, counter.jobs)) == pytest.approx(whole * (6 + 2 * 4))
    # Where nothing is kept, each fine-tuning runs the trunk in every epoch.
    alone = costs.Costs(changed(content, cache_gb=0.0), tmp_path / "results")
    assert sum(map(alone.computation, alone.jobs)) > 3 * whole * (6 + 2 * 4)


@pytest.fixture
def own_folder(tmp_path) -> Cost:
    """A plan on an image folder of one's own, with 3 and 2 images in each of two classes."""
    for split, images in (("train", 3), ("val", 2)):
        for name in ("cat", "dog"):
            folder = tmp_path / "own" / split / name
            folder.mkdir(parents=True)
            for i in range(images):
                (folder / f"{i}.JPG").touch()
            (folder / "notes.txt").touch()
    own = {"dataset": "mine", "datasets": {"mine": {"root": str(tmp_path / "own")}}}
    return only(plan_of(parse(own)), "table5")


def test_an_image_folder_is_counted_on_disk(own_folder, tmp_path):
    """Before there is a manifest. It is not ImageNet."""
    counter = costs.Costs(own_folder, tmp_path / "results")
    assert counter.sizes == {"mine": (6, 4)}
    assert "unknown" not in cost.page(own_folder, counter)


def test_an_image_folder_that_cannot_be_counted_is_unknown(own_folder, tmp_path):
    (tmp_path / "own").rename(tmp_path / "away")
    counter = costs.Costs(own_folder, tmp_path / "results")
    text = cost.page(own_folder, counter)
    assert f"- Images of mine: unknown, because {tmp_path / 'own'} has no images below" in text
    evaluation = next(job for job in own_folder.jobs if job.endswith("/evaluation"))
    assert counter.computation(evaluation) == 0


def test_activations_cost_two_passes_over_the_validation_images(tmp_path):
    """From the images of config.yaml, and from the time that such a job has left."""
    content = plan_of(load(ROOT / "config.yaml"))
    job = "runs/pinhole/resnet10q-k56/activations"
    assert content.jobs[job].config["k_test"] == [16, 32, 56, 112]
    whole = counting.work_of("resnet10q", ("classifier",))
    passes = sum(whole.at(k, 56).network for k in (16, 32, 56, 112))
    expected = 2 * 2400 * passes
    counted = costs.Costs(content, tmp_path)
    assert counted.computation(job) == pytest.approx(expected)
    assert counted.bytes(job) > 0
    file = tmp_path / job / "benchmark.tsv"
    file.parent.mkdir(parents=True)
    file.write_text("s\n8.0\n")
    counted = costs.Costs(content, tmp_path)
    assert counted.done[job] == 8.0
    assert counted.measured["activations", "resnet10q"] == pytest.approx(expected / 8)
